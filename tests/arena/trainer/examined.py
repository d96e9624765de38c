"""A field whose quests carry examinations, and a daemon that claims them in order and records the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from arena.examinations import Examinations
from arena.protocol import Begin, Claim, Command, Event, Examined, ExamSheet, OpenQuest, QuestEnded, Ready, Stop
from arena.trainer.engine import BattleTrainer
from tests.arena.trainer.driving import Field
from tests.arena.trainer.fighting_here import fight

QUESTIONS = ["add 2 and 3", "add 40 and 2 please please", "what?"]


def sheet(exam_id: str, *, tokens: int = 20, questions: list[str] = QUESTIONS) -> ExamSheet:
    return ExamSheet(exam_id=exam_id, questions=questions, max_new_tokens=tokens)


def two_quests(base: Any, model: Any, **changes: Any) -> Field:
    """Of five and four steps."""
    place = Field(base, model)
    place.foe("first", 20, **changes)
    place.foe("second", 16, **changes)
    return place


@dataclass
class Recorder:
    """The daemon's part, over several lives of a trainer."""

    place: Field
    sheets: dict[str, ExamSheet]
    """By quest id."""
    recorded: dict[str, Examined] = field(default_factory=dict)
    _waiting: list[str] = field(default_factory=list)
    _open: set[str] = field(default_factory=set)

    @property
    def kept(self) -> Examinations:
        return Examinations(self.place.paths.examinations)

    def open_quests(self) -> list[OpenQuest]:
        """What a new child is told, after what lies there has been recorded."""
        for examined in self.kept.all():
            self._record(examined)
        known = {claim.quest_id for claim in self.place.history.claims.values()}
        self._waiting = [quest_id for quest_id in self.place.foes if quest_id not in known]
        self._open = set()
        return [
            OpenQuest(quest_id=foe.quest_id, path=str(foe.path), examination=self._unrecorded(foe.quest_id))
            for foe in self.place.foes.values()
        ]

    def answer(self, event: Event) -> Command | None:
        """One quest after the other; a stop once all are over and examined."""
        if isinstance(event, Ready):
            self._open = set(event.replay)
        elif isinstance(event, QuestEnded):
            self._open.discard(event.quest_id)
        elif isinstance(event, Examined):
            self._record(event)
        else:
            return None
        if self._open:
            return None
        if self._waiting:
            quest_id = self._waiting.pop(0)
            self._open.add(quest_id)
            return self.claim(quest_id)
        return None if any(map(self._unrecorded, self.place.foes)) else Stop(reason="all is learned and examined")

    def claim(self, quest_id: str) -> Claim:
        return replace(self.place.foes[quest_id].claim(), examination=self._unrecorded(quest_id))

    def _unrecorded(self, quest_id: str) -> ExamSheet | None:
        found = self.sheets.get(quest_id)
        return found if found is not None and found.exam_id not in self.recorded else None

    def _record(self, examined: Examined) -> None:
        before = self.recorded.setdefault(examined.exam_id, examined)
        assert (before.answers, before.step) == (examined.answers, examined.step), "it says something else now"
        self.kept.forget(examined.exam_id)


def live(
    recorder: Recorder, prepare: Callable[[BattleTrainer, Begin], None] = lambda trainer, begin: None, **begin: Any
) -> list[Event]:
    """One life of a trainer in this process."""
    told = recorder.open_quests()
    return fight(recorder.place, answer=recorder.answer, prepare=prepare, open_quests=told, **begin)
