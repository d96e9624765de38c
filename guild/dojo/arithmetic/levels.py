"""The thirty levels of binary arithmetic: how many bits, which operations, which notation.

Bits are level + 1, so 2 to 30; the last level has 32, a whole machine word (spec 1.17). The symbol language comes with
level 8 and is spoken in three problems of four from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from guild.dojo.arithmetic import operations as op
from guild.dojo.arithmetic.operations import Operation

MAX_LEVEL = 30
FIRST_CIRCLED = 8
CIRCLED_SHARE = 0.75

_NEW: dict[int, tuple[Operation, ...]] = {
    1: (op.ADD,),
    5: (op.SUBTRACT,),
    7: (op.AND, op.OR, op.XOR),
    9: (op.NOT,),
    10: (op.SHIFT_LEFT, op.SHIFT_RIGHT),
    12: (op.COMPARE,),
    14: (op.ONES,),
    16: (op.MULTIPLY,),
    18: (op.DIVIDE, op.MODULO),
    21: (op.SUM,),
    23: (op.ROTATE_LEFT, op.ROTATE_RIGHT),
    25: (op.AND_OR,),
    27: (op.ADD_XOR,),
}
"""The operations that come with a level. Four levels of addition alone: each is new to a hero who has never counted."""


@dataclass(frozen=True)
class Level:
    """What the problems of a level are made of."""

    number: int
    bits: int
    operations: tuple[Operation, ...]
    newest: tuple[Operation, ...]
    """Those that came last, here or on a level below: half of the problems are theirs."""
    circled_share: float

    @property
    def space(self) -> int:
        """How many different problems there are."""
        return sum(operation.variety(self.bits) * self._ways(operation) for operation in self.operations)

    def _ways(self, operation: Operation) -> int:
        return len(operation.texts["plain"]) + (len(operation.texts["circled"]) if self.circled_share else 0)


@cache
def level_of(number: int) -> Level:
    """The level of that number, 1 to `MAX_LEVEL`."""
    arrived = [operations for first, operations in _NEW.items() if first <= number]
    return Level(
        number=number,
        bits=32 if number == MAX_LEVEL else number + 1,
        operations=tuple(operation for group in arrived for operation in group),
        newest=arrived[-1],
        circled_share=CIRCLED_SHARE if number >= FIRST_CIRCLED else 0.0,
    )
