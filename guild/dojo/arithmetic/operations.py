"""The operations of binary arithmetic: how each is asked for, on which operands, and what comes out.

Numbers are unsigned. Whatever is shifted or rotated keeps its width; quotients are rounded down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from guild.dojo.arithmetic.notation import Notation

Operands = tuple[int, ...]

SHIFT_DIGITS = 3
"""Width of the number of places by which something is moved: 1 to 7, and less than there are bits."""

ENDINGS: dict[Notation, tuple[str, ...]] = {"plain": ("", "=", " =", " = ?"), "circled": ("", " =")}
"""What may stand behind a question."""


@dataclass(frozen=True)
class Operation:
    """One operation on numbers of `bits` bits."""

    name: str
    plain: tuple[str, str, str, str]
    """The ways to ask for it; `{0}` is the first operand. Each has every one of `ENDINGS`, all equally frequent."""
    circled: tuple[str, str]
    """The same in the symbol language, which is read from left to right."""
    compute: Callable[[int, Operands], int]
    """The result from bits and operands; of a comparison 0 smaller, 1 as large, 2 larger."""
    draw: Callable[[Random, int], Operands]
    widths: Callable[[int], tuple[int, ...]]
    """Digits of each operand, from bits."""
    answer_width: Callable[[int], int]
    """Digits of the result; 0 for a comparison."""
    variety: Callable[[int], int]
    """How many different operands there are, from bits."""

    @cached_property
    def texts(self) -> dict[Notation, tuple[str, ...]]:
        """All texts in which it can be asked for, by notation."""
        bodies: dict[Notation, tuple[str, ...]] = {"plain": self.plain, "circled": self.circled}
        return {
            notation: tuple(body + ending for body in bodies[notation] for ending in endings)
            for notation, endings in ENDINGS.items()
        }


def _any(count: int) -> Callable[[Random, int], Operands]:
    return lambda rng, bits: tuple(rng.getrandbits(bits) for _ in range(count))


def _equal_widths(count: int) -> Callable[[int], tuple[int, ...]]:
    return lambda bits: (bits,) * count


def _all(count: int) -> Callable[[int], int]:
    return lambda bits: 1 << bits * count


def _larger_first(rng: Random, bits: int) -> Operands:
    first, second = rng.getrandbits(bits), rng.getrandbits(bits)
    return (first, second) if first >= second else (second, first)


def _alike(rng: Random, bits: int) -> Operands:
    """Two numbers to compare: a quarter each is equal, differs in one bit, or is any."""
    first = rng.getrandbits(bits)
    kind = rng.getrandbits(2)
    if kind == 0:
        return first, first
    if kind == 1:
        return first, first ^ 1 << int(rng.random() * bits)
    return first, rng.getrandbits(bits)


def _most_places(bits: int) -> int:
    return min(bits - 1, (1 << SHIFT_DIGITS) - 1)


def _moved(rng: Random, bits: int) -> Operands:
    return rng.getrandbits(bits), 1 + int(rng.random() * _most_places(bits))


def _halves(rng: Random, bits: int) -> Operands:
    return rng.getrandbits(bits // 2), rng.getrandbits(bits // 2)


def _divided(rng: Random, bits: int) -> Operands:
    return rng.getrandbits(bits), 1 + int(rng.random() * ((1 << bits // 2) - 1))


def _rotated_left(number: int, places: int, bits: int) -> int:
    return (number << places | number >> bits - places) & ((1 << bits) - 1)


def _forms(sign: str, word: str, verb: str) -> tuple[str, str, str, str]:
    return (f"{{0}}{sign}{{1}}", f"{{0}} {sign} {{1}}", f"{{0}} {word} {{1}}", f"{verb} {{0}}, {{1}}")


def _circled(sign: str) -> tuple[str, str]:
    return f"{{0}}{sign}{{1}}", f"{{0}} {sign} {{1}}"


def _of_two(
    name: str, texts: tuple[str, str, str], sign: str, compute: Callable[[int, int], int], answer: int = 0
) -> Operation:
    """An operation on any two numbers, whose result has `answer` digits more than they."""
    return Operation(
        name=name,
        plain=_forms(*texts),
        circled=_circled(sign),
        compute=lambda bits, operands: compute(*operands),
        draw=_any(2),
        widths=_equal_widths(2),
        answer_width=lambda bits: bits + answer,
        variety=_all(2),
    )


def _of_places(name: str, texts: tuple[str, str, str], sign: str, compute: Callable[[int, int, int], int]) -> Operation:
    """An operation that moves the digits of a number by some places."""
    return Operation(
        name=name,
        plain=_forms(*texts),
        circled=_circled(sign),
        compute=lambda bits, operands: compute(operands[0], operands[1], bits),
        draw=_moved,
        widths=lambda bits: (bits, SHIFT_DIGITS),
        answer_width=lambda bits: bits,
        variety=lambda bits: (1 << bits) * _most_places(bits),
    )


def _of_divisor(name: str, texts: tuple[str, str, str], sign: str, part: int) -> Operation:
    """One part of what `divmod` gives; the divisor has half the bits."""
    return Operation(
        name=name,
        plain=_forms(*texts),
        circled=_circled(sign),
        compute=lambda bits, operands: divmod(operands[0], operands[1])[part],
        draw=_divided,
        widths=lambda bits: (bits, bits // 2),
        answer_width=lambda bits: bits // 2 if part else bits,
        variety=lambda bits: (1 << bits) * ((1 << bits // 2) - 1),
    )


def _of_one(
    name: str,
    plain: tuple[str, str, str, str],
    sign: str,
    compute: Callable[[int, int], int],
    answer_width: Callable[[int], int],
) -> Operation:
    return Operation(
        name=name,
        plain=plain,
        circled=(f"{sign}{{0}}", f"{sign} {{0}}"),
        compute=lambda bits, operands: compute(operands[0], bits),
        draw=_any(1),
        widths=_equal_widths(1),
        answer_width=answer_width,
        variety=_all(1),
    )


def _of_three(
    name: str,
    plain: tuple[str, str, str, str],
    circled: tuple[str, str],
    compute: Callable[[int, int, int], int],
    answer: int,
) -> Operation:
    """Two steps on any three numbers, whose result has `answer` digits more than they."""
    return Operation(
        name=name,
        plain=plain,
        circled=circled,
        compute=lambda bits, operands: compute(*operands),
        draw=_any(3),
        widths=_equal_widths(3),
        answer_width=lambda bits: bits + answer,
        variety=_all(3),
    )


ADD = _of_two("add", ("+", "plus", "add"), "⊕", lambda a, b: a + b, answer=1)
SUM = _of_three(
    "sum",
    ("{0}+{1}+{2}", "{0} + {1} + {2}", "{0} plus {1} plus {2}", "add {0}, {1}, {2}"),
    ("{0}⊕{1}⊕{2}", "{0} ⊕ {1} ⊕ {2}"),
    lambda a, b, c: a + b + c,
    answer=2,
)
SUBTRACT = Operation(
    name="subtract",
    plain=_forms("-", "minus", "subtract"),
    circled=_circled("⊖"),
    compute=lambda bits, operands: operands[0] - operands[1],
    draw=_larger_first,
    widths=_equal_widths(2),
    answer_width=lambda bits: bits,
    variety=lambda bits: (1 << bits) * ((1 << bits) + 1) // 2,
)
AND = _of_two("and", ("&", "and", "and"), "Ⓐ", lambda a, b: a & b)
OR = _of_two("or", ("|", "or", "or"), "Ⓞ", lambda a, b: a | b)
XOR = _of_two("xor", ("^", "xor", "xor"), "Ⓧ", lambda a, b: a ^ b)
NOT = _of_one(
    "not",
    ("~{0}", "~ {0}", "not {0}", "invert {0}"),
    "Ⓝ",
    lambda number, bits: number ^ (1 << bits) - 1,
    lambda bits: bits,
)
SHIFT_LEFT = _of_places(
    "shift_left", ("<<", "left by", "shift left"), "Ⓛ", lambda a, places, bits: a << places & (1 << bits) - 1
)
SHIFT_RIGHT = _of_places("shift_right", (">>", "right by", "shift right"), "Ⓡ", lambda a, places, bits: a >> places)
COMPARE = Operation(
    name="compare",
    plain=("{0}?{1}", "{0} ? {1}", "{0} against {1}", "compare {0}, {1}"),
    circled=_circled("⊙"),
    compute=lambda bits, operands: 1 + (operands[0] > operands[1]) - (operands[0] < operands[1]),
    draw=_alike,
    widths=_equal_widths(2),
    answer_width=lambda bits: 0,
    variety=_all(2),
)
ONES = _of_one(
    "ones",
    ("#{0}", "# {0}", "ones in {0}", "count ones, {0}"),
    "Ⓒ",
    lambda number, bits: number.bit_count(),
    int.bit_length,
)
MULTIPLY = Operation(
    name="multiply",
    plain=_forms("*", "times", "multiply"),
    circled=_circled("⊗"),
    compute=lambda bits, operands: operands[0] * operands[1],
    draw=_halves,
    widths=lambda bits: (bits // 2, bits // 2),
    answer_width=lambda bits: bits // 2 * 2,
    variety=lambda bits: 1 << bits // 2 * 2,
)
DIVIDE = _of_divisor("divide", ("/", "divided by", "divide"), "⊘", part=0)
MODULO = _of_divisor("modulo", ("%", "modulo", "remainder"), "Ⓜ", part=1)
ROTATE_LEFT = _of_places("rotate_left", ("<<<", "rotated left by", "rotate left"), "⟲", _rotated_left)
ROTATE_RIGHT = _of_places(
    "rotate_right",
    (">>>", "rotated right by", "rotate right"),
    "⟳",
    lambda number, places, bits: _rotated_left(number, bits - places, bits),
)
AND_OR = _of_three(
    "and_or",
    ("({0}&{1})|{2}", "({0} & {1}) | {2}", "{0} and {1}, then or {2}", "and {0}, {1}, then or {2}"),
    ("{0}Ⓐ{1}Ⓞ{2}", "{0} Ⓐ {1} Ⓞ {2}"),
    lambda a, b, c: a & b | c,
    answer=0,
)
ADD_XOR = _of_three(
    "add_xor",
    ("({0}+{1})^{2}", "({0} + {1}) ^ {2}", "{0} plus {1}, then xor {2}", "add {0}, {1}, then xor {2}"),
    ("{0}⊕{1}Ⓧ{2}", "{0} ⊕ {1} Ⓧ {2}"),
    lambda a, b, c: (a + b) ^ c,
    answer=1,
)

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        ADD, SUM, SUBTRACT, AND, OR, XOR, NOT, SHIFT_LEFT, SHIFT_RIGHT, COMPARE, ONES, MULTIPLY, DIVIDE, MODULO,
        ROTATE_LEFT, ROTATE_RIGHT, AND_OR, ADD_XOR,
    )
}  # fmt: skip
