"""A copy of the state in the very shape of its files: hashed and written from where it lies, without another copy.

A mould is the layout of one file: where each tensor's bytes come to lie, and all that is no tensor. Only the libraries
that read the file have a say in it: torch tells it beforehand, and of safetensors the first file of a trainer's life is
taken as the example. What changes the layout makes a new mould.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.serialization import skip_data
from torch.utils.serialization import config

PAGE = 4096
"""What goes to a disk past the page cache begins and ends with one of these."""


_CHUNK = 1 << 20

Piece = tuple[int, int, int]
"""Memory to be copied: the addresses it goes to and comes from, and its bytes."""


@dataclass(frozen=True)
class Mould:
    """The layout of one file; see the module docstring."""

    size: int
    """Bytes of the file."""
    rest: tuple[tuple[int, bytes], ...]
    """What is no tensor: where it lies, and what it is."""
    places: Mapping[Hashable, int]
    """Where the bytes of each tensor begin: by name, in a pickle by number of its memory."""


class Image:
    """Memory in the shape of one file, filled but for the tensors. Raises `OSError` where it is not to be had."""

    def __init__(self, mould: Mould) -> None:
        # Not of the allocator: what it gives is aligned for no disk. Shared memory would have no huge pages.
        self._memory = mmap.mmap(-1, _whole_pages(mould.size), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            with suppress(OSError):  # a kernel without them
                self._memory.madvise(mmap.MADV_HUGEPAGE)
        self._bytes = torch.frombuffer(self._memory, dtype=torch.uint8)
        self._mould = mould
        self._fill()

    def take_shape(self, mould: Mould) -> bool:
        """Become an image of another file, if that is about as large."""
        if _whole_pages(mould.size) != len(self._memory):
            return False
        if mould is not self._mould:
            self._mould = mould
            self._fill()
        return True

    @property
    def pages(self) -> memoryview:
        """The file, filled up with zeros to a whole number of pages."""
        return memoryview(self._memory)

    @property
    def content(self) -> memoryview:
        """The file."""
        return self.pages[: self._mould.size]

    def _fill(self) -> None:
        for at, piece in (*self._mould.rest, (self._mould.size, bytes(len(self._memory) - self._mould.size))):
            self._memory[at : at + len(piece)] = piece

    def place(self, key: Hashable, source: torch.Tensor) -> Piece | None:
        """What is to be copied so that the bytes of a contiguous tensor are where the file has them.

        None where nothing is: the file does not have it, or it came from an accelerator, and has been copied.
        """
        at = self._mould.places.get(key)
        if at is None or not source.nbytes:
            return None
        if source.device.type == "cpu":
            return self._bytes.data_ptr() + at, source.data_ptr(), source.nbytes
        self._bytes[at : at + source.nbytes].copy_(source.reshape(-1).view(torch.uint8))
        return None


def _whole_pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


def mould_of_pickle(value: Any, storages: Iterable[torch.UntypedStorage]) -> Mould | None:
    """How `torch.save` lays out `value`, whose tensors lie in `storages`, in the order in which they come."""
    trace = _Trace()
    with skip_data():
        write_pickle(value, trace)
    numbered = [(number, storage.nbytes()) for number, storage in enumerate(storages) if storage.nbytes()]
    if [size for _, size in trace.gaps] != [size for _, size in numbered]:
        return None
    places: dict[Hashable, int] = {number: at for (number, _), (at, _) in zip(numbered, trace.gaps, strict=True)}
    return Mould(trace.at, tuple(trace.written), places)


def write_pickle(value: Any, stream: Any) -> None:
    """`torch.save` without the archive's CRC, a fifth of all the time: the manifest's BLAKE3 tells damage better."""
    # Of this thread alone: what is set for a process, torch forgets in every other thread.
    with config.patch({"save.compute_crc32": False}):  # type: ignore[attr-defined]
        torch.save(value, stream)


class _Trace:
    """Stands where a file does, and notes what is written where and what is left out."""

    def __init__(self) -> None:
        self.at = 0
        self.written: list[tuple[int, bytes]] = []
        self.gaps: list[tuple[int, int]] = []
        """Where each begins, and its bytes."""

    def write(self, piece: memoryview) -> int:
        self.written.append((self.at, bytes(piece)))
        self.at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int) -> int:
        if whence != os.SEEK_CUR:
            raise OSError("torch goes to and fro in its file")
        self.gaps.append((self.at, offset))
        self.at += offset
        return self.at

    def flush(self) -> None:
        """Nothing is kept back."""


def mould_of_safetensors(file: Path, weights: Mapping[str, torch.Tensor]) -> Mould | None:
    """The layout of `file`, which was written from `weights`; None when it does not hold just these, byte by byte.

    Some models are stored otherwise than they are computed with: renamed, joined, or turned round.
    """
    with file.open("rb") as stream:
        begin = stream.read(8)
        begin += stream.read(int.from_bytes(begin, "little"))
        places: dict[Hashable, int] = {}
        for name, entry in json.loads(begin[8:]).items():
            if name == "__metadata__":
                continue
            first, end = entry["data_offsets"]
            weight = weights.get(name)
            if weight is None or not weight.is_contiguous() or weight.nbytes != end - first:
                return None
            stream.seek(len(begin) + first)
            if not _goes_on_with(stream, weight):
                return None
            places[name] = len(begin) + first
    return Mould(file.stat().st_size, ((0, begin),), places)


def _goes_on_with(stream: BinaryIO, weight: torch.Tensor) -> bool:
    """Whether the next bytes are those of a contiguous tensor; little by little, as that may be large."""
    for at in range(0, weight.nbytes, _CHUNK):
        part = min(_CHUNK, weight.nbytes - at)
        if stream.read(part) != ctypes.string_at(weight.data_ptr() + at, part):
            return False
    return True
