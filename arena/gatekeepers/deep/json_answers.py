"""Answers that begin like JSON and are none: the model would learn to write it broken."""

from __future__ import annotations

import re
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Sample
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.scrolls.json_faults import explain_fault
from arena.gatekeepers.scrolls.json_lines import UNDECODABLE, decode

_BEGINS_JSON = re.compile(r"""\{\s*["'}]|\[\s*(?:[\[{"'\]]|-?[\d.]+\s*[,\]]\s*[-\d"\]])""")
"""An object, or a list of values: no `[link](…)`, no `{placeholder}`, no `[1]` of a footnote."""


class JsonAnswers:
    """Decodes every answer that begins like JSON."""

    def __init__(self, findings: Findings) -> None:
        self._checked = self._invalid = 0
        self._remarks = Remarks(findings, "correct it, or take the row out")

    def look(self, sample: Sample) -> None:
        for answer in sample.answers if sample.roles else []:
            text = answer.text.strip()
            if not _BEGINS_JSON.match(text):
                continue
            self._checked += 1
            raw = text.encode()
            try:
                decode(raw)
            except UNDECODABLE:
                self._invalid += 1
                what = f"the answer begins like JSON, but {explain_fault(raw)}"
                self._remarks.tell(sample.number, sample.line, answer.place, what)

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("the answer begins like JSON and is none")
        return {"json_stats": {"checked": self._checked, "invalid": self._invalid}}
