"""What callers may choose from when they search: the names of types and of statuses."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from core.errors import InvalidInput


def one_of(kind: type[StrEnum], what: str, value: str | None) -> Any:
    """The member that is named, None for None; raises `InvalidInput`, with a guess at what was meant."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError as error:
        from difflib import get_close_matches

        close = get_close_matches(str(value), list(kind), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(kind)}."
        raise InvalidInput(f"There is no {what} {str(value)[:80]!r} of assets.", hint=hint) from error
