"""One training run without a daemon: gate, trainer child, checkpoint, model directory.

It works in a hidden folder inside the output directory, laid out like a small realm, so that the trainer child, its
journal and its checkpoints are the very ones of the daemon; the finished checkpoint then becomes the output.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.beginning import begin_of, claim_of
from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.rejection import describe_verdict
from arena.heroes import Hero, list_heroes, load_hero, resolve_base_model
from arena.protocol import Begin, CheckpointSaved, Claim, Progress, QuestEnded, Ready, Refused, Stop
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord, new_quest_id
from arena.trainer_process import Death, TrainerProcess
from core.errors import Conflict, InvalidInput, RealmError
from core.paths import RealmPaths
from core.settings import Settings, load_settings
from vault.checkpoints import CheckpointStore

WORK_FOLDER = ".realm"
STEPS_BETWEEN_LINES = 10


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
        existed = self._output.exists()
        if existed and (not self._output.is_dir() or any(self._output.iterdir())):
            raise Conflict(f"{self._output} is not an empty directory.", hint="Name a new directory.")
        quest = self._gated()
        hero, settings = self._hero_and_settings()
        base_model = resolve_base_model(hero, settings, self._paths)
        claim = claim_of(hero, settings, quest)
        work = RealmPaths(self._output / WORK_FOLDER)
        work.create()
        begin = begin_of(work, settings, hero, base_model, QuestBoard(work), [], pause_reason=None)
        ended, saved, refused, death = await self._battle(TrainerProcess(work), begin, claim, tell)
        if refused is not None:
            shutil.rmtree(work.base if existed else self._output)
            first = refused.errors[0]
            where = f", line {first.line}" if first.line else ""
            raise InvalidInput(f"{self._dataset}{where}: {first.message}")
        if not death.clean or ended is None or saved is None or saved.name is None:
            raise RealmError(f"Training did not finish: {death.cause}", hint=f"Its logs lie in {work.logs}.")
        self._publish(work, saved.name)
        loss = saved.record.get("train_loss")
        return {"output": str(self._output), "rows": ended.rows_learned, "steps": saved.step, "loss": loss}

    async def _battle(
        self, process: TrainerProcess, begin: Begin, claim: Claim, tell: Callable[[str], None]
    ) -> tuple[QuestEnded | None, CheckpointSaved | None, Refused | None, Death]:
        """One child from start to end, and what it said that matters."""
        ended: QuestEnded | None = None
        saved: CheckpointSaved | None = None
        refused: Refused | None = None
        await process.start(begin)
        try:
            while (event := await process.next_event()) is not None:
                match event:
                    case Ready():
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
        finally:
            await process.end(grace_seconds=60.0)
        return ended, saved, refused, await process.wait()

    def _gated(self) -> Quest:
        verdict = inspect_file(str(self._dataset))
        if not verdict["accepted"]:
            lines = "\n  ".join(describe_verdict(verdict))
            raise InvalidInput(f"{self._dataset} was not let in:\n  {lines}")
        now = datetime.now(UTC)
        record = QuestRecord(
            quest_id=new_quest_id(now),
            submitted_at=now.isoformat(),
            priority="normal",
            content_hash=verdict["content_hash"],
            rows=verdict["rows"],
            schema_id=verdict["schema_id"],
            original_name=self._dataset.name,
            epochs=self._epochs,
            system_prompt=self._system_prompt,
        )
        return Quest(self._dataset, record)

    def _hero_and_settings(self) -> tuple[Hero, Settings]:
        """A hero by its id; any other model is trained with the hyperparameters of the configured hero."""
        settings = load_settings(self._paths.config_file)
        if self._model in {hero.id for hero in list_heroes(self._paths)}:
            return load_hero(self._paths, self._model), settings.model_copy(update={"model_name": None})
        model = str(Path(self._model).resolve()) if Path(self._model).is_dir() else self._model
        hero = load_hero(self._paths, settings.hero if settings.hero != "seedling" else "dio")
        return hero, settings.model_copy(update={"model_name": model})

    def _show(self, progress: Progress, tell: Callable[[str], None]) -> None:
        if progress.step - self._told_step < STEPS_BETWEEN_LINES and progress.quest_step < progress.quest_steps:
            return
        self._told_step = progress.step
        loss = next((point.loss for point in reversed(progress.points) if point.loss is not None), None)
        shown = f", loss {loss:.4f}" if loss is not None else ""
        tell(f"step {progress.quest_step} of {progress.quest_steps}{shown}")

    def _publish(self, work: RealmPaths, checkpoint: str) -> None:
        """Move the checkpoint's files up into the output directory and drop the work folder."""
        found = CheckpointStore(work.current_model).resolve(checkpoint)
        if found is None:
            raise RealmError(f"The checkpoint {checkpoint} has vanished from {work.current_model}.")
        for file in sorted(found.path.iterdir()):
            file.rename(self._output / file.name)
        shutil.rmtree(work.base, ignore_errors=True)
