"""Works problems of binary arithmetic out from their text alone, by other means than the generator."""

from __future__ import annotations

import re
from collections.abc import Callable

NUMBER = re.compile("[01]+|[⓪①]+")
CIRCLED = str.maketrans("⓪①⧀⊜⧁", "01<=>")

SIGNS = {
    "⊕": "+", "⊖": "-", "⊗": "*", "⊘": "/", "Ⓜ": "%", "Ⓐ": "&", "Ⓞ": "|", "Ⓧ": "^", "Ⓝ": "~", "Ⓛ": "<<", "Ⓡ": ">>",
    "⟲": "<<<", "⟳": ">>>", "Ⓒ": "#", "⊙": "?",
    "plus": "+", "minus": "-", "times": "*", "divided by": "/", "modulo": "%", "and": "&", "or": "|", "xor": "^",
    "not": "~", "left by": "<<", "right by": ">>", "rotated left by": "<<<", "rotated right by": ">>>",
    "ones in": "#", "against": "?",
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "remainder": "%", "invert": "~", "shift left": "<<",
    "shift right": ">>", "rotate left": "<<<", "rotate right": ">>>", "count ones": "#", "compare": "?",
}  # fmt: skip
"""What each word or circled sign means."""


def _shift(digits: str, places: str, left: bool) -> int:
    by = int(places, 2)
    return int(digits[by:] + "0" * by if left else "0" * by + digits[: len(digits) - by], 2)


def _rotate(digits: str, places: str, left: bool) -> int:
    by = int(places, 2)
    cut = by if left else len(digits) - by
    return int(digits[cut:] + digits[:cut], 2)


def _bitwise(a: str, b: str, rule: Callable[[bool, bool], bool]) -> int:
    width = max(len(a), len(b))
    pairs = zip(a.zfill(width), b.zfill(width), strict=True)
    return int("".join("1" if rule(x == "1", y == "1") else "0" for x, y in pairs), 2)


RULES: dict[str, Callable[[str, str], int]] = {
    "+": lambda a, b: int(a, 2) + int(b, 2),
    "-": lambda a, b: int(a, 2) - int(b, 2),
    "*": lambda a, b: sum(int(b, 2) << place for place, digit in enumerate(reversed(a)) if digit == "1"),
    "/": lambda a, b: int(a, 2) // int(b, 2),
    "%": lambda a, b: int(a, 2) % int(b, 2),
    "&": lambda a, b: _bitwise(a, b, lambda x, y: x and y),
    "|": lambda a, b: _bitwise(a, b, lambda x, y: x or y),
    "^": lambda a, b: _bitwise(a, b, lambda x, y: x != y),
    "<<": lambda a, b: _shift(a, b, left=True),
    ">>": lambda a, b: _shift(a, b, left=False),
    "<<<": lambda a, b: _rotate(a, b, left=True),
    ">>>": lambda a, b: _rotate(a, b, left=False),
}


def numbers_in(prompt: str) -> list[str]:
    """The operands as plain digits, in their order."""
    return [number.translate(CIRCLED) for number in NUMBER.findall(prompt)]


def signs_in(prompt: str) -> list[str]:
    """What is to be done, in order."""
    # Two steps, then the first operation before all numbers: `add 1, 0, then xor 1`.
    words = [part.strip(" ()=,") for part in NUMBER.split(prompt)]
    words = [word.removeprefix(", then").removeprefix("then").strip(" ()=,") for word in words]
    found = [SIGNS.get(word, word) for word in words if word not in ("", "= ?", "?")]
    if not found:
        # `a ? b`: the question mark is the sign.
        found = ["?"]
    return found


def solution(prompt: str) -> str | int:
    """The number that is asked for, or the relation."""
    numbers, signs = numbers_in(prompt), signs_in(prompt)
    if signs == ["~"]:
        return int("".join("10"[int(digit)] for digit in numbers[0]), 2)
    if signs == ["#"]:
        return numbers[0].count("1")
    if signs == ["?"]:
        a, b = numbers
        return "<" if a < b else "=" if a == b else ">"
    # `add a, b, c` names its one operation once.
    signs += signs[:1] * (len(numbers) - 1 - len(signs))
    value = numbers[0]
    for sign, number in zip(signs, numbers[1:], strict=True):
        value = f"{RULES[sign](value, number):0{len(value)}b}"
    return int(value, 2)


def meaning(answer: str) -> str | int:
    """An answer in either notation, as `solution` gives it."""
    plain = answer.translate(CIRCLED)
    return plain if plain in "<=>" else int(plain, 2)
