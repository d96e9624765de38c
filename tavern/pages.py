"""The pages: each path that people open is answered with the same document, which shows what its address names.

The scripts know the same paths (`tavern/static/pages.js`; a test compares them); `:name` stands for `{name}`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, create_model

from core.http.inputs import Inputs

STATIC = Path(__file__).resolve().parent / "static"
SHELL = STATIC / "index.html"
"""The document; at an address that it does not know it says so."""
PAGE_PATHS = (
    "/",
    "/game",
    "/game.html",
    "/battle-log",
    "/quests",
    "/quests/{quest}",
    "/guild",
    "/skill/{id}",
    "/vault",
    "/ledger",
    "/checkpoint/{step}",
    "/achievements",
    "/settings",
    "/armory",
)
"""A part in braces is anything: the page itself asks for it, and says so when there is no such thing."""
LONGEST_PART = 255


def parts_of(path: str) -> type[Inputs] | None:
    """A model of the parts in braces, by which they are checked and documented; None for a path without any."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    fields: dict[str, Any] = {name: (str, Field(min_length=1, max_length=LONGEST_PART)) for name in names}
    return create_model("PageParts", __base__=Inputs, **fields) if fields else None
