"""How numbers are written: plain digits, or the circled ones of the symbol language (seed 003)."""

from __future__ import annotations

import re
from typing import Literal

Notation = Literal["plain", "circled"]

RELATIONS: dict[Notation, str] = {"plain": "<=>", "circled": "⧀⊜⧁"}
"""How it is written that one number is smaller than another, as large, or larger."""

_CIRCLED = str.maketrans("01", "⓪①")
_PLAIN = str.maketrans("⓪①", "01")
_DIGITS: dict[Notation, re.Pattern[str]] = {"plain": re.compile("[01]{1,256}"), "circled": re.compile("[⓪①]{1,256}")}


def written(number: int, width: int, notation: Notation) -> str:
    """The number in binary, with zeros in front up to `width` digits."""
    digits = f"{number:0{width}b}"
    return digits if notation == "plain" else digits.translate(_CIRCLED)


def number_in(text: str, notation: Notation) -> int | None:
    """The number that `text` denotes in that notation and no other; None when it denotes none."""
    stripped = text.strip()
    if not _DIGITS[notation].fullmatch(stripped):
        return None
    return int(stripped.translate(_PLAIN), 2)
