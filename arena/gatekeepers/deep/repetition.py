"""Answers that go round in circles: a word again and again, a sentence twice, or one letter for nearly all of it."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Sample
from arena.gatekeepers.findings import Findings

SHORTEST_SENTENCE = 20
"""Characters; shorter ones may well be said twice."""
LONGER_THAN = 50
"""Characters from which on the share of one letter is looked at."""
MOST_OF_A_LETTER = 0.40

# Possessive, so that a long text of letters is gone through once and not once for each of them.
_WORD = re.compile(r"\b(?=\w*[^\W\d_])(\w++)(?:[\s,]++\1\b){4}", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


class Repetition:
    """Counts the answers of each kind."""

    def __init__(self, findings: Findings) -> None:
        self._checked = 0
        self._found: Counter[str] = Counter()
        self._remarks = Remarks(findings, "a model repeats what it was taught: take the row out or mend it")

    def look(self, sample: Sample) -> None:
        for answer in sample.answers:
            self._checked += 1
            if fault := repetition(answer.text):
                kind, what = fault
                self._found[kind] += 1
                self._remarks.tell(sample.number, sample.line, answer.place, what)

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("the answer repeats itself")
        kinds = {kind: self._found[kind] for kind in ("repeated_words", "repeated_sentences", "one_letter")}
        return {"repetition_stats": {"checked": self._checked, **kinds}}


def repetition(text: str) -> tuple[str, str] | None:
    """The kind of a text's repetition and what it is, in words; None when it does not repeat itself."""
    if word := _WORD.search(text):
        return "repeated_words", f"the word {word[1]!r:.40} stands there five times in a row"
    sentences = Counter(filter(_is_sentence, _SENTENCE_END.split(text)))
    if sentences and (often := sentences.most_common(1)[0])[1] > 1:
        return "repeated_sentences", f"the sentence {often[0][:60]!r} stands there {often[1]} times"
    if len(text) > LONGER_THAN:
        letters = Counter(letter for letter in text.lower() if letter.isalpha())
        letter, number = letters.most_common(1)[0] if letters else ("", 0)
        if number > MOST_OF_A_LETTER * len(text):
            return "one_letter", f"the letter {letter!r} makes up {number / len(text):.0%} of the answer"
    return None


def _is_sentence(text: str) -> bool:
    """Lines of code and of lists do not end like this, and do repeat."""
    return len(text) >= SHORTEST_SENTENCE and text.endswith((".", "!", "?"))
