"""How a checkpoint gets to the disk: staged, hashed and renamed by a thread of its own, while training goes on.

HuggingFace's file formats plus cursor, journal and ledger record. A checkpoint directory loads with
`AutoModelForCausalLM.from_pretrained`, one of adapters where peft is installed; optimizer, scheduler, random states and
cursor beside the weights make it a resume point. What is written is durable, and HEAD, before anybody hears of it
(ADR 0010).
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from blake3 import blake3
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from arena.cursor import CURSOR_NAME
from arena.journal import JOURNAL_NAME
from arena.protocol import CURRICULUM_FILE
from arena.trainer.adapters import has_adapter, write_adapter
from arena.trainer.saving.moulds import Image, write_pickle
from arena.trainer.saving.snapshot import EngineState, SaveFacts
from core.checkpoint_ledger import CheckpointRecord, write_sidecar
from core.checkpoint_records import SIDECAR
from core.checkpoint_survey import OPTIMIZER_FILE, folder_size
from core.crash_points import crash_point
from core.errors import first_line
from core.files import DISK, Files
from vault.checkpoints import CheckpointStore
from vault.weights import SINGLE

SCHEDULER_FILE = "scheduler.pt"
RANDOM_FILE = "rng_state.pth"
STATE_FILE = "trainer_state.json"

NICENESS = 10
"""Of the writing thread: it takes a tenth of what a training thread gets of a core that both want. Not more, as it
holds Python's lock now and then, and on a busy machine training then waits until it has its turn."""


@dataclass(frozen=True)
class SaveOutcome:
    """How a save went; exactly one of `record` and `error` is there."""

    record: CheckpointRecord | None
    error: BaseException | None
    seconds: float
    """From the snapshot until it was durable, or had failed."""
    cpu_seconds: float
    """Of the writing thread: what training had to share."""


class CheckpointWriter:
    """Writes one checkpoint at a time; what belongs to the realm and not to the moment is given once."""

    def __init__(
        self,
        store: CheckpointStore,
        *,
        journal: Path,
        hero: str,
        base_model: str,
        seed: int,
        on_done: Callable[[], None],
        files: Files = DISK,
    ) -> None:
        self._store = store
        self._journal = journal
        self._hero = hero
        self._base_model = base_model
        self._seed = seed
        self._on_done = on_done
        """Called by the writing thread at its end, to wake whoever waits for commands."""
        self._files = files
        self._model_files: dict[str, bytes] = {}
        """What `save_pretrained` writes beside the weights."""
        self._tokenizer_files: dict[str, bytes] = {}
        """Rendered once: they never change, and those of a large vocabulary take a second of Python's lock."""
        self._thread: threading.Thread | None = None
        self._outcome: SaveOutcome | None = None

    @property
    def busy(self) -> bool:
        """True from `begin` until `take` has given the outcome."""
        return self._thread is not None

    def begin(self, state: EngineState, facts: SaveFacts) -> None:
        """Start to write; a state that is in place must not change before `wait` is over."""
        if self._thread is not None:
            raise RuntimeError("a second save while one is written")
        # Not a daemon thread: should training end with an error, the interpreter still waits for this checkpoint.
        self._thread = threading.Thread(target=self._work, args=(state, facts), name="checkpoint-writer")
        self._thread.start()

    def wait(self) -> None:
        """Let the save that is written, if there is one, come to its end."""
        if self._thread is not None:
            self._thread.join()

    def take(self) -> SaveOutcome | None:
        """The outcome of the save that is over, given once; None while it is written and when there is none."""
        if self._thread is None or self._outcome is None:
            return None
        # It has nothing left to do but to let go of the state.
        self._thread.join()
        outcome, self._outcome, self._thread = self._outcome, None, None
        return outcome

    def _work(self, state: EngineState, facts: SaveFacts) -> None:
        record, error = None, None
        began = time.monotonic()
        if sys.platform == "linux":  # elsewhere this is of the whole process
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            record = self._write(state, facts)
        except BaseException as caught:  # noqa: BLE001 - the trainer's own thread tells it, and may end the trainer
            error = caught
        self._outcome = SaveOutcome(record, error, time.monotonic() - began, time.thread_time())
        self._on_done()

    def _write(self, state: EngineState, facts: SaveFacts) -> CheckpointRecord:
        """Fill a staging directory and publish it; on any error nothing of it stays and HEAD is as it was."""
        staging = self._store.stage()
        try:
            self._write_battle(staging, facts)
            hashes = self._write_engine(staging, state, resumable=facts.resumable)
            record = self._record(staging, facts)
            write_sidecar(staging, record, files=self._files)
            crash_point(f"save.file.{SIDECAR}")
            self._store.publish(staging, facts.name, head=facts.resumable, hashes=hashes)
        except BaseException:  # whatever stops the save, what it staged must not fill the disk
            shutil.rmtree(staging, ignore_errors=True)
            raise
        return record

    def _write_battle(self, staging: Path, facts: SaveFacts) -> None:
        with self._journal.open("rb") as stream:
            journal = stream.read(facts.journal_bytes)
        if len(journal) != facts.journal_bytes:
            raise OSError(f"{self._journal} has become shorter while a checkpoint was written")
        (staging / JOURNAL_NAME).write_bytes(journal)
        crash_point(f"save.file.{JOURNAL_NAME}")
        if facts.curriculum is not None:
            self._files.write_json(staging / CURRICULUM_FILE, facts.curriculum, durable=False)
        cursor = asdict(facts.cursor) | {"checkpoint": facts.name, "announced": facts.cursor.ordinal}
        self._files.write_json(staging / CURSOR_NAME, cursor, durable=False)  # all of it is, before the manifest
        crash_point(f"save.file.{CURSOR_NAME}")

    def _write_engine(self, staging: Path, state: EngineState, *, resumable: bool) -> dict[str, str]:
        """Returns the hashes of those files that are on the disk already."""
        hashes: dict[str, str] = {}
        try:
            if isinstance(state.weights, Image):
                self._write_again(self._model_files, staging)
                hashes[SINGLE] = self._write_image(staging / SINGLE, state.weights)
            else:
                self._write_weights(staging, state, state.weights)
            crash_point("save.file.model.safetensors")
            self._write_tokenizer(staging, state.tokenizer)
            crash_point("save.file.tokenizer.json")
            to_resume = {OPTIMIZER_FILE: state.optimizer, SCHEDULER_FILE: state.scheduler, RANDOM_FILE: state.random}
            for name, content in to_resume.items() if resumable else ():
                if isinstance(content, Image):
                    hashes[name] = self._write_image(staging / name, content)
                else:
                    # Not by name, which torch would write into the file: an image has none.
                    with (staging / name).open("wb") as stream:
                        write_pickle(content, stream)
                crash_point(f"save.file.{name}")
            state.trainer_state.save_to_json(str(staging / STATE_FILE))
            crash_point(f"save.file.{STATE_FILE}")
        except (SafetensorError, RuntimeError) as error:
            # Both libraries report a full disk with these, torch without the reason.
            raise OSError(f"model or optimizer could not be written: {first_line(error)}") from error
        return hashes

    def _write_weights(self, staging: Path, state: EngineState, weights: dict[str, torch.Tensor]) -> None:
        if has_adapter(state.network):
            write_adapter(state.network, weights, staging)
            return
        before = set(staging.iterdir())
        # A dict of its own: what is written is taken out of it.
        state.network.save_pretrained(staging, state_dict=dict(weights))
        if state.copier is not None and not state.in_place and (staging / SINGLE).exists():
            state.copier.learn(staging / SINGLE, weights)
            others = {*staging.iterdir()} - before - {staging / SINGLE}
            self._model_files = {path.name: path.read_bytes() for path in others}

    def _write_image(self, path: Path, image: Image) -> str:
        """Its BLAKE3, taken from the memory that is written."""
        # One call each, without Python's lock: for that, it waits as long as training wants it.
        self._files.write_through(path, image.pages, size=len(image.content))
        return blake3(image.content).hexdigest()

    def _write_tokenizer(self, staging: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        self._write_again(self._tokenizer_files, staging)
        if not self._tokenizer_files:
            written = [Path(name) for name in tokenizer.save_pretrained(staging)]
            self._tokenizer_files = {path.name: path.read_bytes() for path in written if path.exists()}

    def _write_again(self, files: dict[str, bytes], staging: Path) -> None:
        for name, content in files.items():
            (staging / name).write_bytes(content)

    def _record(self, staging: Path, facts: SaveFacts) -> CheckpointRecord:
        cursor, claim = facts.cursor, facts.claim
        return CheckpointRecord(
            step=facts.step,
            timestamp=facts.taken_at.isoformat(),
            path=str(self._store.root / facts.name),
            canonical_name=facts.name,
            train_loss=cursor.train_loss,
            val_loss=cursor.val_loss,
            learning_rate=cursor.learning_rate,
            training_file=claim.name if claim else None,
            quest_id=claim.quest_id if claim else None,
            ordinal=claim.ordinal if claim else None,
            total_examples_trained=cursor.rows_total,
            size_bytes=folder_size(staging),
            has_optimizer=facts.resumable,
            hero=self._hero,
            base_model=self._base_model,
            milestone=facts.milestone,
            seed=self._seed,
            steps_left_out=cursor.steps_left_out,
        )
