"""One training run without a daemon: gate, trainer child, checkpoint, model directory.

It works in a hidden folder inside the output directory, laid out like a small realm, so that the trainer child, its
journal and its checkpoints are the very ones of the daemon; the finished checkpoint then becomes the output.
Interrupted, it leaves that folder, from which the same command goes on (`arena.alone.unfinished_run`).
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from arena.alone.gated_file import gated_quest
from arena.alone.unfinished_run import (
    WORK_FOLDER,
    DoesNotFit,
    begun_quest,
    check_output,
    finish_publishing,
    publish,
    set_aside,
)
from arena.command.beginning import begin_of, claim_of
from arena.hall.exporting import merge_into
from arena.heroes import load_hero, resolve_base_model, survey_heroes, with_files_from
from arena.lora import check_peft
from arena.protocol import (
    Begin,
    CheckpointSaved,
    Claim,
    DiskShort,
    OpenQuest,
    Progress,
    QuestEnded,
    Ready,
    Refused,
    Stop,
    Trouble,
)
from arena.quest_board import QuestBoard
from arena.start_check import Setup
from arena.supervision.heartbeat_watch import HeartbeatWatch
from arena.supervision.trainer_process import Death, TrainerProcess
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, InvalidInput, RealmError, Unavailable
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.settings_reading import load_settings
from vault.checkpoints import CheckpointStore

STEPS_BETWEEN_LINES = 10

MERGED = "merged"
"""In the directory of the run's checkpoints: the model of a LoRA hero, on its way into the output directory."""


class OneOff:
    """A single run; see the module docstring."""

    def __init__(
        self,
        *,
        paths: RealmPaths,
        dataset: Path,
        model: str,
        output: Path,
        epochs: int | None,
        system_prompt: str | None,
    ) -> None:
        self._paths = paths
        self._dataset = dataset.resolve()
        self._model = model
        self._output = output.resolve()
        self._epochs = epochs
        self._system_prompt = system_prompt
        self._told_step = 0

    async def run(self, *, tell: Callable[[str], None]) -> dict[str, Any]:
        """Train and return `{output, rows, steps, loss}`; raises `RealmError` saying what went wrong.

        Interrupted, it leaves its work folder behind, and nothing that looks like a finished model.
        """
        check_output(self._output)
        setup = self._setup()
        work = RealmPaths(self._output / WORK_FOLDER)
        made = [each for each in (self._output, work.base) if not each.exists()]
        try:
            work.base.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._output} cannot be made: {error.strerror}.") from error
        lock = InstanceLock(work.lock)
        lock.acquire({"what": "realm train", "base_dir": str(self._output)})
        try:
            published = finish_publishing(work)
            if published is not None:
                return self._result_of(published, tell)
            return await self._run_in(work, made, setup, tell)
        except DoesNotFit as error:
            tell(f"{error} That work is kept in {set_aside(work)}; this run begins anew.")
        finally:
            lock.release()
        return await self.run(tell=tell)

    async def _run_in(
        self,
        work: RealmPaths,
        made: list[Path],
        setup: Setup,
        tell: Callable[[str], None],
    ) -> dict[str, Any]:
        """One run in the folder `work`; where nothing can be learned, the folders that were `made` for it go again."""
        try:
            quest = gated_quest(
                self._paths, self._dataset, setup, unpack_to=work.unpacking / "dataset.jsonl",
                epochs=self._epochs, system_prompt=self._system_prompt, tell=tell,
            )  # fmt: skip
            claim = claim_of(setup.hero, setup.settings, quest)
            # Going back takes a second child; here there is one, and what fails is not published anyway.
            claim = replace(claim, settings=replace(claim.settings, rollbacks=0))
        except RealmError:
            _remove(made)
            raise
        work.create()
        begin = begin_of(work, setup.settings, setup.hero, setup.base_model, QuestBoard(work), [], pause_reason=None)
        begin = replace(begin, processes=1)
        begun = begun_quest(work, begin, claim)
        if begun is not None:
            tell(f"An earlier run was interrupted; its work in {work.base} goes on.")
            claim = replace(claim, quest_id=begun)
            begin = replace(begin, open_quests=[OpenQuest(quest_id=begun, path=claim.path)])
        process = TrainerProcess(work, watch=HeartbeatWatch(setup.settings.trainer.hung_seconds))
        ended, saved, refused, death = await self._battle(process, begin, claim, tell)
        if refused is not None:
            _remove(made)
            first = refused.errors[0]
            where = f", line {first.line}" if first.line else ""
            raise InvalidInput(f"{self._dataset}{where}: {first.message}")
        if not death.clean or ended is None or saved is None or saved.name is None:
            raise RealmError(f"Training did not finish: {death.cause}", hint=f"Its logs lie in {work.logs}.")
        if ended.outcome != "learned":
            hint = f"No model was written. Its logs and checkpoints lie in {work.base}."
            raise RealmError(f"{self._dataset} was not learned, it was {ended.outcome}: {ended.reason}.", hint=hint)
        record = CheckpointLedger.of(work).find(saved.name)
        loss = record.train_loss if record else None
        result = {"output": str(self._output), "rows": ended.rows_learned, "steps": saved.step, "loss": loss}
        self._publish(work, saved.name, setup, result)
        return result

    async def _battle(
        self, process: TrainerProcess, begin: Begin, claim: Claim, tell: Callable[[str], None]
    ) -> tuple[QuestEnded | None, CheckpointSaved | None, Refused | None, Death]:
        """One child from start to end, and what it said that matters."""
        ended: QuestEnded | None = None
        saved: CheckpointSaved | None = None
        refused: Refused | None = None
        try:
            await process.start(begin)
            while (event := await process.next_event()) is not None:
                match event:
                    case Ready():
                        ended = next((each for each in event.covered if each.quest_id == claim.quest_id), None)
                        if ended is not None:
                            await process.send(Stop(reason="the file is learned"))
                        elif claim.quest_id not in event.replay:
                            await process.send(claim)
                    case Refused():
                        refused = event
                        await process.send(Stop(reason="the file cannot be learned"))
                    case Progress():
                        self._show(event, tell)
                    case QuestEnded():
                        ended = event
                        await process.send(Stop(reason="the file is learned"))
                    case CheckpointSaved():
                        saved = event
                    case Trouble():
                        tell(event.message)
                    case DiskShort():
                        free, needed = event.free_bytes >> 20, event.needed_bytes >> 20
                        tell(f"A checkpoint waits for room: {free} MB are free on the disk, {needed} MB must be.")
        except asyncio.CancelledError:
            tell("Interrupted: the trainer finishes its step, saves and ends.")
            await process.end(grace_seconds=60.0)
            if process.pid is not None:
                await process.wait()
            raise
        finally:
            await process.end(grace_seconds=60.0)
        return ended, saved, refused, await process.wait()

    def _setup(self) -> Setup:
        """A hero by its id; any other model is trained with the hyperparameters of the configured hero."""
        settings = load_settings(self._paths.config_file)
        heroes, broken = survey_heroes(self._paths)
        if self._model in {*heroes, *broken}:
            hero, name = load_hero(self._paths, self._model), None
        else:
            hero = load_hero(self._paths, settings.hero if settings.hero != "seedling" else "dio")
            name = str(Path(self._model).resolve()) if Path(self._model).is_dir() else self._model
        if hero.lora is not None:
            check_peft()
        settings = settings.model_copy(update={"model_name": name})
        # The child's own directory of models is empty, and lies in a folder that goes.
        base_model = with_files_from(self._paths.models, resolve_base_model(hero, settings, self._paths))
        return Setup(settings=settings, hero=hero, base_model=base_model)

    def _show(self, progress: Progress, tell: Callable[[str], None]) -> None:
        if progress.step - self._told_step < STEPS_BETWEEN_LINES and progress.quest_step < progress.quest_steps:
            return
        self._told_step = progress.step
        loss = next((point.loss for point in reversed(progress.points) if point.loss is not None), None)
        shown = f", loss {loss:.4f}" if loss is not None else ""
        tell(f"step {progress.quest_step} of {progress.quest_steps}{shown}")

    def _publish(self, work: RealmPaths, checkpoint: str, setup: Setup, result: dict[str, Any]) -> None:
        """Let the checkpoint become the output; that of a LoRA hero, merged into its base model."""
        found = CheckpointStore(work.current_model).resolve(checkpoint)
        if found is None:
            raise RealmError(f"The checkpoint {checkpoint} has vanished from {work.current_model}.")
        folder = found.path
        if setup.hero.lora is not None:
            folder = work.current_model / MERGED
            shutil.rmtree(folder, ignore_errors=True)  # of a run that was cut off
            folder.mkdir()
            merge_into(folder, found.path, setup, work)
        publish(work, folder, {"asked": self._asked, "result": result})

    def _result_of(self, published: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
        """What the run came to that was killed while its model was put into place."""
        if published["asked"] != self._asked:
            raise Conflict(f"{self._output} holds the model of an earlier run.", hint="Name a new directory.")
        tell("An earlier run had learned it all; its model is in place now.")
        result: dict[str, Any] = published["result"]
        return result

    @property
    def _asked(self) -> dict[str, Any]:
        return {
            "dataset": str(self._dataset), "model": self._model, "epochs": self._epochs,
            "system_prompt": self._system_prompt,
        }  # fmt: skip


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
