"""The words of the syllacrostic puzzles, with their syllables and definitions: the files beside this one.

A line is `ta.ble`, a tab, and a definition; the word is its syllables joined. All were written for this project.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent

KINDS = ("opening", "counted", "defined", "syllable", "letter", "length")
"""The clues that there are for a word, from the one that tells most to the one that tells least."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A word, and what can be said of it to whoever has to find it. Each is there once: `is` compares them."""

    word: str
    syllables: tuple[str, ...]
    clues: tuple[str, ...]
    """One of each of `KINDS`. A word that has a clue in common with another is as good an answer to it."""


class Lexicon:
    """All entries in the order of their words, and which of them are spelled with which syllable."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = tuple(sorted(entries, key=lambda entry: entry.word))
        with_syllable: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            for syllable in set(entry.syllables):
                with_syllable[syllable].append(entry)
        self.with_syllable = {syllable: tuple(with_syllable[syllable]) for syllable in sorted(with_syllable)}
        self.syllables = tuple(self.with_syllable)

    def up_to(self, syllables: int, letters: int) -> tuple[Entry, ...]:
        """The entries of at most so many syllables and letters."""
        return tuple(
            entry for entry in self.entries if len(entry.syllables) <= syllables and len(entry.word) <= letters
        )


@cache
def lexicon() -> Lexicon:
    """The lexicon, read at the first call."""
    lines = [line for file in sorted(FOLDER.glob("*.tsv")) for line in file.read_text("utf-8").splitlines()]
    return Lexicon([entry(*line.split("\t")) for line in lines])


def entry(spelling: str, definition: str) -> Entry:
    """The entry of a line: a word with dots between its syllables, and its definition."""
    syllables = tuple(spelling.split("."))
    word, count, opening = "".join(syllables), len(syllables), syllables[0] + "-?" * (len(syllables) - 1)
    clues = (
        f"{definition} ({opening})",
        f"{definition} ({count} syllables)",
        definition,
        opening,
        f"starts with {word[0]}, {count} syllables",
        f"{len(word)} letters",
    )
    return Entry(word, syllables, clues)
