"""Files that come through the page: into the inbox whole or not at all, or only to be judged.

While it comes in, a file lies beside the place it goes to, under a name that the inbox leaves alone; killed there, it
is swept away. Whatever goes wrong, nothing of it stays.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from arena.doorstep.left_alone import is_left_alone
from arena.doorstep.quest_drop import part_in, take_name
from arena.gatekeepers.scrolls.unpacked_file import CHECK_BYTES, RESERVE_BYTES
from arena.lanes.moves import fit_name
from arena.quest_names import QUEST_SUFFIXES, is_quest_name, split_name
from arena.reading_room.telling import UPLOADED
from core.crash_points import crash_point
from core.errors import InvalidInput, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Files that come in at the same time at most."""
MEGABYTE = 1_000_000
YOUNG_SECONDS = 15.0
"""How often a part is touched while it comes in, however slowly: what looks abandoned is swept away
(`core.temporaries`)."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


class NoRoom(Unavailable):
    """There is no room on the disk for this file."""

    code = "insufficient_storage"
    http_status = 507


class Incoming(Protocol):
    """What comes in: `core.http.uploads.Upload`."""

    @property
    def size(self) -> int | None: ...

    def pieces(self, most: int) -> AsyncIterator[bytes]: ...


class Uploads:
    """One per realm."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        megabytes: Callable[[], int],
        disk_trouble: Callable[[], str | None],
        files: Files = DISK,
    ) -> None:
        """`megabytes` a file may have at most; `disk_trouble` tells why nothing may be written, if so."""
        self._paths = paths
        self._megabytes = megabytes
        self._disk_trouble = disk_trouble
        self._files = files
        self._at_work = 0

    @property
    def most_bytes(self) -> int:
        return self._megabytes() * MEGABYTE

    async def put_down(self, name: str, priority: str, upload: Incoming) -> tuple[Path, int]:
        """Into `inbox/{priority}/`; returns the new path and its size. A taken name gets `_2`, `_3` …

        Raises `InvalidInput`, `TooLarge`, `NoRoom` and `Unavailable`.
        """
        name = checked_name(name)
        folder = self._paths.inbox / priority
        async with self._turn(), self._received(upload, folder) as (part, size):
            crash_point("upload.received")
            path = await asyncio.to_thread(self._settle, part, name, folder)
        return path, size

    @asynccontextmanager
    async def on_trial(self, name: str, upload: Incoming) -> AsyncIterator[Path]:
        """The file where it can be looked at for as long as the `async with` lasts; raises as `put_down`."""
        name = checked_name(name)
        folder = self._paths.trials / uuid.uuid4().hex
        async with self._turn():
            try:
                async with self._received(upload, folder) as (part, _):
                    place = folder / f"quest{split_name(name)[1]}"
                    await asyncio.to_thread(os.rename, part, place)
                    yield place
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._at_work >= AT_ONCE:
            raise Unavailable(f"{AT_ONCE} files are coming in already.", hint="Try again in a moment.")
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    @asynccontextmanager
    async def _received(self, upload: Incoming, folder: Path) -> AsyncIterator[tuple[Path, int]]:
        """The whole body in a file in `folder`, which is gone afterwards unless it was moved."""
        part = part_in(folder)
        try:
            try:
                size = await self._receive(upload, part)
            except OSError as error:
                raise _refused(error, folder) from error
            yield part, size
        finally:
            with suppress(OSError):
                await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _receive(self, upload: Incoming, part: Path) -> int:
        fd = await asyncio.to_thread(self._begin, part, upload.size or 0)
        size = looked_at = 0
        try:
            async with _kept_young(part):
                async for piece in upload.pieces(self.most_bytes):
                    if size - looked_at >= CHECK_BYTES:
                        await asyncio.to_thread(self._check_room, part.parent, CHECK_BYTES)
                        looked_at = size
                    await asyncio.to_thread(self._files.write, fd, piece)
                    size += len(piece)
                await asyncio.to_thread(self._files.fsync, fd)
        finally:
            os.close(fd)
        return size

    def _begin(self, part: Path, size: int) -> int:
        if trouble := self._disk_trouble():
            raise NoRoom(f"Nothing is taken in at the moment: {trouble}.")
        part.parent.mkdir(parents=True, exist_ok=True)
        # What is too large is refused as such, whatever room there is.
        self._check_room(part.parent, min(size, self.most_bytes))
        return os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)

    def _check_room(self, folder: Path, wanted: int) -> None:
        room = self._files.statvfs(folder)
        if wanted + RESERVE_BYTES > room.f_bavail * room.f_frsize:
            raise OSError(errno.ENOSPC, f"{RESERVE_BYTES >> 20} MB are left free for the rest of the realm")

    def _settle(self, part: Path, name: str, folder: Path) -> Path:
        try:
            lineage = json.dumps({"source": UPLOADED}).encode()
            return take_name(part, name, folder, lineage, files=self._files)
        except OSError as error:
            raise _refused(error, folder) from error


@asynccontextmanager
async def _kept_young(part: Path) -> AsyncIterator[None]:
    """Touch the part again and again for as long as the `async with` lasts."""

    async def touch() -> None:
        while True:
            await asyncio.sleep(YOUNG_SECONDS)
            with suppress(OSError):
                await asyncio.to_thread(os.utime, part)

    task = asyncio.create_task(touch(), name="upload kept young")
    try:
        yield
    finally:
        task.cancel()


def clear_trials(paths: RealmPaths) -> None:
    """Remove what a realm that was killed had on trial."""
    shutil.rmtree(paths.trials, ignore_errors=True)


def checked_name(name: str) -> str:
    """The name under which a file may lie in the inbox, shortened where it must be; raises `InvalidInput`."""
    if "/" in name or "\0" in name or not is_quest_name(name) or is_left_alone(name):
        raise InvalidInput(
            f"{name!r} is not the name of a file that can be learned: it must end in {', '.join(QUEST_SUFFIXES)}.",
            hint="A quest is a file with one JSON object per line, or a JSON list of objects.",
        )
    return fit_name(name)


def _refused(error: OSError, folder: Path) -> Unavailable:
    reason = error.strerror or str(error)
    logger.warning("an upload into %s failed: %s", folder, reason, extra={"event": "upload_failed"})
    if error.errno in _FULL:
        return NoRoom(f"There is no room for this file in {folder.parent.name}/: {reason}.", hint="Make room first.")
    return Unavailable(f"The file cannot be written into {folder.parent.name}/: {reason}.")
