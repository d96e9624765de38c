"""Where an asset lands: a hidden staging directory beside its place, from which it is renamed once it is whole.

`into/.pull-NAME-KEY/` holds the files under their final names in `files/`, and in `chunks` the hash of each chunk that
has come, which is written after the chunk itself. So whatever is killed whenever, the next landing of the same content
goes on with the chunks that are missing. What the hashes of a whole file say in the end counts (law 2).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from blake3 import blake3

from core.crash_points import crash_point
from core.errors import Conflict, InvalidInput, Unavailable
from core.files import DISK, Files
from vault.chunks import CHUNK_BYTES
from vault.manifest import MANIFEST
from vault.transfer.listing import ListedFile, Listing, is_plain_name
from vault.trash import discard, hidden_folders

STAGING = ".pull-"
RECORD = "chunks"
FILES = "files"
HASH_BYTES = 32
ABANDONED_DAYS = 7.0
READ_BYTES = 8 << 20
"""Read at once where a file is hashed: large pieces are hashed by all cores."""

_MISSING = bytes(HASH_BYTES)


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


class Landing:
    """The staging directory of one asset; made and locked by `landing`. Different chunks may be kept by different
    threads at once."""

    def __init__(self, into: Path, name: str, listing: Listing, staging: Path, files: Files) -> None:
        self.target = into / name
        self._listing = listing
        self._staging = staging
        self._files = files
        self._record = os.open(staging / RECORD, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        self._hashes = bytearray()
        try:
            files.truncate(self._record, listing.chunks * HASH_BYTES)
            self._hashes += os.pread(self._record, listing.chunks * HASH_BYTES, 0)
            (staging / FILES).mkdir(exist_ok=True)
            for file in listing.files:
                self._make(file)
        except OSError:
            self.close()
            raise

    def missing(self) -> list[Chunk]:
        """The chunks that have not come yet, in their order."""
        return [
            Chunk(file, number)
            for file in self._listing.files
            for number in range(file.chunks)
            if self._hash_of(file, number) == _MISSING
        ]

    def refuse_without_room(self, reserve_bytes: int) -> None:
        """Raises `Unavailable` when what is missing does not fit on the disk beside `reserve_bytes`."""
        wanted = sum(chunk.end - chunk.start for chunk in self.missing())
        state = self._files.statvfs(self._staging)
        free = state.f_bavail * state.f_frsize
        if wanted + reserve_bytes > free:
            raise Unavailable(
                f"{self.target} needs {wanted:,} more bytes and {reserve_bytes:,} are kept free, but the disk has only "
                f"{free:,} left.",
                hint="Make room, then fetch it again: what has come is kept.",
            )

    def keep(self, chunk: Chunk, data: bytes, digest: bytes) -> None:
        """Write a chunk, and then that it is there; `digest` is its BLAKE3."""
        fd = os.open(self._place(chunk.file), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.lseek(fd, chunk.start, os.SEEK_SET)
            self._files.write(fd, data)
        finally:
            os.close(fd)
        crash_point("pull.chunk")
        self._note(chunk.file, chunk.number, digest)

    def wrong_chunks(self, file: ListedFile) -> list[Chunk] | None:
        """Make a file durable and read it back: None when it is what the manifest says.

        Else those of its chunks that are not what had come, which the disk has lost; they are missing from now on. An
        empty list says that what had come was wrong.
        """
        fd = os.open(self._place(file), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._files.fsync(fd)
            if _digest(fd) == file.blake3:
                return None
            wrong = [
                Chunk(file, number)
                for number in range(file.chunks)
                if blake3(os.pread(fd, CHUNK_BYTES, number * CHUNK_BYTES)).digest() != self._hash_of(file, number)
            ]
        finally:
            os.close(fd)
        for chunk in wrong:
            self._note(file, chunk.number, _MISSING)
        return wrong

    def forget(self, file: ListedFile) -> list[Chunk]:
        """Every chunk of a file is missing again; returns them."""
        for number in range(file.chunks):
            self._note(file, number, _MISSING)
        return [Chunk(file, number) for number in range(file.chunks)]

    def finish(self) -> Path:
        """Put the asset, all files of which were read back, into its place; raises `Conflict` when that is taken."""
        inside = self._staging / FILES
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
        os.close(self._record)

    def _make(self, file: ListedFile) -> None:
        place = self._place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(fd).st_size != file.size:
                self._files.truncate(fd, file.size)
                self.forget(file)
        finally:
            os.close(fd)

    def _place(self, file: ListedFile) -> Path:
        return self._staging / FILES / file.name

    def _hash_of(self, file: ListedFile, number: int) -> bytes:
        begin = (file.first_chunk + number) * HASH_BYTES
        return bytes(self._hashes[begin : begin + HASH_BYTES])

    def _note(self, file: ListedFile, number: int, digest: bytes) -> None:
        begin = (file.first_chunk + number) * HASH_BYTES
        os.pwrite(self._record, digest, begin)
        self._hashes[begin : begin + HASH_BYTES] = digest


@contextmanager
def landing(into: Path, name: str, listing: Listing, files: Files = DISK) -> Iterator[Landing]:
    """The staging of `listing` for `into/name`, begun or gone on with, and gone once it was finished.

    Raises `Conflict` when another process or thread fetches the same, and `Unavailable` for a disk that refuses.
    """
    refuse_wrong_name(name)
    staging = into / f"{STAGING}{name}-{listing.key}"
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _locked(staging):
            place = Landing(into, name, listing, staging, files)
            try:
                yield place
            finally:
                place.close()
            discard(staging, files)
    except OSError as error:
        raise Unavailable(
            f"{error.filename or staging} cannot be written: {error.strerror}.",
            hint="Mend that, then fetch it again: what has come is kept.",
        ) from error


def refuse_wrong_name(name: str) -> None:
    """Raises `InvalidInput` for a name under which an asset cannot lie."""
    if not is_plain_name(name):
        raise InvalidInput(f"{name!r} is no name for an asset.", hint="It has no slashes, and no dot in front.")


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
    digest = blake3(max_threads=blake3.AUTO if os.fstat(fd).st_size > READ_BYTES else 1)
    while piece := os.read(fd, READ_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def drop_staging(into: Path, name: str, listing: Listing, files: Files = DISK) -> None:
    """Remove what a kill has left of a landing that was finished."""
    staging = into / f"{STAGING}{name}-{listing.key}"
    if staging.is_dir():
        discard(staging, files)


def sweep_pulls(into: Path, *, now: datetime, files: Files = DISK) -> list[Path]:
    """Remove the stagings in `into` that nobody has gone on with for a week; returns them."""
    gone = []
    for staging in hidden_folders(into, STAGING):
        try:
            record = (staging / RECORD).stat()
            if now.timestamp() - record.st_mtime < ABANDONED_DAYS * 86_400:
                continue
            with _locked(staging):
                if discard(staging, files):
                    gone.append(staging)
        except (OSError, Conflict):  # another one's, or just gone
            continue
    return gone


@contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """Hold the lock of a staging directory, made when it is missing."""
    while True:
        staging.mkdir(exist_ok=True)
        fd = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before may have finished and removed the directory: then this is the lock of nothing.
            if _is_still(staging, fd):
                yield
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
