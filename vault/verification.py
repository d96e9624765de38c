"""What `realm ledger verify` looks at: checkpoints of the ledger, and on demand those on branches and in snapshots."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import checkpoint_names, match_checkpoint
from core.errors import NotFound, RealmError
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore
from vault.manifest import OnRead, check_manifest, listed_files, unlisted_files
from vault.snapshots import snapshot_days


@dataclass(frozen=True)
class Chosen:
    """The checkpoints to look at, by what they are called in the report."""

    all_of_ledger: bool
    """Whether the index is looked at too, for what is not on disk any more."""
    folders: dict[str, Path]
    """Those of the ledger."""
    others: dict[str, Path]
    """Those that the ledger does not tell of."""
    set_aside: dict[str, list[str]]
    """What lies in quarantine, and why."""


@dataclass(frozen=True)
class Report:
    """What was found, by the names of the checkpoints."""

    deep: bool
    checked: list[str]
    problems: dict[str, list[str]]
    strays: dict[str, list[str]]
    """Files that were not saved with a checkpoint; no loader gets to see them."""
    set_aside: dict[str, list[str]]

    def to_json(self) -> dict[str, Any]:
        """All fields, and whether all is well."""
        return {"ok": not self.problems, **asdict(self)}

    def lines(self) -> list[str]:
        """The same for people, a sentence each."""
        told = [f"{name}: {'; '.join(reasons)}" for name, reasons in self.problems.items()]
        if not told:
            looked = "every file is as it was saved" if self.deep else "every file has the size that it was saved with"
            told.append(f"Ledger and checkpoints agree, {looked} ({len(self.checked)} looked at).")
        for name, files in self.strays.items():
            told.append(f"{name} holds what was not saved with it, and is never loaded: {', '.join(files)}")
        for name, reasons in self.set_aside.items():
            told.append(f"{name} was set aside: {'; '.join(reasons) or 'its note is gone'}")
        return told


def choose(paths: RealmPaths, ledger: CheckpointLedger, reference: str | None, *, everything: bool) -> Chosen:
    """What is meant by `reference` (a name, a step, latest or best), or all; raises `NotFound` for nothing."""
    store = CheckpointStore(paths.current_model)
    folders = {name: store.root / name for name in checkpoint_names(store.root)}
    others = {str(found.path.relative_to(store.root)): found.path for found in store.branches()}
    for day in snapshot_days(paths):
        folder = paths.snapshots / day.isoformat()
        others |= {f"{folder.name}/{name}": folder / name for name in checkpoint_names(folder)}
    if reference is None:
        aside = {each.name: each.reasons for each in store.set_aside()}
        return Chosen(True, folders, others if everything else {}, aside)
    record = ledger.find(reference)
    name = record.canonical_name if record else match_checkpoint(reference, list(folders))
    if name is not None:
        return Chosen(False, {name: folders[name]}, {}, {})
    meant = match_checkpoint(reference, [folder.name for folder in others.values()])
    chosen = {called: folder for called, folder in others.items() if called == reference or folder.name == meant}
    if not chosen:
        raise NotFound(f"There is no checkpoint {reference!r}.", hint="`realm ledger list` shows them.")
    return Chosen(False, {}, chosen, {})


def bytes_to_read(chosen: Chosen) -> int:
    """Size of all files of the chosen checkpoints, as far as their manifests tell."""
    return sum(
        entry["size"]
        for folder in (*chosen.folders.values(), *chosen.others.values())
        for entry in _listed(folder).values()
        if isinstance(entry, dict) and isinstance(entry.get("size"), int)
    )


def verify_checkpoints(
    ledger: CheckpointLedger, chosen: Chosen, *, deep: bool, on_read: OnRead | None = None
) -> Report:
    """Look at them; with `deep` every file is read and compared with its hash."""
    problems: dict[str, list[str]] = {}
    check = partial(check_manifest, on_read=on_read)
    for only in [None] if chosen.all_of_ledger else list(chosen.folders):
        problems |= ledger.verify(check, deep=deep, only=only)
    for called, folder in chosen.others.items():
        if (found := _checked(folder, deep, on_read)) and folder.is_dir():
            problems[called] = found
    looked_at = chosen.folders | chosen.others
    strays = {called: found for called, folder in looked_at.items() if (found := _strays(folder))}
    return Report(deep, list(looked_at), problems, strays, chosen.set_aside)


def _listed(folder: Path) -> dict[str, object]:
    try:
        return listed_files(folder)
    except RealmError:  # the check says what is wrong
        return {}


def _checked(folder: Path, deep: bool, on_read: OnRead | None) -> list[str]:
    try:
        return check_manifest(folder, deep=deep, on_read=on_read)
    except RealmError as error:
        return [str(error)]


def _strays(folder: Path) -> list[str]:
    try:
        return unlisted_files(folder)
    except (OSError, RealmError):  # the check says what is wrong
        return []
