"""Questions and answers of which one is out of all proportion to the other."""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Answer, Sample
from arena.gatekeepers.findings import Findings

LONGEST_PROMPT = 20
"""Times as long as its answer."""
LONGEST_ANSWER = 50
"""Times as long as its prompt."""
LONG = 500
"""Characters; of two shorter texts none is out of proportion."""


class Ratio:
    """Compares each answer with what the user said right before it."""

    def __init__(self, findings: Findings) -> None:
        self._checked = self._long_prompts = self._long_answers = 0
        self._remarks = Remarks(findings, "see whether a part of the row was lost or ended up in the wrong turn")

    def look(self, sample: Sample) -> None:
        for answer in sample.answers:
            if not answer.asked.strip() or not answer.text.strip():
                continue
            self._checked += 1
            if what := disproportion(answer):
                self._long_prompts += what.startswith("the prompt")
                self._long_answers += what.startswith("the answer")
                self._remarks.tell(sample.number, sample.line, answer.place, what)

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("prompt and answer out of proportion")
        found = {"long_prompts": self._long_prompts, "long_answers": self._long_answers}
        return {"ratio_stats": {"checked": self._checked, **found}}


def disproportion(answer: Answer) -> str | None:
    """Which of the two is far longer, in words; None when neither is."""
    prompt, text = len(answer.asked), len(answer.text)
    if prompt > max(LONG, LONGEST_PROMPT * text):
        return f"the prompt is {prompt // text} times as long as its answer ({prompt} and {text} characters)"
    if text > max(LONG, LONGEST_ANSWER * prompt):
        return f"the answer is {text // prompt} times as long as its prompt ({text} and {prompt} characters)"
    return None
