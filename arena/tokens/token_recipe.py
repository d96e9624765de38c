"""Which tokens: everything that decides what a quest file becomes, as one key."""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass
from functools import lru_cache

import jinja2
import msgspec
import tokenizers
from blake3 import blake3

from arena.rendering import Renderer
from core.paths import CHECKOUT

MAKERS = (
    "arena/rendering.py",
    "arena/language/*.py",
    "arena/gatekeepers/quest_specs.py",
    "arena/gatekeepers/row_reader.py",
    "arena/gatekeepers/scrolls/*.py",
    "arena/gatekeepers/shapes/*.py",
    "arena/tokens/*.py",
    "guild/emoji_protocol.py",
    "guild/profiles/*.py",
)
"""The code between the bytes of a file and its tokens. Whoever changes it, or a library below it, makes new tokens."""
LIBRARIES = (jinja2, msgspec, tokenizers)


@dataclass(frozen=True)
class TokenRecipe:
    """One way to make tokens of one content."""

    content_hash: str
    """BLAKE3 of the quest file, hex."""
    schema_id: str
    rendering: str
    """`Renderer.fingerprint`: tokenizer, template and profile."""
    system_prompt: str | None
    max_length: int
    """Tokens of a row at most."""
    clock: str | None
    """The time that the template prints, ISO 8601; None where it prints none."""

    @classmethod
    def of(
        cls,
        renderer: Renderer,
        *,
        content_hash: str,
        schema_id: str,
        system_prompt: str | None,
        max_length: int,
        claimed_at: str | None,
    ) -> TokenRecipe:
        """`claimed_at` is the time of the renderer's clock; it may lack only where the template prints none."""
        if renderer.prints_time and claimed_at is None:
            raise ValueError("tokens with a time in them, and nobody knows which")
        return cls(
            content_hash, schema_id, renderer.fingerprint, system_prompt or None, max_length,
            claimed_at if renderer.prints_time else None,
        )  # fmt: skip

    @property
    def key(self) -> str:
        """64 hex digits."""
        return blake3(msgspec.json.encode([made_with(), *astuple(self)])).hexdigest()


@lru_cache(maxsize=1)
def made_with() -> str:
    """BLAKE3 over the code and the versions of the libraries that make tokens, hex."""
    hasher = blake3(f"{sys.version} {sys.byteorder} {[library.__version__ for library in LIBRARIES]}".encode())
    for pattern in MAKERS:
        for file in sorted(CHECKOUT.glob(pattern)):
            hasher.update(file.name.encode() + b"\0" + file.read_bytes())
    return hasher.hexdigest()
