"""The checkpoint ledger: the numbers of every checkpoint at the moment it was saved (spec 1.8).

The truth is on disk: a checkpoint exists when its directory lies in `current_model/`, and its numbers stand in the
`.ledger.json` inside it. The index under `status/` is derived from that, so what is gone from disk leaves every view
at once and cannot come back (A1, A2), and a directory that nobody reported is still seen (A8).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from core.checkpoint_index import CheckpointIndex, Entries
from core.checkpoint_records import (
    BYTES_PER_GB,
    SIDECAR,
    CheckpointRecord,
    checkpoint_name,
    checkpoint_names,
    extract_step,
    is_checkpoint_name,
    match_checkpoint,
    parse_checkpoint_name,
    read_sidecar,
    write_sidecar,
)
from core.checkpoint_survey import survey_folder
from core.crash_points import crash_point
from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths, resolve_base_dir
from core.remote_ledger import RemoteLedgerClient

__all__ = [
    "METRICS",
    "CheckpointLedger",
    "CheckpointRecord",
    "RemoteLedgerClient",
    "best_of",
    "checkpoint_name",
    "extract_step",
    "get_ledger",
    "get_ledger_client",
    "lower_is_better",
    "parse_checkpoint_name",
    "read_sidecar",
    "record_checkpoint",
    "write_sidecar",
]

METRICS = ("train_loss", "val_loss", "perplexity", "accuracy", "learning_rate", "epoch")
"""Fields of a record by which a best one can be asked for."""


class FolderCheck(Protocol):
    """Tells what is wrong with the files of a checkpoint (`vault.manifest.check_manifest`)."""

    def __call__(self, folder: Path, *, deep: bool) -> list[str]: ...


def lower_is_better(metric: str) -> bool:
    """The sensible direction of a metric where nobody has said: only accuracy is better when higher."""
    return metric != "accuracy"


def best_of(
    newest_first: Iterable[CheckpointRecord], metric: str, lower_is_better: bool = True
) -> CheckpointRecord | None:
    """Of these records the one with the best `metric`; see `CheckpointLedger.get_best`."""
    if metric not in METRICS:
        close = difflib.get_close_matches(metric, METRICS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Choose one of {', '.join(METRICS)}."
        raise InvalidInput(f"The ledger knows no metric {metric!r}.", hint=hint)
    rated = [(value, record) for record in newest_first if (value := getattr(record, metric)) is not None]
    if not rated:
        return None
    return (min if lower_is_better else max)(rated, key=lambda pair: pair[0])[1]


class CheckpointLedger:
    """All checkpoints below `checkpoints_root`; any number of processes may read and write it at once."""

    on_change: Callable[[Collection[str]], object] | None
    """Told the names of checkpoints that have come or gone, after the index was written; whoever keeps other books on
    them looks at the disk then (`VaultKeeper.note_checkpoints`). Must not raise."""

    def __init__(self, index_file: Path, history_file: Path, checkpoints_root: Path, files: Files = DISK) -> None:
        self.root = checkpoints_root
        # Of thousands of names a path each takes longer than all the rest. Below "." a name stands alone, as with Path.
        self._below = "" if checkpoints_root == Path() else str(checkpoints_root)
        self.on_change = None
        self._files = files
        self._index = CheckpointIndex(index_file, history_file, files)

    @classmethod
    def of(cls, paths: RealmPaths, files: Files = DISK) -> CheckpointLedger:
        """The ledger of the realm at `paths`."""
        return cls(paths.ledger_index, paths.ledger_history, paths.current_model, files)

    # --- reading ------------------------------------------------------------------------------------------

    def list_all(self, limit: int | None = None) -> list[CheckpointRecord]:
        """Every recorded checkpoint that is on disk, newest first; all directories where a step has several."""
        newest_first = list(reversed(self._on_disk()))
        return newest_first if limit is None else newest_first[: max(limit, 0)]

    def list_by_skill(self, skill_name: str, limit: int | None = None) -> list[CheckpointRecord]:
        """Like `list_all`, only those saved while this skill was trained."""
        chosen = [record for record in self.list_all() if record.skill_name == skill_name]
        return chosen if limit is None else chosen[: max(limit, 0)]

    def get(self, step: int) -> CheckpointRecord | None:
        """The record of exactly this step, the newest where it has several."""
        return next((record for record in self.list_all() if record.step == step), None)

    def find(self, reference: str) -> CheckpointRecord | None:
        """The record meant by a step, `checkpoint_{step}`, a directory name, `latest` or `best`."""
        if reference == "latest":
            return self.get_latest()
        if reference == "best":
            return self.get_best()
        records = {record.canonical_name: record for record in self._on_disk()}
        name = match_checkpoint(reference, list(records))
        return None if name is None else records[name]

    def get_latest(self) -> CheckpointRecord | None:
        """The record with the greatest step."""
        return next(iter(self.list_all(limit=1)), None)

    def get_best(self, metric: str = "train_loss", lower_is_better: bool = True) -> CheckpointRecord | None:
        """The record with the best `metric` (one of `METRICS`); those that have none never win.

        Of equals the newest wins. Raises `InvalidInput` for a metric that records do not have.
        """
        return best_of(self.list_all(), metric, lower_is_better)

    def get_summary(self) -> dict[str, Any]:
        """Count, range of steps, best and worst training loss, size in GB, and the skills trained."""
        records = self._on_disk()
        losses = [record.train_loss for record in records if record.train_loss is not None]
        return {
            "count": len(records),
            "latest_step": records[-1].step if records else None,
            "oldest_step": records[0].step if records else None,
            "best_loss": min(losses, default=None),
            "worst_loss": max(losses, default=None),
            "total_size_gb": sum(record.size_bytes or 0 for record in records) / BYTES_PER_GB,
            "skills_trained": sorted({record.skill_name for record in records if record.skill_name}),
        }

    # --- writing ------------------------------------------------------------------------------------------

    def record(self, record: CheckpointRecord, *, now: datetime | None = None) -> bool:
        """Enter a saved checkpoint. The history gets its line in any case, the index only while it is on disk.

        Recording the same thing again changes nothing. Returns whether the checkpoint stands in the index.
        """
        if not is_checkpoint_name(record.canonical_name):
            raise InvalidInput(f"{record.canonical_name!r} is no name of a checkpoint.")
        now = now or datetime.now(UTC)
        placed = self._place(record, record.canonical_name)
        with self._index.locked():
            # A missing index is started anew: what else is on disk enters at the next reconcile, with its history line.
            entries = dict(self._index.read() or {})
            if entries.get(record.canonical_name) == placed:
                return True
            # History first: killed in between, a line is doubled by the next reconcile, but none is lost.
            self._index.tell("recorded", placed, now=now)
            crash_point("ledger.told")
            if not (self.root / record.canonical_name).is_dir():
                return False
            entries[record.canonical_name] = placed
            self._index.write(entries, now=now)
        self._tell_change([record.canonical_name])
        return True

    def record_folder(
        self,
        step: int,
        folder: str | os.PathLike[str],
        *,
        rename: bool = True,
        now: datetime | None = None,
        **numbers: Any,
    ) -> CheckpointRecord:
        """Record a directory that the trainer's own store did not publish: sidecar, canonical name, index.

        `numbers` are fields of `CheckpointRecord`; the rest is read from the files. Raises `InvalidInput` when the
        directory is not one of this ledger or holds another step, `Conflict` when it is recorded with other numbers.
        """
        now = now or datetime.now(UTC)
        path = self._own_folder(folder)
        parsed = parse_checkpoint_name(path)
        name = checkpoint_name(step, now.astimezone()) if rename and not parsed["is_canonical"] else path.name
        if extract_step(name) != step or (is_checkpoint_name(path.name) and parsed["step"] != step):
            raise InvalidInput(f"{path} is not named like a checkpoint of step {step}.")
        if name != path.name and (self.root / name).exists():
            raise Conflict(f"There is a checkpoint {name} already.")
        record = read_sidecar(path)
        if record is None:
            record = replace(survey_folder(path), created_by="training_daemon", timestamp=now.isoformat(), **numbers)
            write_sidecar(path, self._place(record, name), self._files)
        elif any(getattr(record, key) != value for key, value in numbers.items()):
            raise Conflict(f"{path.name} is already recorded with other numbers.", hint=f"They stand in its {SIDECAR}.")
        if name != path.name:
            self._files.rename_dir(path, self.root / name)
            self._files.fsync_dir(self.root)
        record = self._place(record, name)
        self.record(record, now=now)
        return record

    def forget(self, step_or_name: int | str, reason: str, *, now: datetime | None = None) -> list[str]:
        """Strike out one directory by its name, or all directories of exactly one step (A29); returns their names.

        Call it after the directory was renamed to trash: one that still stands on disk is still shown.
        """
        now = now or datetime.now(UTC)
        with self._index.locked():
            entries = dict(self._index.read() or {})
            gone = [name for name, record in entries.items() if step_or_name in (name, record.step)]
            for name in gone:
                self._index.tell("forgotten", entries.pop(name), now=now, reason=reason)
            if gone:
                self._index.write(entries, now=now)
        self._tell_change(gone)
        return gone

    def reconcile(self, *, now: datetime | None = None) -> tuple[list[str], list[str]]:
        """Make the index equal to the disk; returns the names that were added and removed.

        A directory with a sidecar enters with the sidecar's numbers; what is not on disk leaves.
        """
        now = now or datetime.now(UTC)
        with self._index.locked():
            stored = self._index.read()
            before = stored or {}
            after = self._derive(before, prefer_sidecar=True)
            added = [name for name in after if name not in before]
            removed = [name for name in before if name not in after]
            for name in added:
                self._index.tell("recorded", after[name], now=now, reason="found on disk")
            for name in removed:
                self._index.tell("forgotten", before[name], now=now, reason="not on disk")
            if stored is None or after != before:
                self._index.write(after, now=now)
        self._tell_change([*added, *removed])
        return added, removed

    # --- strays and checks --------------------------------------------------------------------------------

    def scan_orphans(self) -> list[Path]:
        """Checkpoint directories that nobody has recorded: they are in no index and hold no sidecar.

        Python API of the seed (spec 1.8), as `adopt_orphan` is; the realm itself reconciles.
        """
        known = {record.canonical_name for record in self._on_disk()}
        return [self.root / name for name in checkpoint_names(self.root) if name not in known]

    def adopt_orphan(self, folder: str | os.PathLike[str], *, now: datetime | None = None) -> CheckpointRecord:
        """Record a directory as it lies: by its sidecar, else by its files and `trainer_state.json`; no rename.

        Raises `InvalidInput` for anything but a checkpoint directory of this ledger.
        """
        path = self._own_folder(folder)
        if not is_checkpoint_name(path.name):
            raise InvalidInput(f"{path} is not named like a checkpoint.", hint="Expected checkpoint-STEP-DATE-TIME.")
        record = read_sidecar(path)
        if record is None:
            record = survey_folder(path)
            write_sidecar(path, record, self._files)
        record = self._place(record, path.name)
        self.record(record, now=now)
        return record

    def verify(self, check_folder: FolderCheck, *, deep: bool = True, only: str | None = None) -> dict[str, list[str]]:
        """Compare index, sidecars and files; returns the problems by directory name, `{}` when all is well.

        `check_folder` looks at the files themselves (`vault.manifest.check_manifest`); with `deep` it hashes them.
        `only` is the name of the one checkpoint to look at.
        """
        stored = self._index.read()
        problems: dict[str, list[str]] = {}
        for name in checkpoint_names(self.root):
            if only not in (None, name):
                continue
            found = _checked(check_folder, self.root / name, deep=deep)
            sidecar = read_sidecar(self.root / name)
            if sidecar is None:
                found.append(f"{SIDECAR} is missing or damaged")
            if stored is not None and name not in stored:
                found.append("it is not in the ledger's index")
            elif stored is not None and sidecar is not None and stored[name] != self._place(sidecar, name):
                found.append(f"the index and {SIDECAR} differ")
            # One that was deleted while it was looked at has no faults.
            if found and (self.root / name).is_dir():
                problems[name] = found
        for name in self._index.read() or {}:
            if only in (None, name) and not (self.root / name).is_dir():
                problems[name] = ["it is in the ledger's index but not on disk"]
        return problems

    # --- inside -------------------------------------------------------------------------------------------

    def _tell_change(self, names: Collection[str]) -> None:
        if names and self.on_change is not None:
            self.on_change(names)

    def _on_disk(self) -> list[CheckpointRecord]:
        """Records of all directories on disk, oldest first."""
        return list(self._derive(self._index.read() or {}, prefer_sidecar=False).values())

    def _derive(self, known: Entries, *, prefer_sidecar: bool) -> dict[str, CheckpointRecord]:
        """Records of the directories on disk, oldest first: from the sidecar, or from `known` where that will do."""
        derived: dict[str, CheckpointRecord] = {}
        for name in checkpoint_names(self.root):
            record = None if name in known and not prefer_sidecar else read_sidecar(self.root / name)
            record = record or known.get(name)
            if record is not None:
                derived[name] = self._place(record, name)
        return derived

    def _place(self, record: CheckpointRecord, name: str) -> CheckpointRecord:
        """The record under the name and path at which the directory lies now; a realm may have been moved (A13)."""
        step, path = extract_step(name), os.path.join(self._below, name)
        if (record.step, record.canonical_name, record.path) == (step, name, path):
            return record  # of thousands, none is made anew for nothing
        return replace(record, step=step, canonical_name=name, path=path)

    def _own_folder(self, folder: str | os.PathLike[str]) -> Path:
        path = Path(folder).expanduser().resolve()
        if path.parent != self.root.resolve() or not path.is_dir():
            raise InvalidInput(f"{path} is no directory in {self.root}.", hint="Move the checkpoint there first.")
        return self.root / path.name


def get_ledger() -> CheckpointLedger:
    """The ledger of this base directory (`REALM_BASE_DIR`, else the checkout)."""
    return CheckpointLedger.of(RealmPaths(resolve_base_dir(None)))


def record_checkpoint(
    step: int,
    path: str | os.PathLike[str],
    *,
    rename: bool = True,
    now: datetime | None = None,
    **numbers: Any,
) -> CheckpointRecord:
    """Record the checkpoint at `path` in this base directory's ledger; see `CheckpointLedger.record_folder`."""
    return get_ledger().record_folder(step, path, rename=rename, now=now, **numbers)


def get_ledger_client(env: Mapping[str, str] = os.environ) -> CheckpointLedger | RemoteLedgerClient:
    """The ledger to ask on this host: `REALM_LEDGER_URL` when it is set, else the local one where training happens,
    else that of the host registry.

    Training happens here when the registry says so, or when it does not know this host and something was trained here.
    A host of which neither is true is not taken for the trainer (G4): raises `Unavailable` where no other is named.
    """
    # Loaded on use: whoever has a ledger already needs no registry.
    from core.hosts import get_registry

    if url := env.get("REALM_LEDGER_URL"):
        return RemoteLedgerClient(url)
    paths = RealmPaths(resolve_base_dir(None, env))
    registry = get_registry(paths, env)
    is_told = registry.local is not None and registry.trainer is not None
    was_trained_here = paths.ledger_index.exists() or _holds_data(paths.current_model)
    if registry.is_trainer_local or (was_trained_here and not is_told):
        return CheckpointLedger.of(paths)
    try:
        return RemoteLedgerClient(registry.service_url("ledger"))
    except NotFound as error:
        raise Unavailable(
            f"Nothing was trained in {paths.base}, and no other ledger is named.",
            hint="Name the trainer in configs/hosts.yaml, or set REALM_LEDGER_URL=http://TRAINER:8767/api/ledger.",
        ) from error


def _holds_data(folder: Path) -> bool:
    """True when a trainer has used `folder`; `.gitkeep` comes with every checkout."""
    return folder.is_dir() and any(entry.name != ".gitkeep" for entry in folder.iterdir())


def _checked(check_folder: FolderCheck, folder: Path, *, deep: bool) -> list[str]:
    try:
        return list(check_folder(folder, deep=deep))
    except RealmError as error:
        return [str(error)]
