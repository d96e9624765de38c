"""Chats whose turns do not follow each other as turns do: the order, not the words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Sample
from arena.gatekeepers.findings import Findings

WORDS = {
    "system_not_first": "a system message stands behind the first turn",
    "orphan_assistant": "the assistant speaks before any user has asked",
    "doubled_roles": "the same role speaks twice in a row",
}


class ConversationFlow:
    """A chat without an assistant is not looked for: QUICK refuses it."""

    def __init__(self, findings: Findings) -> None:
        self._checked = 0
        self._found: Counter[str] = Counter()
        self._remarks = Remarks(findings, "put the turns in order, or join them")

    def look(self, sample: Sample) -> None:
        if not sample.roles:
            return
        self._checked += 1
        for index, kind in flow_faults(sample.roles):
            self._found[kind] += 1
            self._remarks.tell(sample.number, sample.line, sample.texts[index][0], WORDS[kind])

    def finish(self) -> dict[str, Any]:
        self._remarks.finish("turns out of order")
        return {"flow_stats": {"checked": self._checked, **{kind: self._found[kind] for kind in WORDS}}}


def flow_faults(roles: list[str]) -> Iterator[tuple[int, str]]:
    """The first fault of each kind: the index of its turn, and the kind."""
    spoken = [index for index, role in enumerate(roles) if role != "system"]
    late = next((index for index, role in enumerate(roles) if role == "system" and spoken and index > spoken[0]), None)
    if late is not None:
        yield late, "system_not_first"
    first = next((index for index, role in enumerate(roles) if role in ("assistant", "user")), None)
    if first is not None and roles[first] == "assistant":
        yield first, "orphan_assistant"
    # Several tools may answer one turn.
    doubled = (index for index in range(1, len(roles)) if roles[index] == roles[index - 1] != "tool")
    if (index := next(doubled, None)) is not None:
        yield index, "doubled_roles"
