"""Checkpoints of the trainer: HuggingFace's file formats plus cursor, journal and ledger record, whole or absent.

A checkpoint directory loads with `AutoModelForCausalLM.from_pretrained`; optimizer, scheduler, RNG state and
cursor beside the weights make it a resume point. It is staged, hashed into a manifest and renamed by
`vault.checkpoints`; nothing here is ever seen half.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError

from arena.cursor import CURSOR_NAME, Cursor
from arena.journal import JOURNAL_NAME, ClaimEntry
from arena.trainer.engine import BattleTrainer
from core.checkpoint_ledger import CheckpointRecord, write_sidecar
from core.checkpoint_survey import OPTIMIZER_FILE
from core.files import DISK, Files
from vault.checkpoints import CheckpointStore, checkpoint_name


def save_checkpoint(
    trainer: BattleTrainer,
    *,
    store: CheckpointStore,
    cursor: Cursor,
    claim: ClaimEntry | None,
    milestone: bool,
    journal: Path,
    hero: str,
    base_model: str,
    files: Files = DISK,
) -> CheckpointRecord:
    """Write everything to a staging directory and publish it under its canonical name; returns its ledger record.

    Raises `OSError` when the disk does not take it; what was staged is removed and HEAD stays as it was.
    """
    now = datetime.now(UTC)
    name = checkpoint_name(trainer.state.global_step, now.astimezone())
    staging = store.stage()
    try:
        _write_state(trainer, staging)
        shutil.copyfile(journal, staging / JOURNAL_NAME)
        cursor_json = asdict(cursor) | {"checkpoint": name, "announced": cursor.ordinal}
        files.write_json(staging / CURSOR_NAME, cursor_json, durable=True)
        record = CheckpointRecord(
            step=trainer.state.global_step,
            timestamp=now.isoformat(),
            path=str(store.root / name),
            canonical_name=name,
            train_loss=cursor.train_loss,
            val_loss=cursor.val_loss,
            learning_rate=cursor.learning_rate,
            training_file=claim.name if claim else None,
            quest_id=claim.quest_id if claim else None,
            ordinal=claim.ordinal if claim else None,
            total_examples_trained=cursor.rows_total,
            size_bytes=sum(file.stat().st_size for file in staging.rglob("*") if file.is_file()),
            has_optimizer=(staging / OPTIMIZER_FILE).exists(),
            hero=hero,
            base_model=base_model,
            milestone=milestone,
            seed=trainer.args.seed,
        )
        write_sidecar(staging, record, files=files)
        store.publish(staging, name)
    except BaseException:  # whatever stops the save, what it staged must not fill the disk
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return record


def _write_state(trainer: BattleTrainer, staging: Path) -> None:
    try:
        trainer.write_state(staging)
    except (SafetensorError, RuntimeError) as error:
        # Both libraries report a full disk with these, torch without the reason.
        raise OSError(f"model or optimizer could not be written: {str(error).splitlines()[0]}") from error
