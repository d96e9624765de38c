"""Answers that hardly say anything: empty ones, very short ones, and mere punctuation."""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Sample
from arena.gatekeepers.findings import Findings

SHORTEST = 5
"""Characters."""


class Degenerate:
    """Counts the answers of each kind."""

    def __init__(self, findings: Findings) -> None:
        self._checked = 0
        self._found: Counter[str] = Counter()
        self._remarks = Remarks(findings, "keep it if so short an answer is what you want, else take the row out")

    def look(self, sample: Sample) -> None:
        for answer in sample.answers:
            self._checked += 1
            kind = poverty(answer.text)
            if kind is None:
                continue
            self._found[kind] += 1
            if kind != "empty":  # QUICK names each of these
                text = answer.text.strip()
                what = "only punctuation" if kind == "punctuation_only" else f"fewer than {SHORTEST} characters"
                self._remarks.tell(sample.number, sample.line, answer.place, f"the answer {text[:20]!r} has {what}")

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("the answer hardly says anything")
        kinds = {kind: self._found[kind] for kind in ("empty", "too_short", "punctuation_only")}
        return {"degenerate_stats": {"checked": self._checked, **kinds}}


def poverty(text: str) -> str | None:
    """`empty`, `punctuation_only` or `too_short`; None for a text that says something."""
    text = text.strip()
    if not text:
        return "empty"
    if all(unicodedata.category(sign)[0] in "PZC" or sign in string.punctuation for sign in text):
        return "punctuation_only"
    return "too_short" if len(text) < SHORTEST else None
