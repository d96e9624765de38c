"""What lies in a realm's base directory, as assets: found by looking at the disk and at nothing else (A8, A9).

Two looks at the same disk give the same assets, so that a catalog can be rebuilt. Ids are those of DESIGN section 6:
`checkpoint_{step}`, `model_{name}`, `data_{stem}`, `config_{stem}`.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from blake3 import blake3

from core.checkpoint_records import (
    CheckpointRecord,
    checkpoint_names,
    extract_step,
    is_checkpoint_name,
    parse_checkpoint_name,
    read_sidecar,
)
from core.checkpoint_survey import folder_size, survey_folder
from core.errors import NotFound, RealmError
from core.files import read_json
from core.paths import LANES, RealmPaths
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.manifest import ReadError, check_manifest, read_manifest
from vault.scrub_record import read_scrub_record
from vault.snapshots import snapshot_days

logger = logging.getLogger(__name__)

LONGEST_STEM = 200
"""Characters of a name in an id."""

_TOLD = (
    "train_loss", "val_loss", "learning_rate", "accuracy", "skill_name", "skill_level", "training_file", "hero",
    "base_model", "has_optimizer", "milestone",
)  # fmt: skip
"""What the catalog repeats of a checkpoint's record."""

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".pt")


def discover(paths: RealmPaths) -> list[Asset]:
    """Everything in the base directory that the catalog keeps; what vanishes meanwhile is left out."""
    found = [
        *discover_checkpoints(paths),
        *_models(paths.models),
        *_training_data(paths),
        *_validation_data(paths.validation),
        *_configs(paths.configs),
        *_snapshots(paths),
        *_archives(paths.archive),
    ]
    return list(_with_ids_of_their_own(found))


def discover_checkpoints(paths: RealmPaths, steps: Collection[int] | None = None) -> list[Asset]:
    """Those in `current_model/` and in `models/`, of these steps only where they are given.

    Of several of one step, the id `checkpoint_{step}` is that of the one that the ledger finds by it; the others have
    date and time in their ids.
    """
    names = checkpoint_names(paths.current_model)
    by_step: dict[int, str] = {}
    for name in names:
        step = extract_step(name)
        if by_step.get(step) != f"checkpoint-{step}":
            by_step[step] = name
    verified, own = read_scrub_record(paths.scrub_record).verified_at, list[Asset]()
    for name in names:
        step = extract_step(name)
        if steps is None or step in steps:
            asset_id = f"checkpoint_{step}" if by_step[step] == name else name.replace("-", "_", 1)
            own += _if_there(lambda name=name, id=asset_id: _checkpoint(paths.current_model / name, id, verified))
    return _with_copies(own, paths.models, steps)


def _with_copies(own: Iterable[Asset], folder: Path, steps: Collection[int] | None) -> list[Asset]:
    """Checkpoints of `current_model/`, and those that were brought to `models/`: copies of these, or others."""
    found = {asset.name: asset for asset in own}
    taken = {asset.asset_id for asset in found.values()}
    for path in _folders(folder):
        if not is_checkpoint_name(path.name) or (steps is not None and extract_step(path.name) not in steps):
            continue
        twin = found.get(path.name)
        short, long = f"checkpoint_{extract_step(path.name)}", path.name.replace("-", "_", 1)
        for asset in _if_there(lambda path=path, id=short: _checkpoint(path, id)):
            (place,) = asset.locations
            if twin is None:
                asset_id = long if short in taken else short
                taken.add(asset_id)
                found[path.name] = replace(asset, asset_id=asset_id)
            elif place.checksum is not None and place.checksum == twin.locations[0].checksum:
                found[path.name] = replace(twin, locations=(*twin.locations, replace(place, is_primary=False)))
    return list(found.values())


def describe(path: Path, stronghold: str = LOCAL, *, is_primary: bool = False) -> Asset:
    """The asset at a path anywhere; raises `NotFound` for what is no asset, such as a link.

    A copy is nothing but unverified, whatever lies beside it: only who has read its files knows better.
    """
    if not is_text(str(path)):
        raise NotFound(f"{shown(path)} has a name that is no Unicode.", hint="Rename it: JSON cannot hold such a name.")
    try:
        return _described(path, path.lstat(), stronghold, is_primary)
    except OSError as error:
        raise NotFound(f"{error.filename or path} cannot be looked at: {error.strerror}.") from error


def _described(path: Path, status: os.stat_result, stronghold: str, is_primary: bool) -> Asset:
    if stat.S_ISDIR(status.st_mode):
        if is_checkpoint_name(path.name):
            found = _checkpoint(path, f"checkpoint_{extract_step(path.name)}")
        elif _is_model(path):
            found = _model(path)
        else:
            raise NotFound(f"{path} holds neither a checkpoint nor a model.", hint="`scan` looks inside.")
    elif stat.S_ISREG(status.st_mode):
        found = _described_file(path)
    else:
        raise NotFound(f"{path} is a link or a special file.", hint="Give the place that it leads to.")
    (location,) = found.locations
    return replace(found, locations=(replace(location, stronghold=stronghold, is_primary=is_primary),))


def assets_below(
    folder: Path, *, recursive: bool, skipped: list[str] | None = None, whole: Collection[str] = ()
) -> Iterator[Path]:
    """Paths in `folder` that `describe` takes; what lies inside a checkpoint or model is part of it, links are none.

    `skipped` is told what was left out. What lies at the paths in `whole` is one asset each, whatever it is.
    """
    if _is_asset(folder) or str(folder) in whole:
        yield folder
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise NotFound(f"{folder} cannot be looked into: {error.strerror}.") from error
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if not is_text(entry.name):
            _leave_out(f"{folder} has {entry.name!r}, which is no Unicode: no catalog and no URL can hold it.", skipped)
            continue
        if _is_asset(path) or str(path) in whole:
            yield path
        elif recursive and entry.is_dir(follow_symlinks=False):
            try:
                yield from assets_below(path, recursive=True, skipped=skipped, whole=whole)
            except NotFound as error:
                _leave_out(str(error), skipped)


def _leave_out(why: str, skipped: list[str] | None) -> None:
    logger.warning("not scanned: %s", why, extra={"event": "scan_skipped"})
    if skipped is not None:
        skipped.append(why)


# --- each kind -----------------------------------------------------------------------------------------------------


def _checkpoint(folder: Path, asset_id: str, verified: Mapping[str, str] | None = None) -> Asset:
    """A checkpoint; `verified`, when each was last read, is only for those that were saved here."""
    record = read_sidecar(folder) or survey_folder(folder)
    manifest = read_manifest(folder)
    # Without a manifest nobody can tell whether it is all there (law 2).
    status = LocationStatus.CORRUPTED if _is_torn(folder) else LocationStatus.UNVERIFIED
    checksum, at = (None if manifest is None else manifest["digest"]), None
    if manifest is not None and verified is not None and status is LocationStatus.UNVERIFIED:
        # The manifest was made of the files as they lay on this disk: that was the first look at them.
        at = max(filter(None, (manifest.get("created_at"), verified.get(folder.name))), default=None)
        status = LocationStatus.VERIFIED
    step = extract_step(folder.name)
    size = folder_size(folder)
    told = {key: value for key in _TOLD if (value := getattr(record, key)) is not None}
    return Asset(
        asset_id, AssetType.CHECKPOINT, folder.name, _display(record, step), size,
        _utc(record.timestamp), _modified(folder), metadata={"step": step, **told}, step=step,
        locations=(Location(LOCAL, str(folder), status, at, checksum, size, is_primary=True),),
    )  # fmt: skip


def _is_torn(folder: Path) -> bool:
    try:
        problems = check_manifest(folder, deep=False)
    except RealmError:  # its files cannot be looked at, which says nothing about them
        return False
    return any(not isinstance(problem, ReadError) for problem in problems)


def _models(folder: Path) -> Iterator[Asset]:
    for path in _folders(folder):
        if _is_model(path) and not is_checkpoint_name(path.name):
            yield from _if_there(lambda path=path: _model(path))


def _model(path: Path) -> Asset:
    config = read_json(path / "config.json")
    told = {key: config[key] for key in ("model_type", "architectures") if isinstance(config, dict) and key in config}
    asset_id = f"model_{path.name.lower().replace('-', '_')}"
    found = _plain(path, asset_id, AssetType.MODEL, folder_size(path), told)
    manifest = read_manifest(path)
    if manifest is None:
        return found
    (place,) = found.locations
    status = LocationStatus.CORRUPTED if _is_torn(path) else LocationStatus.UNVERIFIED
    return replace(found, locations=(replace(place, checksum=manifest["digest"], status=status),))


def _training_data(paths: RealmPaths) -> Iterator[Asset]:
    for lane in LANES:
        for path in _files(paths.lane(lane), ".jsonl"):
            yield from _if_there(lambda path=path, lane=lane: _file(path, AssetType.TRAINING_DATA, {"lane": lane}))


def _validation_data(folder: Path) -> Iterator[Asset]:
    for path in _files(folder, ".jsonl"):
        yield from _if_there(lambda path=path: _file(path, AssetType.VALIDATION_DATA))


def _configs(folder: Path) -> Iterator[Asset]:
    for path in (*_files(folder, ".yaml"), *_files(folder / "heroes", ".yaml"), *_files(folder / "skills", ".yaml")):
        yield from _if_there(lambda path=path: _file(path, AssetType.CONFIG))


def _snapshots(paths: RealmPaths) -> Iterator[Asset]:
    for day in snapshot_days(paths):
        path = paths.snapshots / day.isoformat()
        yield from _if_there(
            lambda path=path: _plain(path, f"snapshot_{path.name}", AssetType.SNAPSHOT, folder_size(path))
        )


def _archives(folder: Path) -> Iterator[Asset]:
    for path in _folders(folder):
        yield from _if_there(lambda path=path: _plain(path, f"backup_{path.name}", AssetType.BACKUP, folder_size(path)))


def _described_file(path: Path) -> Asset:
    if path.name.endswith(".jsonl"):
        is_for_validation = path.parent.name == "validation"
        return _file(path, AssetType.VALIDATION_DATA if is_for_validation else AssetType.TRAINING_DATA)
    if path.suffix in (".yaml", ".yml"):
        return _file(path, AssetType.CONFIG)
    if path.suffix == ".gguf":
        return _plain(path, f"model_{path.stem.lower().replace('-', '_')}", AssetType.MODEL, path.stat().st_size)
    if path.suffix == ".log":
        return _plain(path, f"log_{path.stem}", AssetType.LOG, path.stat().st_size)
    raise NotFound(
        f"{path} is no asset.", hint="Assets are checkpoints, models, .jsonl data, .yaml configurations and .log files."
    )


def _file(path: Path, kind: AssetType, told: dict[str, Any] | None = None) -> Asset:
    prefix = "config" if kind is AssetType.CONFIG else "data"
    return _plain(path, f"{prefix}_{path.stem[:LONGEST_STEM]}", kind, path.lstat().st_size, told)


def _plain(path: Path, asset_id: str, kind: AssetType, size: int, told: dict[str, Any] | None = None) -> Asset:
    at = _modified(path)
    location = Location(LOCAL, str(path), size_bytes=size, is_primary=True)
    return Asset(
        asset_id, kind, path.name, size_bytes=size, created_at=at, modified_at=at, metadata=told or {},
        locations=(location,),
    )  # fmt: skip


# --- inside --------------------------------------------------------------------------------------------------------


def _with_ids_of_their_own(found: Iterable[Asset]) -> Iterator[Asset]:
    """A file in a later folder whose id is taken has another one."""
    taken: set[str] = set()
    for asset in found:
        names = (asset.asset_id, *other_ids(asset))
        own = next((name for name in names if name not in taken), None)
        if own is not None:
            taken.add(own)
            yield asset if own == asset.asset_id else replace(asset, asset_id=own)


def other_ids(asset: Asset) -> list[str]:
    """What an asset is called whose id is that of another one: with its folder, and where that is taken too, a hash; a
    checkpoint with the date and time in its name."""
    path = Path(asset.locations[0].path)
    if asset.asset_type is AssetType.CHECKPOINT:
        return [path.name.replace("-", "_", 1)] if parse_checkpoint_name(path)["is_canonical"] else []
    kind, _, rest = asset.asset_id.partition("_")
    hashed = blake3(str(path.parent.name + "/" + path.name).encode()).hexdigest()[:8]
    return [f"{kind}_{path.parent.name}_{rest}", f"{asset.asset_id}_{hashed}"]


def is_text(path: str) -> bool:
    """Whether SQLite, JSON and a URL can hold it: names on a disk may be any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: str | os.PathLike[str]) -> str:
    """Any path, as text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _if_there(make: Any) -> Iterator[Asset]:
    try:
        asset: Asset = make()
    except FileNotFoundError:
        return
    except OSError as error:
        logger.warning("not in the catalog: %s", error, extra={"event": "discovery_failed"})
        return
    if is_text(asset.locations[0].path):
        yield asset


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            names = [e.name for e in entries if not e.name.startswith(".") and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [parent / name for name in sorted(names)]


def _files(parent: Path, suffix: str) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            names = [
                e.name
                for e in entries
                if e.name.endswith(suffix) and not e.name.startswith(".") and e.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [parent / name for name in sorted(names)]


def _is_asset(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return is_checkpoint_name(path.name) or _is_model(path)
    return stat.S_ISREG(mode) and path.suffix in (".jsonl", ".yaml", ".yml", ".gguf", ".log")


def _is_model(folder: Path) -> bool:
    """A directory with a `config.json` and weights."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return False
    return "config.json" in names and any(name.endswith(_WEIGHTS) for name in names)


def _display(record: CheckpointRecord, step: int) -> str:
    return replace(record, step=step).display_name


def _modified(path: Path) -> str:
    """When anything below it was last written: a file that is written over in place changes no directory."""
    newest = path.lstat().st_mtime
    for parent, folders, names in os.walk(path):
        newest = max(newest, *(os.lstat(f"{parent}/{name}").st_mtime for name in (*folders, *names)), 0.0)
    return datetime.fromtimestamp(newest, UTC).isoformat()


def _utc(text: str) -> str | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
