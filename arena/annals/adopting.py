"""Taking over a checkpoint that was made elsewhere (`realm ledger adopt`): it begins a history of its own (ADR 0008).

The journal gets a second `genesis`, whose weights are those of the adopted checkpoint. What the model learned before
stays in the lines above it and on a branch, and `realm rewind` leads back there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arena.annals.turning import Turn, carry_out
from arena.cursor import CURSOR_NAME, Cursor
from arena.journal import JOURNAL_NAME, Genesis, Journal, encode_entry
from core.checkpoint_ledger import write_sidecar
from core.checkpoint_records import checkpoint_name, extract_step
from core.checkpoint_survey import OPTIMIZER_FILE, folder_size, survey_folder
from core.errors import Conflict
from core.files import DISK, Files
from core.paths import RealmPaths
from vault.adoption import check_source, copy_model, drop_optimizer, find_same_weights, told_step, write_trainer_state
from vault.checkpoints import CheckpointStore
from vault.weights import weights_digest

Appraisal = Callable[[Path], dict[str, Any]]
"""Loads the staged model as the trainer does: `{parameters, optimizer_misfit}`; see `arena.hall.errands`."""


@dataclass(frozen=True)
class Adopted:
    """What was adopted."""

    checkpoint: str
    step: int
    parameters: int
    weights: str
    """Fingerprint that the journal begins with."""
    optimizer: str | None
    """Why the optimizer was left out; None when it goes on."""
    has_optimizer: bool
    left_behind: str | None
    """The checkpoint that was the present one before; it is kept on a branch."""
    requeued: list[str]


def adopt(
    paths: RealmPaths,
    folder: Path,
    *,
    hero: str,
    base_model: str,
    step: int | None,
    appraise: Appraisal,
    clear: Callable[[], list[str]],
    now: datetime,
    files: Files = DISK,
) -> Adopted:
    """Copy a model directory into the store and make it the present checkpoint, with a fresh cursor.

    `step` is its global step; else what its `trainer_state.json` or its name tells, else 0. `clear` sees to it that no
    quest is open, and returns the files that wait again. The caller holds the locks and has compared the model with the
    hero's. Raises `InvalidInput` for what is no model, pickled or torn, `Conflict` for one that is here already.
    """
    store = CheckpointStore(paths.current_model, files)
    source = check_source(folder, store)
    staging = store.stage()
    try:
        has_optimizer = copy_model(source, staging)
        weights = weights_digest(staging)
        if here := find_same_weights(store, weights):
            raise Conflict(f"These weights are here already, as {here}.", hint=f"`realm rewind {here}` goes to it.")
        appraisal = appraise(staging)
        misfit = appraisal["optimizer_misfit"] if has_optimizer else None
        if misfit is not None:
            drop_optimizer(staging)
        chosen = next(found for found in (step, told_step(source), extract_step(source)) if found is not None)
        name = _free_name(store, chosen, now)
        waiting = clear()
        journal = Journal(paths.current_model / JOURNAL_NAME, files=files)
        entry = Genesis(
            seq=journal.history.seq + 1, at=now.astimezone(UTC).isoformat(), hero=hero, base_model=base_model,
            weights=weights, checkpoint=name,
        )  # fmt: skip
        write_trainer_state(source, staging, chosen, files)
        _write_realm_files(store.root / name, staging, source, chosen, entry, journal.path, files)
    except BaseException:  # whatever stops it, the copy of a large model must not stay
        shutil.rmtree(staging, ignore_errors=True)
        raise
    before = store.resolve("latest")
    turn = Turn(
        kind="adopted", seq=entry.seq, at=entry.at, message=f"A checkpoint from elsewhere was adopted as {name}",
        head=name, cursor=(1, 0), series_until=-1, staging=staging.name,
    )  # fmt: skip
    carry_out(paths, entry, turn, files=files)
    return Adopted(
        checkpoint=name, step=chosen, parameters=appraisal["parameters"], weights=entry.weights, optimizer=misfit,
        has_optimizer=has_optimizer and misfit is None, left_behind=before.name if before else None,
        requeued=waiting,
    )  # fmt: skip


def _write_realm_files(
    final: Path, staging: Path, source: Path, step: int, entry: Genesis, journal: Path, files: Files
) -> None:
    """What the realm's own checkpoints have besides the model: cursor, journal as it will be, and ledger record."""
    cursor = asdict(Cursor(checkpoint=final.name))
    files.write_json(staging / CURSOR_NAME, cursor, durable=True)
    so_far = journal.read_bytes() if journal.exists() else b""
    files.write_atomic(staging / JOURNAL_NAME, so_far + encode_entry(entry) + b"\n", durable=True)
    record = replace(
        survey_folder(source),
        step=step,
        timestamp=entry.at,
        path=str(final),
        canonical_name=final.name,
        size_bytes=folder_size(staging),
        has_optimizer=(staging / OPTIMIZER_FILE).exists(),
        created_by="adopted",
        base_model=entry.base_model,
        hero=entry.hero,
        # The history begins with it: the rolling slot must never take it.
        milestone=True,
    )
    write_sidecar(staging, record, files)


def _free_name(store: CheckpointStore, step: int, now: datetime) -> str:
    """Its canonical name; a minute later where one of that name is there."""
    while (store.root / (name := checkpoint_name(step, now.astimezone()))).exists():
        now += timedelta(minutes=1)
    return name
