"""Charges a death of the trainer to the quest that it died on, and withdraws the quest that has three strikes."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

from arena.journal import read_history
from arena.lanes.listing import Stamp, stamp_at
from arena.protocol import RanOut, Withdrawal
from arena.quest_board import QuestBoard
from arena.quests import Quest, Strike
from arena.supervision.position_file import Phase
from arena.supervision.strikes import judge_death
from arena.supervision.trainer_process import Death
from core.saga import News, Saga


class StrikeBench:
    """Keeps the withdrawals that the next child has to write into the journal; its methods read and move files."""

    def __init__(self, board: QuestBoard, saga: Saga, journal: Path) -> None:
        self._board = board
        self._saga = saga
        self._journal = journal
        self._withdrawn: dict[str, str] = {}
        self.ran_out: RanOut | None = None
        """The last step that the machine's memory did not suffice for; a child that is past it does not look at it."""

    @property
    def withdrawals(self) -> list[Withdrawal]:
        """Quests that the trainer must not step again."""
        return [Withdrawal(quest_id=quest_id, reason=reason) for quest_id, reason in self._withdrawn.items()]

    def forget_withdrawals(self) -> None:
        """A child has written them down."""
        self._withdrawn.clear()

    def forget(self) -> None:
        """The history was turned: its ordinals are given anew, and what was charged to them goes for nothing."""
        self._withdrawn.clear()
        self.ran_out = None

    def judge(self, death: Death, now: datetime) -> None:
        """A strike for the quest that was being stepped or prepared; the third one withdraws it."""
        position = death.position
        self._note_memory(death)
        if death.interrupted or position is None or position.phase not in (Phase.STEPPING, Phase.PREPARING):
            return
        quest = self._quest_at(position.ordinal)
        if quest is None:
            return
        strike = Strike(at=now.isoformat(), ordinal=position.ordinal, quest_step=position.quest_step, cause=death.cause)
        verdict = judge_death(quest.record.strikes, strike, replaying=position.replaying, phase=position.phase)
        if not verdict.charged:
            return
        self._board.add_strike(quest.quest_id, strike)
        message = f"{quest.name} takes strike {verdict.strikes} of {verdict.limit}: {death.cause}"
        self._saga.tell([News("quest_strike", message, {"quest_id": quest.quest_id})], now=now)
        if verdict.withdraw:
            self._withdraw(quest, f"the trainer died {verdict.strikes} times at the same place: {death.cause}", now)

    def _note_memory(self, death: Death) -> None:
        """Whoever is to blame: also a step that is replayed must become smaller."""
        position = death.position
        if not death.out_of_memory or position is None or position.phase is not Phase.STEPPING:
            return
        history, place = read_history(self._journal), (position.ordinal, position.quest_step)
        if position.ordinal in history.claims:
            self.ran_out = RanOut(
                ordinal=position.ordinal, quest_step=position.quest_step, tokens=history.token_budget(place)
            )

    def is_in_journal(self, quest_id: str) -> bool:
        """Whether the quest was begun."""
        return _has_begun(quest_id, self._journal, stamp_at(self._journal))

    def _withdraw(self, quest: Quest, reason: str, now: datetime) -> None:
        if self.is_in_journal(quest.quest_id):
            self._withdrawn[quest.quest_id] = reason
            return
        self._board.fail(quest.quest_id, outcome="withdrawn", reason=reason, now=now)
        self._saga.tell([News("quest_withdrawn", f"{quest.name} was withdrawn: {reason}")], now=now)

    def _quest_at(self, ordinal: int) -> Quest | None:
        history = read_history(self._journal)
        claim = history.claims.get(ordinal)
        if claim is not None:
            return self._board.find(claim.quest_id)
        # A quest that killed the trainer while it was being tokenized stands in no journal yet. It is the one that the
        # trainer was told of last, which may still wait; in processing/ may lie one that is over.
        told = self._board.promised() or self._board.processing()
        return told if told is not None and history.ordinal_of(told.quest_id) is None else None


@lru_cache(maxsize=1)
def _has_begun(quest_id: str, journal: Path, stamp: Stamp | None) -> bool:
    """Whether the journal names the quest; read once for each version of the file, as it may be asked with each claim.

    `stamp` is that of the journal.
    """
    return read_history(journal).ordinal_of(quest_id) is not None
