"""A heap of syllables that becomes a puzzle with one set of answers.

No word of the lexicon but the answers may both be spelled with the heap and fit one of the clues. An answer that fits
the clue of another does no harm: exchanged, they are the same set.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from guild.dojo.words.lexicon import Entry, Lexicon


class SyllableHeap:
    """The syllables of one puzzle, and the answers and clues that go with them."""

    def __init__(self, words: Lexicon) -> None:
        self.syllables: list[str] = []
        self.answers: list[Entry] = []
        self.clues: list[str] = []
        self._words = words
        self._at_hand: frozenset[str] = frozenset()
        self._chance_words: list[Entry] = []
        """What the syllables spell besides the answers."""

    def take_answer(self, entry: Entry, kind: int) -> bool:
        """Add a word and its clue of that kind; False, and nothing is changed, if there were other answers then."""
        if entry in self.answers:
            return False
        spelled = self._newly_spelled(entry.syllables)
        clues = [*self.clues, entry.clues[kind]]
        others = [word for word in chain(self._chance_words, spelled) if word is not entry]
        if _any_fits(others, clues):
            return False
        self.answers.append(entry)
        self.clues = clues
        self._keep(entry.syllables, others)
        return True

    def take_left_over(self, syllable: str) -> bool:
        """Add a syllable that belongs to no answer; False, and nothing is changed, if there were other answers then."""
        if syllable in self._at_hand:
            return False
        spelled = self._newly_spelled((syllable,))
        if _any_fits(spelled, self.clues):
            return False
        self._keep((syllable,), [*self._chance_words, *spelled])
        return True

    def _newly_spelled(self, syllables: tuple[str, ...]) -> list[Entry]:
        """Words that can be put together with these syllables and not without, were each to be had several times."""
        at_hand = self._at_hand.union(syllables)
        found = {
            entry: None
            for syllable in syllables
            if syllable not in self._at_hand
            for entry in self._words.with_syllable[syllable]
            if at_hand.issuperset(entry.syllables)
        }
        return list(found)

    def _keep(self, syllables: tuple[str, ...], chance_words: list[Entry]) -> None:
        self.syllables += syllables
        self._at_hand = self._at_hand.union(syllables)
        self._chance_words = chance_words


def _any_fits(entries: Iterable[Entry], clues: list[str]) -> bool:
    asked = set(clues)
    return any(not asked.isdisjoint(entry.clues) for entry in entries)
