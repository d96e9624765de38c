"""Law 1 under fire: whatever is done, refused, killed or moved by hand, each quest's bytes lie in exactly one place."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from arena.lanes.reading import DATA_SUFFIX
from arena.quest_board import QuestBoard
from arena.quests import Quest, sidecar_of
from core.errors import RealmError
from core.paths import LANES, PRIORITIES
from tests.arena.quest_makers import NOW, Killed, MortalCopies, MortalFiles, admit, drop, make_realm

OUTCOMES = st.sampled_from(["learned", "skipped", "withdrawn"])
CALLS = st.integers(min_value=0, max_value=14)


@dataclass(frozen=True)
class Mishap:
    """What happens before the n-th call to the disk: a power cut, or an error, once or from then on."""

    calls: int
    error: int | None
    for_good: bool


MISHAPS = st.none() | st.builds(
    Mishap, CALLS, st.none() | st.sampled_from([errno.ENOSPC, errno.EIO, errno.EACCES]), st.booleans()
)


class BoardMachine(RuleBasedStateMachine):
    """A daemon that claims, seals, fails and retries, a user with `mv`, and a power cut at any call to the disk."""

    disk: type[MortalFiles] = MortalFiles

    @initialize()
    def start(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="board-"))
        self.paths = make_realm(self.base)
        self.files = self.disk()
        self.board = QuestBoard(self.paths, self.files)
        self.now = NOW
        self.bytes_alive: Counter[str] = Counter()
        self.serial = 0

    def teardown(self) -> None:
        if hasattr(self, "base"):
            shutil.rmtree(self.base, ignore_errors=True)

    # --- what the daemon does -------------------------------------------------------------------------------

    @rule(priority=st.sampled_from(PRIORITIES), name=st.sampled_from(["a", "b"]), twin=st.booleans(), mishap=MISHAPS)
    def take_in(self, priority: str, name: str, twin: bool, mishap: Mishap | None) -> None:
        content = "the same\n" if twin else f"{self.serial}\n"
        self.serial += 1
        source = drop(self.paths, f"{self.serial}/{name}.jsonl", content, generator_id="machine")
        self.bytes_alive[content] += 1
        self._do(lambda: admit(self.board, source, priority), mishap)

    @rule(mishap=MISHAPS)
    def claim(self, mishap: Mishap | None) -> None:
        quest = self.board.next_waiting()
        if quest is not None:
            self._do(lambda: self.board.claim(quest), mishap)

    @rule(outcome=OUTCOMES, mishap=MISHAPS)
    def end(self, outcome: str, mishap: Mishap | None) -> None:
        quest = self.board.processing()
        if quest is not None:
            ended: dict[str, Any] = {"outcome": outcome, "rows_learned": 1, "first_step": 1, "last_step": 2}
            self._do(lambda: self.board.await_seal(quest.quest_id, now=self.now, **ended), mishap)

    @rule(mishap=MISHAPS)
    def seal(self, mishap: Mishap | None) -> None:
        ids = [quest.quest_id for quest in self.board.quests("awaiting_seal")]
        self._do(lambda: self.board.seal(ids, now=self.now), mishap)

    @rule(data=st.data(), mishap=MISHAPS)
    def fail(self, data: st.DataObject, mishap: Mishap | None) -> None:
        quest = self._draw(data, (*PRIORITIES, "processing"))
        if quest is not None:
            self._do(lambda: self.board.fail(quest.quest_id, outcome="refused", reason="bad", now=self.now), mishap)

    @rule(data=st.data(), mishap=MISHAPS)
    def retry(self, data: st.DataObject, mishap: Mishap | None) -> None:
        quest = self._draw(data, ("failed",))
        if quest is not None:
            self._do(lambda: self.board.retry(quest.quest_id, now=self.now), mishap)

    @rule(data=st.data(), priority=st.sampled_from(PRIORITIES), mishap=MISHAPS)
    def change_priority(self, data: st.DataObject, priority: str, mishap: Mishap | None) -> None:
        quest = self._draw(data, PRIORITIES)
        if quest is not None:
            self._do(lambda: self.board.move(quest.quest_id, priority), mishap)

    @rule(data=st.data(), mishap=MISHAPS)
    def remove(self, data: st.DataObject, mishap: Mishap | None) -> None:
        quest = self._draw(data, (*PRIORITIES, "failed"))
        if quest is None:
            return
        content = quest.path.read_text()
        self._do(lambda: self.board.remove(quest.quest_id), mishap)
        left = Counter(path.read_text() for path in self._data_files())[content]
        # Cut off or refused, it has happened or it has not.
        assert left in (self.bytes_alive[content], self.bytes_alive[content] - 1)
        assert mishap is not None or left < self.bytes_alive[content]
        self.bytes_alive[content] = left

    @rule(mishap=MISHAPS)
    def sweep(self, mishap: Mishap | None) -> None:
        self._do(lambda: self.board.sweep(now=self.now), mishap)

    @rule()
    def pass_the_gates_again(self) -> None:
        """What the daemon does with orphans, and the inbox with what lies in it."""
        for orphan in self.board.sweep(now=self.now).orphans:
            self.board.send_to_gates(orphan.path)
        for source in sorted(self.paths.inbox.rglob(f"*{DATA_SUFFIX}")):
            admit(self.board, source, "low")

    @rule(seconds=st.sampled_from([1, 100]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    # --- what a user does -------------------------------------------------------------------------------------

    @rule(data=st.data(), lane=st.sampled_from(LANES), how=st.sampled_from(["alone", "with sidecar", "renamed"]))
    def move_by_hand(self, data: st.DataObject, lane: str, how: str) -> None:
        found = self._data_files()
        if not found:
            return
        path = data.draw(st.sampled_from(found))
        target = self.paths.lane(lane) / ("renamed.jsonl" if how == "renamed" else path.name)
        if os.path.lexists(target) or os.path.lexists(sidecar_of(target)):
            return
        path.rename(target)
        if how == "with sidecar" and sidecar_of(path).exists():
            sidecar_of(path).rename(sidecar_of(target))

    @rule(data=st.data(), lane=st.sampled_from(PRIORITIES), copy=st.sampled_from([shutil.copy, shutil.copy2]))
    def copy_by_hand(self, data: st.DataObject, lane: str, copy: Callable[[Path, Path], object]) -> None:
        quest = self._draw(data, LANES[:-1])
        target = self.paths.lane(lane) / "copy.jsonl"
        if quest is None or os.path.lexists(target) or os.path.lexists(sidecar_of(target)):
            return
        copy(quest.path, target)
        copy(sidecar_of(quest.path), sidecar_of(target))
        self.bytes_alive[target.read_text()] += 1

    @precondition(lambda self: any(self.board.quests(lane) for lane in LANES))
    @rule(data=st.data())
    def lose_a_sidecar(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from([quest.path for lane in LANES for quest in self.board.quests(lane)]))
        sidecar_of(path).unlink()

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def every_quest_lies_in_exactly_one_place(self) -> None:
        if hasattr(self, "base"):
            assert Counter(path.read_text() for path in self._data_files()) == +self.bytes_alive

    @rule()
    def sweep_until_nothing_is_left_to_do(self) -> None:
        self.board.sweep(now=self.now)
        assert self.board.sweep(now=self.now).notes == []
        ids = Counter(quest.quest_id for lane in LANES[:-1] for quest in self.board.quests(lane))
        assert [quest_id for quest_id, times in ids.items() if times > 1] == []
        assert sum(quest.record.outcome is None for quest in self.board.quests("processing")) <= 1

    def _data_files(self) -> list[Path]:
        folders = [self.paths.lane(lane) for lane in LANES] + [self.paths.inbox]
        return sorted(path for folder in folders for path in folder.rglob(f"*{DATA_SUFFIX}"))

    def _draw(self, data: st.DataObject, lanes: tuple[str, ...]) -> Quest | None:
        quests = [quest for lane in lanes for quest in self.board.quests(lane)]
        return data.draw(st.sampled_from(quests)) if quests else None

    def _do(self, work: Any, mishap: Mishap | None) -> None:
        if mishap is not None:
            self._do_badly(work, mishap)
            return
        # Files moved by hand may be somewhere else by now; refusing is right, losing is not.
        with suppress(RealmError):
            work()

    def _do_badly(self, work: Any, mishap: Mishap) -> None:
        """Run `work` until the mishap; after a power cut start again, and sweep."""
        self.files.calls_left, self.files.error, self.files.for_good = mishap.calls, mishap.error, mishap.for_good
        with suppress(Killed, RealmError, OSError):
            work()
        self.files.calls_left = -1
        if mishap.error is not None:
            self.board.sweep(now=self.now)
            return
        self.files = self.disk()
        self.board = QuestBoard(self.paths, self.files)
        self.board.sweep(now=self.now)


class CopyMachine(BoardMachine):
    disk = MortalCopies


# The same runs every time: CI must not fail by chance. To look further, take `derandomize` out and more examples.
rounds = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBoardMachine = BoardMachine.TestCase
TestBoardMachine.settings = rounds
TestCopyMachine = CopyMachine.TestCase
TestCopyMachine.settings = rounds
