"""What lies in a realm's base directory, as assets: found by looking at the disk and at nothing else (A8, A9).

Two looks at the same disk give the same assets, so that a catalog can be rebuilt. Ids are those of DESIGN section 6:
`checkpoint_{step}`, `model_{name}`, `data_{stem}`, `config_{stem}`.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Collection, Iterable, Iterator
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
    read_sidecar,
)
from core.checkpoint_survey import folder_size, survey_folder
from core.errors import NotFound, RealmError
from core.files import read_json
from core.paths import LANES, RealmPaths
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.manifest import check_manifest, read_manifest
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
        *_with_copies(discover_checkpoints(paths), paths.models),
        *_models(paths.models),
        *_training_data(paths),
        *_validation_data(paths.validation),
        *_configs(paths.configs),
        *_snapshots(paths),
        *_archives(paths.archive),
    ]
    return list(_with_ids_of_their_own(found))


def discover_checkpoints(paths: RealmPaths, steps: Collection[int] | None = None) -> Iterator[Asset]:
    """Those in `current_model/`, of these steps only where they are given.

    Of several of one step, the id `checkpoint_{step}` is that of the one that the ledger finds by it; the others have
    date and time in their ids.
    """
    names = checkpoint_names(paths.current_model)
    by_step: dict[int, str] = {}
    for name in names:
        step = extract_step(name)
        if by_step.get(step) != f"checkpoint-{step}":
            by_step[step] = name
    verified = read_scrub_record(paths.scrub_record).verified_at
    for name in names:
        step = extract_step(name)
        if steps is None or step in steps:
            asset_id = f"checkpoint_{step}" if by_step[step] == name else name.replace("-", "_", 1)
            yield from _if_there(lambda name=name, id=asset_id: _checkpoint(paths.current_model / name, id, verified))


def _with_copies(own: Iterable[Asset], folder: Path) -> list[Asset]:
    """Checkpoints of `current_model/`, and those that were brought to `models/`: copies of these, or others."""
    found = {asset.name: asset for asset in own}
    taken = {asset.asset_id for asset in found.values()}
    for path in _folders(folder):
        if not is_checkpoint_name(path.name):
            continue
        twin = found.get(path.name)
        short, long = f"checkpoint_{extract_step(path.name)}", path.name.replace("-", "_", 1)
        for asset in _if_there(lambda path=path, id=short: _checkpoint(path, id, {})):
            (place,) = asset.locations
            if twin is None:
                asset_id = long if short in taken else short
                taken.add(asset_id)
                found[path.name] = replace(asset, asset_id=asset_id)
            elif place.checksum is not None and place.checksum == twin.locations[0].checksum:
                found[path.name] = replace(twin, locations=(*twin.locations, replace(place, is_primary=False)))
    return list(found.values())


def describe(path: Path, stronghold: str = LOCAL, *, is_primary: bool = False) -> Asset:
    """The asset at a path anywhere; raises `NotFound` for what is no asset, such as a link."""
    try:
        status = path.lstat()
    except OSError as error:
        raise NotFound(f"{path} cannot be looked at: {error.strerror}.") from error
    if stat.S_ISDIR(status.st_mode):
        if is_checkpoint_name(path.name):
            found = _checkpoint(path, f"checkpoint_{extract_step(path.name)}", {})
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


def assets_below(folder: Path, *, recursive: bool) -> Iterator[Path]:
    """Paths in `folder` that `describe` takes; what lies inside a checkpoint or model is part of it, links are none."""
    if _is_asset(folder):
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
        if _is_asset(path):
            yield path
        elif recursive and entry.is_dir(follow_symlinks=False):
            try:
                yield from assets_below(path, recursive=True)
            except NotFound as error:
                logger.warning("not scanned: %s", error, extra={"event": "scan_skipped"})


# --- each kind -----------------------------------------------------------------------------------------------------


def _checkpoint(folder: Path, asset_id: str, verified: dict[str, str]) -> Asset:
    record = read_sidecar(folder) or survey_folder(folder)
    manifest = read_manifest(folder)
    status, at, checksum = LocationStatus.UNVERIFIED, None, None
    if manifest is not None:
        checksum = manifest["digest"]
        # The manifest was made of the files as they lay on the disk: that was the first look at them.
        at = max(filter(None, (manifest.get("created_at"), verified.get(folder.name))), default=None)
        status = LocationStatus.CORRUPTED if _is_torn(folder) else LocationStatus.VERIFIED
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
        return bool(check_manifest(folder, deep=False))
    except RealmError:  # its files cannot be looked at, which says nothing about them
        return False


def _models(folder: Path) -> Iterator[Asset]:
    for path in _folders(folder):
        if _is_model(path) and not is_checkpoint_name(path.name):
            yield from _if_there(lambda path=path: _model(path))


def _model(path: Path) -> Asset:
    config = read_json(path / "config.json")
    told = {key: config[key] for key in ("model_type", "architectures") if isinstance(config, dict) and key in config}
    asset_id = f"model_{path.name.lower().replace('-', '_')}"
    return _plain(path, asset_id, AssetType.MODEL, folder_size(path), told)


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
    """A file in a later folder whose id is taken has its folder in its own, and where that is taken too, a hash."""
    taken: set[str] = set()
    for asset in found:
        path = Path(asset.locations[0].path)
        kind, _, rest = asset.asset_id.partition("_")
        hashed = blake3(str(path.parent.name + "/" + path.name).encode()).hexdigest()[:8]
        names = (asset.asset_id, f"{kind}_{path.parent.name}_{rest}", f"{asset.asset_id}_{hashed}")
        own = next((name for name in names if name not in taken), None)
        if own is not None:
            taken.add(own)
            yield asset if own == asset.asset_id else replace(asset, asset_id=own)


def _if_there(make: Any) -> Iterator[Asset]:
    try:
        asset: Asset = make()
        json.dumps(asset.locations[0].path, ensure_ascii=False).encode()
    except FileNotFoundError:
        return
    except UnicodeEncodeError:  # a name that is no Unicode: neither SQLite nor a URL can hold it
        return
    except OSError as error:
        logger.warning("not in the catalog: %s", error, extra={"event": "discovery_failed"})
        return
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
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC).isoformat()


def _utc(text: str) -> str | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
