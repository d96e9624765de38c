"""Law 3 under fire: each row is learned once per epoch, whatever is skipped, dropped, saved, stopped or killed.

The battle is the real one, with journal, checkpoints, examinations and position on a real disk; only the engine is a
list: its "weights" are the lines that each step has taught, saved into and loaded from real checkpoint directories, and
when it is examined, it answers with their hash.
"""

from __future__ import annotations

import json
import math
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from blake3 import blake3
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from transformers import TrainerState

from arena.cursor import Cursor, read_cursor
from arena.examinations import Examinations
from arena.journal import JOURNAL_NAME, Genesis, Journal
from arena.protocol import Arithmetic, Begin, Claim, ExamSheet, OpenQuest, QuestSettings, Ready, Save, Skip
from arena.rendering import Renderer
from arena.supervision.position_file import PositionFile
from arena.trainer.battle import Battle, StepPlan
from arena.trainer.examination import Examiner
from arena.trainer.generation import Manner
from arena.trainer.healing.healer import Healer
from arena.trainer.link import DaemonLink
from arena.trainer.measuring import Measuring
from arena.trainer.orders import Orders
from arena.trainer.row_notes import RowNotes
from arena.trainer.saving.save_room import SaveRoom
from arena.trainer.saving.saver import Saver
from arena.trainer.saving.snapshot import EngineState
from arena.trainer.saving.writing import CheckpointWriter
from arena.trainer.situation import Situation
from arena.trainer.stream.quest_taking import ClaimClock, QuestTaker
from core.files import Files
from core.paths import RealmPaths
from guild.profiles import get_profile
from tests.arena.quest_makers import Killed
from tests.arena.trainer.tiny_hero import chat, hash_of, settings, write_rows
from vault.checkpoints import CheckpointStore

WEIGHTS = "model.safetensors"
DROPPED_IN_A_ROW = 3

Lesson = tuple[int, int, tuple[int, ...]]
"""Ordinal, step of the quest, and the lines that it taught: none for a step whose gradients were dropped."""


class Disk(Files):
    """Syncs nothing; once armed, it kills right after a journal line is written."""

    armed = False

    def fsync(self, fd: int) -> None:
        pass

    def append_line(
        self, path: Path, line: bytes, *, durable: bool, create: bool = True, cut_to: int | None = None
    ) -> None:
        super().append_line(path, line, durable=durable, create=create, cut_to=cut_to)
        if self.armed:
            raise Killed


@dataclass
class ListEngine:
    """Stands where `BattleTrainer` does (`arena.trainer.situation.Arms`), and for the model that it would save."""

    lessons: list[Lesson]

    @property
    def global_step(self) -> int:
        return len(self.lessons)

    def snapshot(self, *, in_place: bool) -> EngineState:
        model: Any = self
        return EngineState(
            network=model, tokenizer=model, weights={"lessons": list(self.lessons)}, optimizer={}, scheduler={},  # type: ignore[dict-item]
            random={}, trainer_state=TrainerState(), in_place=in_place,
        )  # fmt: skip

    def validation_loss(self) -> None:
        return None

    def settle(self, settings: QuestSettings) -> QuestSettings:
        return settings

    def answers(
        self, prompts: Sequence[Sequence[int]], manner: Manner, arithmetic: Arithmetic | None
    ) -> list[list[int] | None]:
        manner.between()
        return [list(hash_of_lessons(self.lessons).encode()) for _ in prompts]

    def save_pretrained(self, folder: Path, state_dict: dict[str, Any] | None = None) -> list[str]:
        if state_dict is not None:
            (folder / WEIGHTS).write_text(json.dumps(state_dict["lessons"]))
        return []


def read_lessons(checkpoint: Path) -> list[Lesson]:
    return [(ordinal, step, tuple(lines)) for ordinal, step, lines in json.loads((checkpoint / WEIGHTS).read_text())]


def hash_of_lessons(lessons: list[Lesson]) -> str:
    return blake3(json.dumps(lessons).encode()).hexdigest()


def sheet_of(quest_id: str) -> ExamSheet:
    return ExamSheet(exam_id=quest_id, questions=["What do you know?"], max_new_tokens=64)


@dataclass
class Known:
    """What the model knows of a claimed quest."""

    quest_id: str
    rows: int
    per_step: int
    epochs: int
    end: int | None = None
    """Steps after which it was cut."""
    dropped: set[int] = field(default_factory=set)

    @property
    def sizes(self) -> list[int]:
        """Rows of each step that counts."""
        an_epoch = [
            len(range(self.rows)[first : first + self.per_step]) for first in range(0, self.rows, self.per_step)
        ]
        return (an_epoch * self.epochs)[: self.end]


class BattleMachine(RuleBasedStateMachine):
    """One hero, whose trainer lives many lives."""

    renderer: Renderer
    disk: Disk
    store: CheckpointStore
    engine: ListEngine
    battle: Battle
    writer: CheckpointWriter
    steps: Generator[StepPlan, None, None]
    plan: StepPlan
    """The step at hand."""
    engaged = False
    """Whether this life has made a step."""

    @initialize()
    def start(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="battle-"))
        self.paths = RealmPaths(self.base)
        self.paths.create()
        self.examinations = Examinations(self.paths.examinations)
        self.quests: list[Known] = []
        self.waiting: Known | None = None
        """Asked for, and not in the journal yet."""
        self.lines_of: dict[tuple[int, int], tuple[int, ...]] = {}
        """The lines of each step when it was made first."""
        self.bad_step: tuple[int, int] | None = None
        """Its gradients were dropped, and the battle has not written that down yet."""
        self._awake()

    def teardown(self) -> None:
        if not hasattr(self, "steps"):
            return
        try:
            self._learn_the_rest()
        finally:
            self._fall_asleep()
            shutil.rmtree(self.base, ignore_errors=True)

    def _learn_the_rest(self) -> None:
        self.learn(1000)
        self.stop()
        for ordinal, quest in enumerate(self.quests, start=1):
            taught = [lesson for lesson in self.engine.lessons if lesson[0] == ordinal]
            assert [step for _, step, _ in taught] == list(range(len(quest.sizes)))
            per_epoch = -(-quest.rows // quest.per_step)
            orders = []
            for epoch in range(len(quest.sizes) // per_epoch):
                steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
                orders.append(tuple(line for step in steps for line in self.lines_of[ordinal, step]))
                assert Counter(orders[-1]) == Counter(range(1, quest.rows + 1))
            # By chance two epochs are alike once in 720 times, and these runs are the same every time.
            assert len(set(orders)) == len(orders) or quest.rows < 6

    # --- what the daemon asks for -----------------------------------------------------------------------------

    @precondition(lambda self: self._left == 0 and self.waiting is None)
    @rule(rows=st.integers(1, 11), per_step=st.integers(1, 4), epochs=st.integers(1, 3))
    def claim(self, rows: int, per_step: int, epochs: int) -> None:
        quest_id = f"q{len(self.quests)}"
        plan = settings(batch_size=per_step, gradient_accumulation=1, epochs=epochs)
        path = write_rows(self.base / "quests" / f"{quest_id}.jsonl", [chat(row) for row in range(rows)])
        self.battle.situation.orders.claim = Claim(
            quest_id=quest_id, path=str(path), name=path.name, content_hash=hash_of(path), schema_id="chat_sft_v1",
            settings=plan, examination=sheet_of(quest_id),
        )  # fmt: skip
        self.waiting = Known(quest_id, rows, per_step, epochs)

    @rule()
    def ask_for_a_save(self) -> None:
        self.battle.situation.orders.save = Save(reason="a wish")

    @rule()
    def skip(self) -> None:
        """The quest at hand ends after the step at hand; then the trainer is stopped, as there may be nothing left."""
        if not self.engine.lessons or not self.engaged:
            return
        ordinal, step, _ = self.engine.lessons[-1]
        quest = self.quests[ordinal - 1]
        self.battle.situation.orders.skip = Skip(quest_id=quest.quest_id, reason="dull")
        if step + 1 < len(quest.sizes):
            quest.end = step + 1
        self.stop()

    @rule()
    def stop(self) -> None:
        self.battle.situation.orders.stop("a wish")
        self._confirm()
        assert list(self.steps) == []
        assert self._saved() == self.engine.lessons
        self._awake()

    # --- what happens -----------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 8))
    def learn(self, count: int) -> None:
        for _ in range(count):
            if not self._left and self.waiting is None:
                return
            self._confirm()
            if self._left:
                self._make(next(self.steps))
            else:
                # The claim is in the journal once the step is at hand.
                plan = next(self.steps)
                self._take_in()
                self._make(plan)

    @precondition(lambda self: self.bad_step is None)
    @rule()
    def learn_what_is_not_finite(self) -> None:
        self.learn(1)
        if self.engaged and self.plan.learn:
            self.plan.loss = torch.tensor(math.nan)
            self.battle.healer.judge(self.plan, math.nan)
            assert self.plan.dropped
            place = (self.plan.ordinal, self.plan.quest_step)
            self.engine.lessons[-1] = (*place, ())
            self.bad_step = place

    @rule()
    def kill(self) -> None:
        """SIGKILL between two steps or within one: what no checkpoint holds is learned again."""
        self._awake()

    @precondition(lambda self: self.waiting is not None and self._left == 0 and self.bad_step is None)
    @rule()
    def kill_right_after_the_claim_is_written(self) -> None:
        self.disk.armed = True
        with suppress(Killed):
            next(self.steps)
            raise AssertionError("it was to die")
        self._take_in()
        self._awake()

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def the_weights_are_what_the_journal_tells(self) -> None:
        if not hasattr(self, "base"):
            return
        assert [lesson[:2] for lesson in self.engine.lessons] == self._places()[: len(self.engine.lessons)]
        history = self.battle.situation.journal.history
        assert len(history.claims) == len(self.quests)
        for ordinal, quest in enumerate(self.quests, start=1):
            assert history.steps_of(ordinal) == len(quest.sizes)
            taught = [size for step, size in enumerate(quest.sizes) if step not in quest.dropped]
            assert history.rows_learned(ordinal) == sum(taught)

    @invariant()
    def a_checkpoint_says_what_it_holds(self) -> None:
        if not hasattr(self, "base"):
            return
        for found in self.store.list():
            cursor, lessons = read_cursor(found.path), read_lessons(found.path)
            assert found.step == len(lessons)
            assert cursor.rows_total == sum(len(lines) for _, _, lines in lessons)
            places = self._places()
            here = places[len(lessons)] if len(lessons) < len(places) else (len(self.quests) + 1, 0)
            # The end of a quest and the beginning of the next leave no step between them.
            assert (cursor.ordinal, cursor.quest_step) in (here, self._after(lessons))

    # --- inside -----------------------------------------------------------------------------------------------

    @property
    def _left(self) -> int:
        """Steps of the journal that are not made yet."""
        return len(self._places()) - len(self.engine.lessons)

    def _places(self) -> list[tuple[int, int]]:
        return [
            (ordinal, step) for ordinal, quest in enumerate(self.quests, start=1) for step in range(len(quest.sizes))
        ]

    def _after(self, lessons: list[Lesson]) -> tuple[int, int]:
        return (lessons[-1][0], lessons[-1][1] + 1) if lessons else (1, 0)

    def _saved(self) -> list[Lesson]:
        head = self.store.resolve("latest")
        return read_lessons(head.path) if head else []

    def _make(self, plan: StepPlan) -> None:
        """One step of the engine."""
        place = (plan.ordinal, plan.quest_step)
        lines = tuple(row.line for row in plan.rows)
        assert place == self._places()[len(self.engine.lessons)]
        self._check_examinations(plan.ordinal)
        quest = self.quests[plan.ordinal - 1]
        assert len(lines) == quest.sizes[plan.quest_step]
        assert self.lines_of.setdefault(place, lines) == lines
        assert plan.learn == (plan.quest_step not in quest.dropped)
        plan.loss = torch.tensor(1.0) if plan.learn else None
        self.battle.healer.judge(plan, 1.0)
        self.engine.lessons.append((*place, () if plan.dropped else lines))
        self.plan, self.engaged = plan, True

    def _check_examinations(self, up_to: int) -> None:
        """Every quest before this one was examined, with the weights that surviving lessons made until its end."""
        for ordinal, quest in enumerate(self.quests[: up_to - 1], start=1):
            examined = self.examinations.find(quest.quest_id)
            assert examined is not None
            lessons = [lesson for lesson in self.engine.lessons if lesson[0] <= ordinal]
            assert (examined.step, examined.answers) == (len(lessons), [hash_of_lessons(lessons)])

    def _confirm(self) -> None:
        """The battle goes on now, and writes down that the step at hand was dropped."""
        if self.bad_step is None:
            return
        ordinal, step = self.bad_step
        self.bad_step = None
        quest = self.quests[ordinal - 1]
        quest.dropped.add(step)
        run = range(step - DROPPED_IN_A_ROW + 1, step + 1)
        if set(run) <= quest.dropped:
            quest.end = step + 1

    def _take_in(self) -> None:
        assert self.waiting is not None
        self.quests.append(self.waiting)
        self.waiting = None

    def _fall_asleep(self) -> None:
        if not hasattr(self, "steps"):
            return
        self.steps.close()
        self.writer.wait()
        self.daemon.close()
        self.link.close()
        self.battle.situation.position.close()

    def _awake(self) -> None:
        """A new trainer; the one before is gone, and with it what it had not saved."""
        self._fall_asleep()
        self.disk, self.engaged, self.bad_step, self.waiting = Disk(), False, None, None
        self.store = CheckpointStore(self.paths.current_model, self.disk)
        journal = Journal(self.paths.current_model / JOURNAL_NAME, files=self.disk)
        if journal.history.genesis is None:
            journal.append(Genesis(seq=1, at="now", hero="tiny", base_model="list", weights="0"))
        head = self.store.resolve("latest")
        self.engine = ListEngine(self._saved())
        self.daemon, child_end = socket.socketpair()
        self.link = DaemonLink(child_end)
        position = PositionFile(self.paths.current_model / ".position")
        begin = self._begin()
        situation = Situation(
            link=self.link, journal=journal, position=position, begin=begin,
            cursor=read_cursor(head.path) if head else Cursor(), orders=Orders(self.link, pause_reason=None),
            row_notes=RowNotes(self.paths.row_books, 0),
        )  # fmt: skip
        self._equip(situation, begin)

    def _equip(self, situation: Situation, begin: Begin) -> None:
        """As `arena.trainer.summoning` does it."""
        situation.arms = self.engine
        self.writer = CheckpointWriter(
            self.store, journal=situation.journal.path, hero="tiny", base_model="list", seed=1, on_done=self.link.wake,
            files=self.disk,
        )  # fmt: skip
        room = SaveRoom(self.paths.current_model, parameters=1, reserve_bytes=0)
        saver = Saver(situation, self.writer, room, Measuring(situation, has_rows=False))
        taker = QuestTaker(situation, lru_cache(lambda name: self.renderer), ClaimClock())
        healer = Healer(situation, taker, saver, self.store, self.paths, self.disk)
        ready = Ready(step=0, checkpoint=None, parameters=1, device="a list", replay=[], covered=[])
        kept = Examinations(self.paths.examinations, self.disk)
        examiner = Examiner(situation, lru_cache(lambda name: self.renderer), ClaimClock(), kept)
        self.battle = Battle(situation, taker, saver, healer, examiner, ready=ready, resume_from=None)
        self.steps = self._made_durable(self.battle.steps())

    def _made_durable(self, steps: Iterator[StepPlan]) -> Generator[StepPlan, None, None]:
        """Each save is whole before the next step: how far a thread has come would differ from run to run."""
        for plan in steps:
            self.writer.wait()
            yield plan

    def _begin(self) -> Begin:
        quests = [
            OpenQuest(quest_id=quest.quest_id, path=str(self._data_of(quest)), examination=sheet_of(quest.quest_id))
            for quest in self.quests
        ]
        return Begin(
            base_model="list", hero="tiny", recipe=None, device="cpu", threads=1, seed=1, fp_precision="fp32",
            defaults=settings(), save_steps=7, eval_steps=1000, eval_rows=0, open_quests=quests, withdrawals=[],
            pause_reason=None, disk_reserve_bytes=0,
        )  # fmt: skip

    def _data_of(self, quest: Known) -> Path:
        return self.base / "quests" / f"{quest.quest_id}.jsonl"


@pytest.fixture(scope="module", autouse=True)
def _with_a_tokenizer(tiny_model: Path) -> None:
    BattleMachine.renderer = Renderer.load(tiny_model, get_profile("chatml"))


# The same runs every time: CI must not fail by chance. To look further, take `derandomize` out and more examples.
TestBattleMachine = BattleMachine.TestCase
TestBattleMachine.settings = profile(max_examples=25, stateful_step_count=20, deadline=None, derandomize=True)
