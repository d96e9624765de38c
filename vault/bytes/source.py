"""The bytes of assets that lie on this host, for whoever carries them elsewhere: manifests, and files by their names.

Only what a manifest names can be asked for, so no name leads anywhere else, and no link is followed on the way.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from blake3 import blake3

from core.errors import Conflict, NotFound, RealmError, Unavailable
from vault.assets import Asset, is_usable
from vault.bytes.making import Makings
from vault.chunks import CHUNK_BYTES
from vault.keeper import VaultKeeper

KEPT = 64
"""Assets whose manifests are remembered."""
FRESH_SECONDS = 2.0
"""For so long a manifest is given out without another look at the disk: a carrier asks for a thousand chunks of it."""


@dataclass(frozen=True)
class Held:
    """An asset that can be read from here."""

    asset: Asset
    root: Path
    """What the names of the manifest start from."""
    is_directory: bool
    manifest: dict[str, Any]

    @property
    def place(self) -> Path:
        """Where it lies."""
        return self.root if self.is_directory else self.root / next(iter(self.manifest["files"]))

    def entry(self, name: str) -> dict[str, Any]:
        """Size and hash of a file; raises `NotFound` for one that the manifest does not name."""
        entry = self.manifest["files"].get(name)
        if not isinstance(entry, dict):
            raise NotFound(f"{self.asset.asset_id} has no file {name!r}.", hint="Its manifest names them all.")
        return entry


class AssetSource(Protocol):
    """Finds the assets of a host; looks at the disk, so call it in a thread."""

    def held(self, reference: str) -> Held:
        """Raises `NotFound` where there is none here, `Conflict` where it is torn, `Unavailable` where a disk fails."""
        ...


class KeeperSource:
    """What a keeper knows of this host."""

    def __init__(self, keeper: VaultKeeper, clock: Callable[[], float] = time.monotonic) -> None:
        self._keeper = keeper
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, Held]] = OrderedDict()
        self._makings = Makings()
        self._lock = threading.Lock()

    def held(self, reference: str) -> Held:
        """See `AssetSource`."""
        with self._lock:
            at, found = self._kept.get(reference, (float("-inf"), None))
        # A link that came since, at any step of the way, leads elsewhere.
        if found is not None and self._clock() - at < FRESH_SECONDS and _is_real(found):
            return found
        found = self._look(reference)
        with self._lock:
            self._kept[reference] = (self._clock(), found)
            self._kept.move_to_end(reference)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _look(self, reference: str) -> Held:
        asset = self._keeper.get_asset(reference)
        trouble: RealmError | None = None
        for location in asset.locations:
            if is_usable(location) and self._keeper.is_here(location):
                place = Path(os.path.realpath(location.path))
                try:
                    manifest = self._makings.of(str(place), partial(self._keeper.manifest, asset, location))
                except RealmError as error:  # another copy may be whole
                    trouble = trouble or error
                    continue
                is_directory = place.is_dir()
                return Held(asset, place if is_directory else place.parent, is_directory, manifest)
        raise trouble or NotFound(
            f"No whole copy of {asset.asset_id} lies on this host.", hint="`locate` tells where it is."
        )


def _is_real(held: Held) -> bool:
    """Whether it still lies where it was found, and not behind a link."""
    return os.path.lexists(held.place) and os.path.realpath(held.place) == str(held.place)


class OpenFile:
    """One file of an asset, open for reading; close it."""

    def __init__(self, held: Held, name: str) -> None:
        """Raises `Conflict` where it is not what its manifest says."""
        entry = held.entry(name)
        self.size: int = entry["size"]
        self.blake3: str = entry["blake3"]
        try:
            self.fd = _open_below(held.root, name)
        except OSError as error:
            if isinstance(error, FileNotFoundError | NotADirectoryError) or error.errno == errno.ELOOP:  # a link
                raise Conflict(f"{held.asset.asset_id} is torn: {name} is missing.") from error
            raise Unavailable(f"{name} of {held.asset.asset_id} cannot be read: {error.strerror}.") from error
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size != self.size:
            self.close()
            raise Conflict(f"{held.asset.asset_id} is torn: {name} is not as its manifest says.")

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`; fewer where the file has become shorter."""
        parts = bytearray()
        while start + len(parts) < end:
            part = os.pread(self.fd, end - start - len(parts), start + len(parts))
            if not part:
                break
            parts += part
        return bytes(parts)

    def read_in_chunk(self, start: int, end: int) -> tuple[bytes, str]:
        """Bytes that lie within one chunk, and the hash of that whole chunk."""
        first = start // CHUNK_BYTES * CHUNK_BYTES
        chunk = self.read(first, min(first + CHUNK_BYTES, self.size))
        return chunk[start - first : end - first], blake3(chunk).hexdigest()

    def close(self) -> None:
        os.close(self.fd)


def _open_below(root: Path, name: str) -> int:
    """Open a file below a directory without following a link at any step of the way."""
    *folders, last = PurePosixPath(name).parts
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = os.open(root, flags | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, flags | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
        # Not blocking: a pipe in place of a file never gives an answer.
        return os.open(last, flags | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
