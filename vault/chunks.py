"""Pieces of files on their way between hosts: what a byte service tells of each, so that a wrong one is fetched again.

The manifest has a hash of each whole file. On the way a file goes in aligned chunks, and the answer to a range within
one of them carries the hash of that whole chunk: the rest of one that was cut off is checked with its beginning.
"""

from __future__ import annotations

import os
from pathlib import Path

from blake3 import blake3

CHUNK_BYTES = 1 << 20
"""Chunk i of a file is what lies from `i * CHUNK_BYTES` on, the last one ends with the file."""

CHUNK_HEADER = "X-Chunk-BLAKE3"
"""Of an answer to a range within one chunk: BLAKE3 of the whole chunk, in hex."""


def in_one_chunk(start: int, end: int) -> bool:
    """Whether the bytes from `start` to before `end` lie within one chunk."""
    return start < end and start // CHUNK_BYTES == (end - 1) // CHUNK_BYTES


def read_range(path: Path, start: int, end: int) -> tuple[bytes, str]:
    """The bytes from `start` to before `end`, which lie within one chunk, and the hash of that chunk.

    Fewer bytes than asked for come when the file has become shorter. Links are not followed.
    """
    first = start // CHUNK_BYTES * CHUNK_BYTES
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        chunk = os.pread(fd, CHUNK_BYTES, first)
        while len(chunk) < CHUNK_BYTES and (more := os.pread(fd, CHUNK_BYTES - len(chunk), first + len(chunk))):
            chunk += more
    finally:
        os.close(fd)
    whole = first == start and end - start >= len(chunk)
    return (chunk if whole else chunk[start - first : end - first]), blake3(chunk).hexdigest()
