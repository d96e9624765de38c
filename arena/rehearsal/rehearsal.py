"""The rehearsal: real trainer children learn the same steps twice from the same checkpoint, and the ends are compared.

The straight run makes all steps in one life. The other is fed the journal of the first and has three lives: one ends
in order after half of the steps, the next resumes from its checkpoint and is killed in the midst of the rest
(SIGKILL), the last one replays what was lost and goes on. By law 3 nobody can tell the two ends apart.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from arena.command.beginning import begin_of, claim_of
from arena.cursor import Cursor, read_cursor
from arena.heroes import with_files_from
from arena.journal import JOURNAL_NAME, read_history
from arena.protocol import Begin, Claim, DiskShort, OpenQuest, QuestEnded, Ready, Refused, Stop, Withdrawal
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.start_check import Setup
from arena.supervision.heartbeat_watch import HeartbeatWatch
from arena.supervision.trainer_process import Death, TrainerProcess
from core.errors import Conflict, InvalidInput, RealmError, Unavailable
from core.files import DISK
from core.paths import RealmPaths
from vault.checkpoints import CheckpointDir, CheckpointStore

LEARNED_NO_MORE = "the rehearsal begins where this checkpoint stands"
GRACE_SECONDS = 5.0
"""For a trainer that is not needed any more: what it would save is thrown away."""


@dataclass(frozen=True)
class Lives:
    """Both runs, when they are over."""

    device: str
    """What they were trained on, such as `cpu, 2 threads`."""
    told: list[str]
    """What happened to the trainers of the disturbed run, in words."""
    straight: Path
    disturbed: Path
    """The checkpoints at the ends of the two."""


@dataclass(frozen=True)
class _Lived:
    """One trainer child, from start to end."""

    ready: Ready | None
    refused: Refused | None
    death: Death


class Rehearsal:
    """One rehearsal in the folder `ground`; single use."""

    def __init__(
        self,
        paths: RealmPaths,
        setup: Setup,
        start: CheckpointDir | None,
        quest: Quest,
        *,
        half: int,
        ground: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._paths = paths
        self._setup = setup
        self._start = start
        self._quest = quest
        self._half = half
        self._from = start.step if start else 0
        self._straight = RealmPaths(ground / "straight")
        self._disturbed = RealmPaths(ground / "disturbed")
        self._tell = tell

    def prepare(self) -> None:
        """Copy the hero's checkpoint; of a large model, this takes a while."""
        self._set_up(self._straight, self._paths.current_model)

    async def run(self) -> Lives:
        """Both runs; raises `RealmError` when a trainer does not do as it should, whatever the reason."""
        steps, start = 2 * self._half, self._start.name if self._start else None
        self._tell(f"1 of 4: {steps} steps straight on")
        begun = time.monotonic()
        first = await self._live(self._straight, claim=self._claim(), stop_at=steps)
        ready = self._in_order(first, self._straight, start, steps)
        seconds = time.monotonic() - begun
        self._tell(f"That took {seconds:.0f} s; the other three will take about {3 * seconds:.0f} s.")
        self._set_up(self._disturbed, self._straight.current_model)
        told = await self._disturb(start)
        return Lives(ready.device, told, self._end_of(self._straight), self._end_of(self._disturbed))

    async def _disturb(self, start: str | None) -> list[str]:
        """The run with three lives; returns what happened in each, in words."""
        scene, half, lost = self._disturbed, self._half, self._half // 2
        killed_after = "1 step" if lost == 1 else f"{lost} steps"
        self._tell(f"2 of 4: {half} steps, and an end in order")
        self._in_order(await self._live(scene, stop_at=half), scene, start, half)
        middle = self._end_of(scene).name
        self._tell(f"3 of 4: a new trainer goes on from {middle} and is killed after {killed_after}")
        second = await self._live(scene, killed_before=half + lost + 1)
        self._in_place(second, middle)
        died_at = second.death.position
        if second.death.clean or died_at is None or died_at.quest_step != half + lost:
            raise RealmError(f"The trainer was to be killed, and ended otherwise: {second.death.cause}")
        self._tell(f"4 of 4: the next one makes what was lost again, and goes on to step {self._from + 2 * half}")
        self._in_order(await self._live(scene, stop_at=2 * half), scene, middle, 2 * half)
        return [
            f"{half} steps, saved and ended",
            f"resumed by a new process, killed with SIGKILL after {killed_after}, before anything was saved",
            f"resumed by a new process from step {self._from + half}, {half} steps, saved and ended",
        ]

    # --- one life ------------------------------------------------------------------------------------------

    async def _live(
        self,
        scene: RealmPaths,
        *,
        claim: Claim | None = None,
        stop_at: int | None = None,
        killed_before: int | None = None,
    ) -> _Lived:
        """One trainer on `scene`, until so many steps are made, or it is killed before the n-th of them."""
        begin = replace(self._begin(scene), stop_at_step=None if stop_at is None else self._from + stop_at)
        point = f"battle.step.{self._quest.name}:{killed_before}"
        process = TrainerProcess(scene, watch=HeartbeatWatch(self._setup.settings.trainer.hung_seconds))
        ready: Ready | None = None
        refused: Refused | None = None
        try:
            await process.start(begin, environment={} if killed_before is None else {"REALM_CRASH_AT": point})
            while (event := await process.next_event()) is not None:
                match event:
                    case Ready():
                        ready = event
                        if claim is not None:
                            await process.send(claim)
                    case Refused():
                        refused = event
                        await process.send(Stop(reason="the rows cannot be learned"))
                    case QuestEnded(quest_id=quest_id) if quest_id == self._quest.quest_id:
                        # With its last step, or withdrawn before: either way nothing follows.
                        await process.send(Stop(reason="there are no steps left"))
                    case DiskShort():
                        # It would wait, for as long as it takes.
                        raise Unavailable(f"The disk has become full: {event.free_bytes >> 20} MB are free.")
        finally:
            await process.end(grace_seconds=GRACE_SECONDS)
            if process.pid is not None:
                death = await process.wait()
        return _Lived(ready, refused, death)

    def _in_order(self, lived: _Lived, scene: RealmPaths, began_with: str | None, steps: int) -> Ready:
        """Raise `RealmError` unless the trainer began where it should, made its steps and ended well."""
        ready = self._in_place(lived, began_with)
        if lived.refused is not None:
            first = lived.refused.errors[0]
            raise InvalidInput(f"{self._quest.name}, line {first.line}: {first.message}")
        if not lived.death.clean:
            raise RealmError(f"A trainer did not end well: {lived.death.cause}")
        reached = CheckpointStore(scene.current_model).resolve("latest")
        if reached is None or reached.step != self._from + steps:
            raise RealmError(
                f"A trainer ended at step {reached.step if reached else 0} and not at {self._from + steps}: "
                f"{lived.death.cause}",
                hint="Rows whose loss is not finite end a quest early: try others with --dataset.",
            )
        return ready

    def _in_place(self, lived: _Lived, began_with: str | None) -> Ready:
        if lived.ready is None:
            raise RealmError(f"A trainer did not get ready: {lived.death.cause}")
        if lived.ready.checkpoint != began_with:
            raise Conflict(
                f"{began_with} cannot be resumed from; the trainer took {lived.ready.checkpoint or 'the base model'}.",
                hint="`realm ledger verify` looks for damage.",
            )
        return lived.ready

    # --- scenes --------------------------------------------------------------------------------------------

    def _set_up(self, scene: RealmPaths, model: Path) -> None:
        """A realm of its own with the hero's checkpoint, and the journal of the directory `model`."""
        scene.create()
        for seedling in self._paths.models.glob("seedling-*"):
            shutil.copytree(seedling, scene.models / seedling.name)
        if (model / JOURNAL_NAME).exists():
            shutil.copyfile(model / JOURNAL_NAME, scene.current_model / JOURNAL_NAME)
        if self._start is not None:
            copied = model / self._start.name
            # One real copy: whatever went wrong in the scenes, the hero's own files are out of reach.
            own = model == self._paths.current_model
            target = scene.current_model / self._start.name
            shutil.copytree(copied, target, copy_function=shutil.copy2 if own else _link)
            CheckpointStore(scene.current_model).set_head(self._start.name)

    def _begin(self, scene: RealmPaths) -> Begin:
        """What the trainer of a scene begins with: nothing else to learn, and no save in between."""
        history = read_history(scene.current_model / JOURNAL_NAME)
        cursor = read_cursor(self._start.path) if self._start else Cursor()
        unfinished = [
            Withdrawal(quest_id=claim.quest_id, reason=LEARNED_NO_MORE)
            for ordinal, claim in history.claims.items()
            if ordinal >= cursor.ordinal and claim.quest_id != self._quest.quest_id
        ]
        setup = self._setup
        # The scene has no models of its own but the seedling.
        base_model = with_files_from(self._paths.models, setup.base_model)
        begin = begin_of(scene, setup.settings, setup.hero, base_model, QuestBoard(scene), unfinished, None)
        here = OpenQuest(quest_id=self._quest.quest_id, path=str(self._quest.path))
        return replace(begin, open_quests=[here], save_steps=self._from + 4 * self._half, processes=1)

    def _claim(self) -> Claim:
        claim = claim_of(self._setup.hero, self._setup.settings, self._quest)
        # Going back would take another child, which a life is not.
        return replace(claim, settings=replace(claim.settings, rollbacks=0))

    def _end_of(self, scene: RealmPaths) -> Path:
        """The checkpoint that a run has come to."""
        found = CheckpointStore(scene.current_model).resolve("latest")
        if found is None:
            raise RealmError(f"There is no checkpoint in {scene.current_model}.")
        return found.path


def _link(source: str, target: str) -> None:
    DISK.link_new(Path(source), Path(target))
