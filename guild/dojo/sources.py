"""The sources of problems that are built in, by skill id; each is imported when it is first asked for."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from core.errors import InvalidInput

if TYPE_CHECKING:
    from guild.dojo.problem import ProblemSource

SOURCES = {
    "bin": "guild.dojo.binary:BinarySource",
    "sy": "guild.dojo.syllacrostic:SyllacrosticSource",
}
"""Module and class of each."""

ALIASES = {"syllo": "sy", "binary": "bin"}
"""Names that older files and people use (failure C12)."""


def canonical_skill_id(name: str) -> str:
    """The id that a skill goes by everywhere inside: lower case, aliases resolved (failures C12 and C13)."""
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)


def source_of(skill_id: str) -> ProblemSource:
    """The built-in source of a skill; raises `InvalidInput` for a skill that has none."""
    known = canonical_skill_id(skill_id)
    if known not in SOURCES:
        close = difflib.get_close_matches(known, [*SOURCES, *ALIASES], n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(sorted(SOURCES))}."
        raise InvalidInput(f"No source of problems is built in for skill {skill_id!r}.", hint=hint)
    return _made(known)


@cache
def _made(skill_id: str) -> ProblemSource:
    module, _, name = SOURCES[skill_id].partition(":")
    source: ProblemSource = getattr(import_module(module), name)()
    return source
