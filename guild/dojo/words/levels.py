"""The fifty levels of the syllacrostic puzzles: each is harder than the one before, and none is easier in anything.

The signal degrades (seed 003): from definitions that come with the first syllable to first letters and mere lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

from guild.dojo.words.lexicon import KINDS

MAX_LEVEL = 50
VAGUEST = 4.5
"""Of the last level: half of its clues are first letters, the others lengths."""


@dataclass(frozen=True, slots=True)
class Level:
    """What puzzles of one level are made of."""

    number: int
    words: int
    syllables: int
    """Most syllables of a word."""
    letters: int
    """Most letters of a word."""
    left_over: int
    """Syllables that belong to no word."""
    vagueness: float
    """Where its clues lie on the way from `KINDS[0]` to the last; 1.25 is three of `KINDS[1]` to one of `KINDS[2]`."""

    def kind(self, chance: float) -> int:
        """The kind of a clue, as an index of `KINDS`, for a chance drawn from [0, 1)."""
        return int(self.vagueness + chance)

    def shares(self) -> dict[str, float]:
        """How many of the clues are of each kind."""
        lower = int(self.vagueness)
        vaguer = round(self.vagueness - lower, 4)
        shares = {KINDS[lower]: round(1 - vaguer, 4)}
        return shares | {KINDS[lower + 1]: vaguer} if vaguer else shares


def level_of(number: int) -> Level:
    """The level of that number, 1 to `MAX_LEVEL`."""
    done = (number - 1) / (MAX_LEVEL - 1)
    return Level(
        number=number,
        words=3 + int(7 * done),
        syllables=2 + (number - 1) // 10,
        letters=6 + (number - 1) // 5,
        left_over=max(0, (number - 16) // 5),
        vagueness=VAGUEST * done,
    )
