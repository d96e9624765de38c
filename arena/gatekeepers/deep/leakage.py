"""Answers that stand in the question already, so that copying is learned instead of answering."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Answer, Sample
from arena.gatekeepers.findings import Findings

SHORTEST = 11
"""Characters; shorter texts stand in any question, such as the letter of a choice."""
PREVIEW = 50
"""Characters of an answer's first line that are looked for."""
MOST_NUMBERS = 100
"""Of one answer, that are looked for."""

_NUMBERS = re.compile(r"\([0-9\s]+\)")
"""How solutions of puzzles are written."""


class Leakage:
    """Looks for each answer in what the user said right before it."""

    def __init__(self, findings: Findings) -> None:
        self._checked = self._found = 0
        self._remarks = Remarks(findings, "take it out of the prompt, unless copying is the task")

    def look(self, sample: Sample) -> None:
        for answer in sample.answers:
            if answer.asked:
                self._checked += 1
                if what := leak(answer):
                    self._found += 1
                    self._remarks.tell(sample.number, sample.line, answer.place, what)

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("the answer stands in its prompt")
        return {"leakage_samples_checked": self._checked, "leakage_found": self._found}


def leak(answer: Answer) -> str | None:
    """What of the answer stands in its prompt, in words; None when nothing does."""
    text = answer.text.strip()
    if len(text) >= SHORTEST and text in answer.asked:
        return "the whole answer stands in its prompt"
    preview = text.partition("\n")[0].strip()[:PREVIEW].strip()
    if len(preview) >= SHORTEST and preview in answer.asked:
        return f"the answer begins with words of its prompt ({preview!r})"
    for match in islice(_NUMBERS.finditer(text), MOST_NUMBERS):
        numbers = match[0]
        if len(numbers) >= SHORTEST and numbers in answer.asked:
            return f"the numbers {numbers:.60} of the answer stand in its prompt"
    return None
