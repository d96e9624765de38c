"""Where an asset lands: a hidden staging directory beside its place, from which it is renamed once it is whole.

`into/.pull-NAME-KEY/` holds the files under their final names in `files/`, and in `chunks` a byte for each chunk that
has come, which is written after the chunk itself. So whatever is killed whenever, the next landing of the same content
goes on with the chunks that are missing. What the hashes of a whole file say in the end counts (law 2).
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from core.crash_points import crash_point
from core.errors import Conflict, InvalidInput, Unavailable
from core.files import DISK, Files
from vault.chunks import CHUNK_BYTES
from vault.manifest import MANIFEST
from vault.transfer.listing import ListedFile, Listing, is_plain_name
from vault.trash import discard, folders_below, hidden_folders

T = TypeVar("T")

STAGING = ".pull-"
RECORD = "chunks"
FILES = "files"
ABANDONED_DAYS = 7.0
READ_BYTES = 8 << 20
"""Read at once where a file is hashed: large pieces are hashed by all cores."""

BLOCK_BYTES = 4096
PAST_CACHE = getattr(os, "O_DIRECT", 0)

_MISSING, _CAME = b"\0", b"\1"


@dataclass(frozen=True)
class Chunk:
    """A piece of a file that is to come."""

    file: ListedFile
    number: int
    """Among the chunks of the file."""

    @property
    def start(self) -> int:
        return self.number * CHUNK_BYTES

    @property
    def end(self) -> int:
        return min(self.start + CHUNK_BYTES, self.file.size)

    @property
    def place(self) -> int:
        """Among the chunks of the asset."""
        return self.file.first_chunk + self.number


def chunks_of(file: ListedFile) -> list[Chunk]:
    """All that a file is made of."""
    return [Chunk(file, number) for number in range(file.chunks)]


class Landing:
    """The staging directory of one asset; made and locked by `landing`. Different chunks may be kept by different
    threads at once."""

    def __init__(
        self, into: Path, name: str, listing: Listing, staging: Path, files: Files, lock: int, *, sized: bool = True
    ) -> None:
        """`lock` is the descriptor that holds the lock of the staging."""
        self.folder = staging / FILES
        """Where the files lie under their final names."""
        self.target = into / name
        self._listing = listing
        self._staging = staging
        self._files = files
        self._lock = lock
        self._noting = threading.Lock()
        self._closed = False
        self._record = os.open(staging / RECORD, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._came = bytearray()
        try:
            files.truncate(self._record, listing.chunks)
            self._came += os.pread(self._record, listing.chunks, 0)
            self.folder.mkdir(exist_ok=True)
            for file in listing.files if sized else ():
                self._make(file)
        except BaseException:  # a descriptor stays open otherwise, also for a bug or a Ctrl-C
            self.close()
            raise

    def missing(self) -> list[Chunk]:
        """The chunks that have not come yet, in their order."""
        return [chunk for file in self._listing.files for chunk in chunks_of(file) if not self._came[chunk.place]]

    def refuse_without_room(self, reserve_bytes: int, staged: int = 0) -> None:
        """Raises `Unavailable` when what is missing does not fit on the disk beside `reserve_bytes`; `staged` bytes
        of it have come all the same."""
        wanted = max(0, sum(chunk.end - chunk.start for chunk in self.missing()) - staged)
        state = self._files.statvfs(self._staging)
        free = state.f_bavail * state.f_frsize
        if wanted + reserve_bytes > free:
            raise Unavailable(
                f"{self.target} needs {wanted:,} more bytes and {reserve_bytes:,} are kept free, but the disk has only "
                f"{free:,} left.",
                hint="Make room, then fetch it again: what has come is kept.",
            )

    def keep(self, chunk: Chunk, data: bytes | memoryview) -> None:
        """Write a chunk, and then that it is there."""
        # Around the page cache: that costs half the time, and drives out what others need. A part of a block cannot.
        write = lambda fd: self._files.write_at(fd, memoryview(data), chunk.start)  # noqa: E731
        if len(data) % BLOCK_BYTES:
            self._opened(chunk.file, os.O_WRONLY, write)
        else:
            self._past_cache(chunk.file, os.O_WRONLY, write)
        crash_point("pull.chunk")
        self._note(chunk, _CAME)

    def read(self, file: ListedFile, start: int, end: int, buffer: memoryview) -> memoryview:
        """What lies from `start` on to before `end`, as the disk has it; nothing where the file ends before.

        `start` is whole blocks; `buffer` is whole pages, and takes as much as there is room for.
        """
        room = buffer[: -(-(end - start) // BLOCK_BYTES) * BLOCK_BYTES]
        count = self._past_cache(file, os.O_RDONLY, lambda fd: os.preadv(fd, [room], start))
        return room[: min(count, end - start)]

    def make_durable(self, file: ListedFile) -> None:
        """It survives a power cut once this returns."""
        try:
            self._opened(file, os.O_RDONLY, self._files.fsync)
        except OSError:
            # It is told once: a second fsync would succeed, and what is read then may be in memory only.
            with suppress(OSError):
                self.forget(chunks_of(file))
            raise

    def is_whole(self, file: ListedFile) -> bool:
        """Make a file durable and read it back: whether it is what the manifest says."""
        self.make_durable(file)
        return self._opened(file, os.O_RDONLY, _digest) == file.blake3

    def staged_bytes(self, file: ListedFile) -> int:
        """How much of a file lies there, whoever brought it."""
        try:
            status = self._place(file).lstat()
        except OSError:
            return 0
        return min(status.st_size, status.st_blocks * 512, file.size)

    def hash_of(self, chunk: Chunk) -> str:
        """BLAKE3 of what lies there of a chunk, in hex."""
        size = chunk.end - chunk.start
        return blake3(self._opened(chunk.file, os.O_RDONLY, lambda fd: os.pread(fd, size, chunk.start))).hexdigest()

    def forget(self, chunks: Iterable[Chunk]) -> None:
        """These are missing again."""
        for chunk in chunks:
            self._note(chunk, _MISSING)

    def finish(self) -> Path:
        """Put the asset, all files of which were read back, into its place; raises `Conflict` when that is taken."""
        inside = self.folder
        if self._listing.is_directory:
            for parent, _, _ in os.walk(inside, topdown=False):
                self._files.fsync_dir(Path(parent))
            # Beside it first: what a kill leaves of the writing must not become a part of the asset.
            self._files.write_atomic(self._staging / MANIFEST, self._listing.text, durable=True)
            self._files.replace(self._staging / MANIFEST, inside / MANIFEST)
            self._files.fsync_dir(inside)
        crash_point("pull.staged")
        refuse_if_taken(self.target)
        if self._listing.is_directory:
            self._files.rename_dir(inside, self.target)
            self._files.fsync_dir(self.target.parent)
        else:
            self._files.move_new(inside / self._listing.files[0].name, self.target)
        crash_point("pull.renamed")
        return self.target

    def close(self) -> None:
        """Nothing is noted any more: whoever still writes must not write into whatever has this number next."""
        with self._noting:
            self._closed = True
            os.close(self._record)

    def outlast(self, threads: Collection[threading.Thread]) -> None:
        """Keep the staging locked until these have ended, however long they hang in a write."""
        if threads:
            held = os.dup(self._lock)
            threading.Thread(target=_release_after, args=(held, threads), name="pull lock", daemon=True).start()

    def _make(self, file: ListedFile) -> None:
        place = self._place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(fd).st_size != file.size:
                self._files.truncate(fd, file.size)
                self.forget(chunks_of(file))
        finally:
            os.close(fd)

    def _past_cache(self, file: ListedFile, flags: int, work: Callable[[int], T]) -> T:
        """`_opened` around the page cache, where the file system and the place in memory allow that."""
        try:
            return self._opened(file, flags | PAST_CACHE, work)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        return self._opened(file, flags, work)

    def _opened(self, file: ListedFile, flags: int, work: Callable[[int], T]) -> T:
        """What `work` returns, which is given the open file."""
        fd = os.open(self._place(file), flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return work(fd)
        finally:
            os.close(fd)

    def _place(self, file: ListedFile) -> Path:
        return self.folder / file.name

    def _note(self, chunk: Chunk, what: bytes) -> None:
        with self._noting:
            if self._closed:
                raise Unavailable(f"The transfer to {self.target} has ended.")
            os.pwrite(self._record, what, chunk.place)
            self._came[chunk.place : chunk.place + 1] = what


@contextmanager
def landing(into: Path, name: str, listing: Listing, files: Files = DISK, *, sized: bool = True) -> Iterator[Landing]:
    """The staging of `listing` for `into/name`, begun or gone on with, and gone once it was finished. Unless they are
    `sized`, whoever brings the files makes them.

    Raises `Conflict` when another process or thread fetches the same, and `Unavailable` for a disk that refuses.
    """
    refuse_wrong_name(name)
    staging = into / f"{STAGING}{name}-{listing.key}"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _locked(staging) as lock:
            place = Landing(into, name, listing, staging, files, lock, sized=sized)
            try:
                yield place
            finally:
                place.close()
            _drop(staging, files)
    except OSError as error:
        raise Unavailable(
            f"{error.filename or staging} cannot be written: {error.strerror}.",
            hint="Mend that, then fetch it again: what has come is kept.",
        ) from error


def refuse_wrong_name(name: str) -> None:
    """Raises `InvalidInput` for a name under which an asset cannot lie."""
    if not is_plain_name(name):
        raise InvalidInput(f"{name!r} is no name for an asset.", hint="It has no slashes, and no dot in front.")


def refuse_beyond_disk(into: Path, total_bytes: int, reserve_bytes: int, files: Files = DISK) -> None:
    """Raises `Unavailable` for an asset that the whole disk could not hold: its staging alone would be a burden."""
    there = next(folder for folder in (into, *into.parents) if folder.is_dir())
    try:
        state = files.statvfs(there)
    except OSError as error:
        raise Unavailable(f"{there} cannot be looked at: {error.strerror}.") from error
    size = state.f_blocks * state.f_frsize
    if total_bytes + reserve_bytes > size:
        raise Unavailable(
            f"{into} needs {total_bytes:,} more bytes and {reserve_bytes:,} are kept free, but the whole disk has "
            f"only {size:,}.",
            hint="Fetch it to a larger disk.",
        )


def refuse_if_taken(target: Path) -> None:
    """Raises `Conflict` when something lies at `target`: nothing is ever overwritten."""
    if os.path.lexists(target):
        raise Conflict(f"{target} is there already, and is something else.", hint="Move it away, or give another name.")


def hash_of(file: Path) -> str:
    """BLAKE3 of a file, in hex."""
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _digest(fd)
    finally:
        os.close(fd)


def _digest(fd: int) -> str:
    # Several threads at once do not pay for the small files that most are.
    size = os.fstat(fd).st_size
    digest = blake3(max_threads=blake3.AUTO if size > READ_BYTES else 1)
    buffer = memoryview(bytearray(min(size + 1, READ_BYTES)))
    while count := os.readv(fd, [buffer]):
        digest.update(buffer[:count])
    return digest.hexdigest()


def drop_staging(into: Path, name: str, listing: Listing, files: Files = DISK) -> None:
    """Remove what a kill has left of a landing that was finished."""
    staging = into / f"{STAGING}{name}-{listing.key}"
    if staging.is_dir():
        _drop(staging, files)


def sweep_pulls(into: Path, *, now: datetime, files: Files = DISK) -> list[Path]:
    """Remove the stagings in `into` that nobody has gone on with for a week; returns them."""
    gone = []
    for staging in hidden_folders(into, STAGING):
        try:
            if now.timestamp() - _last_used(staging) < ABANDONED_DAYS * 86_400:
                continue
            with _locked(staging):
                if _drop(staging, files):
                    gone.append(staging)
        except (OSError, Conflict):  # another one's, or just gone
            continue
    return gone


def sweep_below(root: Path, *, now: datetime, files: Files = DISK) -> list[Path]:
    """`sweep_pulls` of a directory and everything below it that is not hidden."""
    return [gone for folder in folders_below(root) for gone in sweep_pulls(folder, now=now, files=files)]


def _last_used(staging: Path) -> float:
    """When something last came; of one without a record, when something was last made or removed in it."""
    try:
        return (staging / RECORD).stat().st_mtime
    except FileNotFoundError:
        return staging.stat().st_mtime


def _drop(staging: Path, files: Files) -> bool:
    """Remove a staging, its record last: by that its age is known when only half of it could be removed."""
    inside = staging / FILES
    if inside.is_dir() and not inside.is_symlink() and not discard(inside, files):
        return False
    return discard(staging, files)


def _release_after(lock: int, threads: Collection[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    os.close(lock)


@contextmanager
def _locked(staging: Path) -> Iterator[int]:
    """Hold the lock of a staging directory, made when it is missing; its descriptor."""
    while True:
        staging.mkdir(exist_ok=True)
        fd = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have finished and removed the directory: then this is the lock of nothing.
            if _is_still(staging, fd):
                yield fd
                return
        except BlockingIOError as error:
            raise Conflict(f"{staging.name} is being fetched by another process already.") from error
        finally:
            os.close(fd)


def _is_still(staging: Path, fd: int) -> bool:
    try:
        return os.path.samestat(staging.lstat(), os.fstat(fd))
    except OSError:
        return False
