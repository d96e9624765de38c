"""One quest's tokens in one file: written in a single pass, whole or absent, checked before it is used, and mapped.

`MAGIC`, then a code for each token (int32: its id, or `~id` where it is to be learned), for each row its length
(uint32) and its line in the quest file (uint64, at the next multiple of 8), the numbers of `_TRAILER`, and a BLAKE3 of
all that. Numbers are as this machine writes them. Nothing is synced: what a power cut tears does not fit its hash.
"""

from __future__ import annotations

import mmap
import os
import uuid
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from blake3 import blake3

from core.files import DISK, Files

MAGIC = b"RLMTOK1\n"
SUFFIX = ".tokens"
BUFFER_BYTES = 1 << 20
READ_BYTES = 1 << 22
_TRAILER = Struct("=QQqq32s")
"""Tokens, rows, size and mtime of the quest file, key."""
_DIGEST_BYTES = 32


class Version(NamedTuple):
    """Which version of a quest file: as long as both stay the same, it need not be hashed again."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Tokens:
    """The rows of one quest, in file order: views into a mapped file, or arrays."""

    codes: memoryview | array[int]
    """int32[tokens]: the id of each token, or `~id` where it is to be learned."""
    lengths: memoryview | array[int]
    """uint32[rows]."""
    lines: memoryview | array[int]
    """uint64[rows], 1-based."""
    source: Version | None = None
    """The version of the quest file that they were made of; None where nobody can ask for it."""


@dataclass
class TokenPile:
    """Tokens in memory, row by row."""

    codes: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    lines: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, line: int, token_ids: Sequence[int], trained: Sequence[bool]) -> None:
        """One row; both have an entry for each token."""
        self.codes.extend([~token if learn else token for token, learn in zip(token_ids, trained, strict=True)])
        self.lengths.append(len(token_ids))
        self.lines.append(line)

    def tokens(self) -> Tokens:
        return Tokens(self.codes, self.lengths, self.lines)


class NotStored(Exception):
    """There is no room for the tokens, or the disk refuses them: a cache can do without."""


class TokenFileWriter:
    """Writes one file under a temporary name; `finish` gives it its own. Ended without that, it leaves nothing."""

    def __init__(self, path: Path, *, max_bytes: int, files: Files = DISK) -> None:
        """Raises `NotStored`, as all else here does when the disk refuses or more than `max_bytes` come together."""
        self._path = path
        self._left = max_bytes - len(MAGIC) - _TRAILER.size - _DIGEST_BYTES
        self._files = files
        self._temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        self._pile = TokenPile()
        """Lengths and lines of all rows, and the codes that are not written yet."""
        self._tokens = 0
        self._hasher = blake3()
        try:
            path.parent.mkdir(exist_ok=True)
            self._fd = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise NotStored(str(error)) from error
        try:
            self._write(MAGIC)
        except NotStored:
            self.discard()
            raise

    def __enter__(self) -> TokenFileWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def add(self, line: int, token_ids: Sequence[int], trained: Sequence[bool]) -> None:
        """One row, as `TokenPile.add`."""
        pile = self._pile
        pile.add(line, token_ids, trained)
        self._left -= pile.codes.itemsize * len(token_ids) + pile.lengths.itemsize + pile.lines.itemsize
        if self._left < 0:
            raise NotStored("the tokens are more than the cache may hold")
        if pile.codes.itemsize * len(pile.codes) >= BUFFER_BYTES:
            self._write_codes()

    def finish(self, key: str, source: Version) -> None:
        """Make the file whole and give it its name; a file of that name is replaced."""
        self._write_codes()
        pile = self._pile
        lengths = pile.lengths.tobytes()
        self._write(lengths + bytes(_padding(self._tokens, len(pile.lengths))) + pile.lines.tobytes())
        self._write(_TRAILER.pack(self._tokens, len(pile.lengths), *source, bytes.fromhex(key)))
        self._write(self._hasher.digest())
        try:
            self._files.replace(self._temporary, self._path)
        except OSError as error:
            raise NotStored(str(error)) from error

    def take_back(self) -> TokenPile:
        """All rows so far, the one whose `add` failed included, for whoever goes on without a file.

        Raises `OSError` when they cannot be read.
        """
        pile = self._pile
        written = array("i")
        for start in range(0, written.itemsize * self._tokens, BUFFER_BYTES):
            end = min(start + BUFFER_BYTES, written.itemsize * self._tokens)
            written.frombytes(os.pread(self._fd, end - start, len(MAGIC) + start))
        return TokenPile(written + pile.codes, pile.lengths, pile.lines)

    def discard(self) -> None:
        """Leave nothing behind but what is finished."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):  # what stays is cleared away by the housekeeper
            self._temporary.unlink(missing_ok=True)

    def _write_codes(self) -> None:
        codes = self._pile.codes
        self._write(codes.tobytes())
        self._tokens += len(codes)
        self._pile.codes = array("i")

    def _write(self, data: bytes) -> None:
        try:
            self._files.write(self._fd, data)
        except OSError as error:
            raise NotStored(str(error)) from error
        self._hasher.update(data)


def open_tokens(path: Path, key: str) -> Tokens | None:
    """The tokens in a file, mapped; None when it is not whole, or not of that key. Raises `OSError`.

    All of it is read before it is mapped: what cannot be read raises here, and kills whoever comes to it in the map.
    Deleting the file does not disturb whoever has it open.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        ends = _TRAILER.size + _DIGEST_BYTES
        if size < len(MAGIC) + ends or not _fits_its_digest(file.fileno(), size):
            return None
        whole = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    if whole[: len(MAGIC)] != MAGIC:
        return None
    tokens, rows, source_size, mtime_ns, found_key = _TRAILER.unpack(whole[-ends:-_DIGEST_BYTES])
    codes_end = len(MAGIC) + 4 * tokens
    lengths_end = codes_end + 4 * rows
    lines_start = lengths_end + _padding(tokens, rows)
    if found_key.hex() != key or lines_start + 8 * rows != size - ends:
        return None
    return Tokens(
        codes=whole[len(MAGIC) : codes_end].cast("i"),
        lengths=whole[codes_end:lengths_end].cast("I"),
        lines=whole[lines_start:-ends].cast("Q"),
        source=Version(source_size, mtime_ns),
    )


def _fits_its_digest(fd: int, size: int) -> bool:
    hasher, end = blake3(max_threads=blake3.AUTO), size - _DIGEST_BYTES
    for start in range(0, end, READ_BYTES):
        hasher.update(os.pread(fd, min(READ_BYTES, end - start), start))
    return hasher.digest() == os.pread(fd, _DIGEST_BYTES, end)


def _padding(tokens: int, rows: int) -> int:
    """Bytes before the lines, so that they begin at a multiple of 8."""
    return 4 * ((tokens + rows) % 2)
