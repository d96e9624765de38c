"""The Archivist: backups of assets, in the base directory or in a stronghold (seed 003, `vault/archivist.py`).

To seal is to copy an asset with its manifest, read the copy back, and rename it into place: a backup is whole or
absent, and in the catalog in the same act. To restore is the same way back; nothing that differs is ever overwritten.
What is deleted, the treasury deletes (`Treasury.purge`).
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.checkpoint_records import BYTES_PER_GB, is_checkpoint_name, match_checkpoint
from core.crash_points import crash_point
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from vault.asset_jobs import ABANDONED_AFTER
from vault.assets import LOCAL, Asset, AssetType, Location, is_usable
from vault.checkpoints import BRANCHES
from vault.copies import Heavy, here
from vault.keeper import VaultKeeper
from vault.parts import copy_asset, staging_of
from vault.seal_books import book_seal, book_seals
from vault.seals import (
    NOTE,
    STAGING,
    VERSION,
    Seal,
    SealNote,
    altered_manifest,
    name_of_seal,
    problems_of_seal,
    read_seal,
)
from vault.stores import Store, Stores
from vault.trash import discard, hidden_folders

__all__ = ["Archivist", "Restored", "Seal"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restored:
    """What was brought back."""

    backup: str
    stronghold: str
    asset_id: str
    path: str
    was_there: bool
    """The same bytes lay there already, and nothing was done."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Archivist:
    """Of one realm; thread-safe as its keeper is. Everything here takes its time and belongs into a thread."""

    def __init__(
        self, keeper: VaultKeeper, stores: Stores | None = None, *, heavy: Heavy = here, files: Files = DISK
    ) -> None:
        self._keeper = keeper
        self._stores = stores or Stores(keeper.paths)
        self._heavy = heavy
        self._files = files

    # --- sealing ------------------------------------------------------------------------------------------

    def seal(
        self, reference: str, stronghold: str = LOCAL, reason: str | None = None, *, now: datetime | None = None
    ) -> Seal:
        """Back an asset up; the backup that there is already where it holds the same bytes and is whole.

        Raises `NotFound` for what is unknown or lies on no disk here, `Conflict` where its bytes are not what its
        manifest says, and `Unavailable` without room, or when the stronghold does not answer.
        """
        now = now or datetime.now(UTC)
        asset = self._keeper.get_asset(reference)
        source = self._source(asset)
        store = self._stores.get(stronghold, for_backups=True)
        manifest = self._keeper.manifest(asset, source)
        for known in reversed(self._stores.seals(store)):
            if known.digest == manifest["digest"] and known.note.name == asset.name and not self.verify(known, now=now):
                return read_seal(known.path, store.name)
        self._check_room(store, int(manifest["total_bytes"]))
        note = SealNote(
            version=VERSION, asset_id=asset.asset_id, asset_type=asset.asset_type, name=asset.name, sealed_at=now,
            verified_at=now, reason=reason, host=socket.gethostname(), base_dir=str(self._paths.base),
            came_from=self._place_below_base(source), manifest=manifest,
        )  # fmt: skip
        made = self._stores.within(store, lambda: self._write(store, source, note), what="sealing")
        book_seal(self._keeper.catalog, made)
        logger.info("%s is sealed in %s", asset.asset_id, made.path, extra={"event": "sealed"})
        return made

    def foretell(self, reference: str, stronghold: str = LOCAL) -> dict[str, Any]:
        """What `seal` copies, and where to; raises as it does, but for what only copying shows."""
        asset = self._keeper.get_asset(reference)
        source, store = self._source(asset), self._stores.get(stronghold, for_backups=True)
        return {
            "asset_id": asset.asset_id,
            "source": source.path,
            "stronghold": store.name,
            "folder": str(store.folder),
            "size_bytes": source.size_bytes or asset.size_bytes or 0,
        }

    # --- looking ------------------------------------------------------------------------------------------

    def seals(self, stronghold: str | None = None) -> list[Seal]:
        """The backups of one stronghold, or of all in reach; oldest first in each."""
        if stronghold is not None:
            return self._stores.seals(self._stores.get(stronghold))
        found: list[Seal] = []
        for store in self._stores.all():
            try:
                found += self._stores.seals(store)
            except (OSError, RealmError) as error:
                logger.warning("%s is not looked into: %s", store.name, error, extra={"event": "store_unread"})
        return found

    def find(self, reference: str, stronghold: str | None = None) -> Seal:
        """A backup by its name, else the newest one of an asset by id, name or step; raises `NotFound`."""
        known = self.seals(stronghold)
        named = [seal for seal in known if seal.name == reference]
        meant = named or [seal for seal in known if _means(reference, seal.note)]
        if not meant:
            raise NotFound(f"There is no backup {reference!r}.", hint="`realm vault backups` shows those in reach.")
        # Of one made at the same time in several places, that on this host.
        return max(meant, key=lambda seal: (seal.note.sealed_at, seal.stronghold == LOCAL))

    def verify(self, seal: Seal, *, now: datetime | None = None) -> list[str]:
        """Read all of it again; what is wrong, `[]` for a whole one. The seal and the catalog keep that it was."""
        store = self._stores.get(seal.stronghold)
        problems: list[str] = self._stores.within(
            store, lambda: problems_of_seal(self._heavy, seal.path), what="reading"
        )
        if not problems:
            checked = replace(seal, note=replace(seal.note, verified_at=now or datetime.now(UTC)))
            # A share that is mounted for reading only can be verified all the same.
            with suppress(OSError, RealmError):
                self._stores.within(store, lambda: self._write_note(seal.path, checked.note), what="noting")
            book_seal(self._keeper.catalog, checked)
        return problems

    # --- restoring ----------------------------------------------------------------------------------------

    def restore(
        self,
        reference: str,
        destination: str | os.PathLike[str] | None = None,
        stronghold: str | None = None,
        *,
        now: datetime | None = None,
    ) -> Restored:
        """Bring a backup back, verified before it gets its name: to `destination`, else to where it came from.

        A checkpoint of the model comes to a branch of its own, from which `realm rewind` makes it the present one.
        Raises `Conflict` where something else lies at the place, or the backup is not what was sealed.
        """
        seal = self.find(reference, stronghold)
        place = self._target(seal, destination, now or datetime.now(UTC))
        store = self._stores.get(seal.stronghold)
        # The rest is compared while it is copied.
        if problems := self._stores.within(store, lambda: altered_manifest(seal), what="reading"):
            raise Conflict(f"The backup {seal.name} is not what was sealed: {problems[0]}.", hint="Take another one.")
        place.parent.mkdir(parents=True, exist_ok=True)
        copied = self._stores.within(
            store, lambda: self._copy(seal.content, place, seal.note.manifest), what="restoring"
        )
        self._keeper.reconcile()
        return Restored(seal.name, seal.stronghold, seal.note.asset_id, str(place), not copied)

    def foretell_restore(
        self, reference: str, destination: Path | None = None, stronghold: str | None = None, *, now: datetime
    ) -> dict[str, Any]:
        """What `restore` brings where; nothing is read but notes."""
        seal = self.find(reference, stronghold)
        place = self._target(seal, destination, now)
        return {"backup": seal.name, "stronghold": seal.stronghold, "asset_id": seal.note.asset_id, "path": str(place)}

    # --- keeping it true ----------------------------------------------------------------------------------

    def tidy(self, stronghold: str, now: datetime) -> None:
        """Drop what was cut off there a day ago, and make the catalog tell of exactly the backups that are there."""
        store = self._stores.get(stronghold)
        found = self._stores.seals(store)
        self._stores.within(store, lambda: self._drop_stagings(store, now), what="sweeping")
        book_seals(self._keeper.catalog, store, found)

    # --- inside -------------------------------------------------------------------------------------------

    @property
    def _paths(self) -> RealmPaths:
        return self._keeper.paths

    def _source(self, asset: Asset) -> Location:
        usable = [each for each in asset.locations if is_usable(each) and self._keeper.is_here(each)]
        if not usable:
            raise NotFound(
                f"No whole copy of {asset.asset_id} lies on this host.",
                hint="`realm vault fetch` brings one here first.",
            )
        # The thing itself, which may have changed since it was sealed before.
        return min(usable, key=lambda each: ((Path(each.path).parent / NOTE).exists(), each.stronghold != LOCAL))

    def _place_below_base(self, source: Location) -> str:
        place = Path(source.path)
        inside = source.stronghold == LOCAL and place.is_relative_to(self._paths.base)
        return place.relative_to(self._paths.base).as_posix() if inside else str(place)

    def _check_room(self, store: Store, needed: int) -> None:
        def look() -> int:
            # Only its last folder is made: a share that is not mounted must not be begun on the disk below it.
            store.folder.mkdir(exist_ok=True)
            return shutil.disk_usage(store.folder).free

        try:
            free = self._stores.within(store, look, 30.0, "looking at its room")
        except OSError as error:
            raise Unavailable(
                f"{store.folder} cannot be used: {error.strerror}.", hint=f"Is the stronghold {store.name} mounted?"
            ) from error
        if free < needed * 1.05:
            told = f"{needed / BYTES_PER_GB:.3g} GB, and {free / BYTES_PER_GB:.3g} GB are free"
            raise Unavailable(f"There is no room in {store.name}: the backup takes {told}.")
        if store.max_bytes is not None and needed > store.max_bytes:
            raise Conflict(f"The backup is larger than all of {store.name} may be.", hint="See max_size_gb there.")

    def _write(self, store: Store, source: Location, note: SealNote) -> Seal:
        staging = store.folder / f"{STAGING}{uuid.uuid4().hex}"
        try:
            staging.mkdir()
            self._copy(Path(source.path), staging / note.name, note.manifest)
            self._write_note(staging, note)
            crash_point("seal.staged")
            place = self._free_place(store, note)
            self._files.rename_dir(staging, place)
            self._files.fsync_dir(store.folder)
        except OSError as error:
            raise Unavailable(f"The backup cannot be written to {store.folder}: {error.strerror}.") from error
        finally:
            if staging.exists():
                discard(staging, self._files)
        crash_point("seal.renamed")
        return Seal(store.name, place, note)

    def _copy(self, source: Path, place: Path, manifest: Mapping[str, Any]) -> bool:
        return copy_asset(self._heavy, source, place, manifest, staging_of(place, manifest))

    def _free_place(self, store: Store, note: SealNote) -> Path:
        name = name_of_seal(note.name, note.sealed_at)
        names = [name, *(f"{name}-{number}" for number in range(2, 100))]
        return next(place for each in names if not os.path.lexists(place := store.folder / each))

    def _write_note(self, folder: Path, note: SealNote) -> None:
        times = {"sealed_at": note.sealed_at.isoformat(), "verified_at": note.verified_at.isoformat()}
        self._files.write_json(folder / NOTE, {**vars(note), **times, "manifest": dict(note.manifest)}, durable=True)

    def _target(self, seal: Seal, destination: str | os.PathLike[str] | None, now: datetime) -> Path:
        note = seal.note
        if destination is not None:
            place = Path(os.path.abspath(destination))
            return place / note.name if place.is_dir() and place.name != note.name else place
        came_from = Path(note.came_from)
        if came_from.is_absolute() or ".." in came_from.parts:
            raise Conflict(f"{note.name} came from {came_from}, outside of the realm.", hint="Say where to with --to.")
        of_the_model = came_from.parts[:1] == (self._paths.current_model.name,)
        if not (of_the_model and note.asset_type is AssetType.CHECKPOINT and is_checkpoint_name(note.name)):
            return self._paths.base / came_from
        for place in (self._paths.current_model / note.name, *self._on_branches(note.name)):
            if place.is_dir():
                return place  # where it lies: the same bytes are left alone, others are refused
        return self._paths.current_model / BRANCHES / f"restored-{now.astimezone(UTC):%Y%m%d%H%M%S}" / note.name

    def _on_branches(self, name: str) -> list[Path]:
        return [folder / name for folder in (self._paths.current_model / BRANCHES).glob("*/")]

    def _drop_stagings(self, store: Store, now: datetime) -> None:
        for staging in hidden_folders(store.folder, STAGING):
            written = datetime.fromtimestamp(staging.lstat().st_mtime, UTC)
            if abs(now - written) > ABANDONED_AFTER:
                discard(staging, self._files)


def _means(reference: str, note: SealNote) -> bool:
    named = reference in (note.asset_id, note.name)
    return named or (is_checkpoint_name(note.name) and match_checkpoint(reference, [note.name]) is not None)
