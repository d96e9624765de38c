"""Which of the quests that wait are the trainer's already (ADR 0016).

It is told of a quest before that moves to `processing/`, and where the realm is killed or the disk refuses in between,
the journal may hold the claim of one that lies among those that wait. Nobody else may have such a quest.
"""

from __future__ import annotations

from collections.abc import Iterable

from arena.lanes.listing import Stamp


class Pledges:
    """Kept by the quest board under its lock; ids of quests that lie elsewhere by now mean nothing."""

    def __init__(self) -> None:
        self.promised: str | None = None
        """The quest that somebody was told of as the next."""
        self._stamp: Stamp | None = None
        """Which version of its file it was."""
        self._begun: dict[str, None] = {}

    @property
    def begun(self) -> list[str]:
        """Quests whose claims the journal holds, in its order."""
        return list(self._begun)

    def hold(self, quest_id: str) -> bool:
        """Whether this quest is the trainer's, as long as it waits."""
        return quest_id == self.promised or quest_id in self._begun

    def promise(self, quest_id: str, stamp: Stamp | None) -> None:
        """There is one promise at a time: the last one."""
        self.promised, self._stamp = quest_id, stamp

    def is_promised(self, quest_id: str, stamp: Stamp | None) -> bool:
        """Whether this very version of its file was promised."""
        return (self.promised, self._stamp) == (quest_id, stamp)

    def break_promise(self) -> None:
        self.promised = self._stamp = None

    def note_begun(self, quest_id: str) -> None:
        """The journal holds its claim."""
        self._begun[quest_id] = None

    def begin(self, begun: Iterable[str]) -> None:
        """Another trainer begins, with a journal that holds the claims of these, and was told of nothing else."""
        self.break_promise()
        self._begun = dict.fromkeys(begun)

    def let_go(self, quest_id: str) -> None:
        """The quest does not wait any more."""
        if quest_id == self.promised:
            self.break_promise()
        self._begun.pop(quest_id, None)
