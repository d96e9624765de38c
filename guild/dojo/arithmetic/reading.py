"""Reads a question of binary arithmetic back: which operation it asks for, on which numbers, in which notation."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from guild.dojo.arithmetic.notation import RELATIONS, Notation, number_in, written
from guild.dojo.arithmetic.operations import OPERATIONS, Operands, Operation

MOST_BITS = 32
_DIGITS: dict[Notation, str] = {"plain": "([01]+)", "circled": "([⓪①]+)"}


class Question(NamedTuple):
    """What a text asks."""

    operation: Operation
    bits: int
    operands: Operands
    notation: Notation

    def answer(self) -> str | None:
        """The golden answer; None where there is none, as nobody divides by zero."""
        try:
            result = self.operation.compute(self.bits, self.operands)
        except ZeroDivisionError:
            return None
        width = self.operation.answer_width(self.bits)
        return written(result, width, self.notation) if width else RELATIONS[self.notation][result]


def question_in(text: str) -> Question | None:
    """The question that BIN asks with just this text; None where it asks none so."""
    for pattern, operation, notation in _questions():
        if (match := pattern.fullmatch(text)) is not None:
            widths = tuple(map(len, match.groups()))
            bits = next((bits for bits in range(2, MOST_BITS + 1) if operation.widths(bits) == widths), None)
            if bits is not None:
                numbers = (number_in(digits, notation) for digits in match.groups())
                return Question(operation, bits, tuple(number or 0 for number in numbers), notation)
    return None


@cache
def _questions() -> list[tuple[re.Pattern[str], Operation, Notation]]:
    return [
        (_pattern(text, _DIGITS[notation]), operation, notation)
        for operation in OPERATIONS.values()
        for notation, texts in operation.texts.items()
        for text in texts
    ]


def _pattern(form: str, digits: str) -> re.Pattern[str]:
    return re.compile(digits.join(map(re.escape, re.split(r"\{\d\}", form))))
