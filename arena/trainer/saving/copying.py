"""Copies of the weights and of the optimizer's state in main memory, where it can be in the shape of their files."""

from __future__ import annotations

import copy
import ctypes
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from arena.memory.machine import free_memory
from arena.trainer.saving.moulds import Image, Mould, Piece, mould_of_pickle, mould_of_safetensors

KEPT_BYTES = 256 << 20
"""Copies of up to this size stay in memory: asking the system for the pages anew takes longer than the copying."""

MEMORY_MARGIN = 1.25
"""A copy is made where this many times its size is free: a step needs some memory too."""

MOST_THREADS = 4
"""That copy: more do not get more out of the memory."""
PART_BYTES = 1 << 20
"""What a thread takes at a time, so that no other waits for it for long."""

# Without Python's lock, unlike `ctypes.memmove`.
_memcpy = ctypes.CDLL(None).memcpy
_memcpy.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memcpy.restype = None

Weights = dict[str, torch.Tensor]
Storage = torch.UntypedStorage


class Copier:
    """Makes the copies of one engine, each in the memory of the one before, which must not be in use any more."""

    def __init__(self) -> None:
        self._weights: tuple[Any, Mould | None] = (None, None)
        """What they looked like when their file was looked at, and how they lie there."""
        self._moments: tuple[Any, Mould | None] = (None, None)
        self._kept: dict[str, Image] = {}

    def copy(self, weights: Weights, moments: dict[str, Any]) -> tuple[Weights | Image, dict[str, Any] | Image]:
        """Both, as images where their layout is known.

        Raises `MemoryError`, `OSError` or torch's `RuntimeError` where memory is short.
        """
        looks = _Looks(weights), _Looks(moments)
        kept = sum(len(image.pages) for image in self._kept.values())
        needed = sum(storage.nbytes() for each in looks for storage in each.storages) - kept
        if needed > 0 and free_memory() < needed * MEMORY_MARGIN:
            raise MemoryError(f"{needed} bytes more are not to be had")
        copied = self._copy_weights(weights, looks[0]), self._copy_moments(moments, looks[1])
        if sum(len(image.pages) for image in self._kept.values()) > KEPT_BYTES:
            self._kept.clear()
        return copied

    def learn(self, file: Path, weights: Weights) -> None:
        """Take `file`, which was written from `weights`, as the example for all that look like them."""
        looks = _Looks(weights).told
        if self._weights[0] != looks:
            self._weights = (looks, mould_of_safetensors(file, weights))

    def _copy_weights(self, weights: Weights, looks: _Looks) -> Weights | Image:
        known, mould = self._weights
        if mould is None or looks.told != known:
            copied: Weights = Rebuilder(_copy_of)(weights)
            return copied
        image = self._image("weights", mould)
        _copy_pieces(image.place(name, weight) for name, weight in weights.items())
        return image

    def _copy_moments(self, moments: dict[str, Any], looks: _Looks) -> dict[str, Any] | Image:
        if self._moments[0] != looks.told:
            # torch looks at no bytes of it, and what nobody writes to takes no memory.
            blank = Rebuilder(_blank)
            self._moments = (looks.told, mould_of_pickle(blank(moments), blank.storages))
        mould = self._moments[1]
        if mould is None:
            copied: dict[str, Any] = Rebuilder(_copy_of)(moments)
            return copied
        image = self._image("moments", mould)
        _copy_pieces(image.place(number, _as_bytes(storage)) for number, storage in enumerate(looks.storages))
        return image

    def _image(self, kind: str, mould: Mould) -> Image:
        image = self._kept.get(kind)
        if image is None or not image.take_shape(mould):
            self._kept[kind] = image = Image(mould)
        return image


class Rebuilder:
    """Builds nested state anew, alike whatever becomes of its memory, so that it pickles to equal bytes."""

    def __init__(self, transfer: Callable[[Storage], Storage]) -> None:
        self._transfer = transfer
        self._storages: dict[tuple[torch.device, int], Storage] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, dict):
            return {key: self(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self(each) for each in value)
        return copy.deepcopy(value)

    @property
    def storages(self) -> list[Storage]:
        """The memory of all that was built, each piece once."""
        return list(self._storages.values())

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        key = (storage.device, storage.data_ptr())
        if key not in self._storages or not key[1]:
            self._storages[key] = self._transfer(storage)
        taken = self._storages[key]
        empty = torch.empty(0, dtype=tensor.dtype, device=taken.device)
        return empty.set_(taken, tensor.storage_offset(), tensor.size(), tensor.stride())


def _blank(storage: Storage) -> Storage:
    return torch.UntypedStorage(storage.nbytes())  # type: ignore[no-untyped-call]


def _copy_of(storage: Storage) -> Storage:
    return _blank(storage).copy_(storage)


def _as_bytes(storage: Storage) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def _copy_pieces(pieces: Iterable[Piece | None]) -> None:
    """With some of the threads that training has, each of which takes what comes next.

    torch shares out every single tensor, and its threads wait for each other as often: where other programs keep the
    cores busy, copying 50 MB took it 0.6 s, this way 0.02 s, and with both cores free 0.007 s.
    """
    parts = iter([part for piece in pieces if piece is not None for part in _cut(piece)])

    def work() -> None:
        for target, source, size in parts:
            _memcpy(target, source, size)

    others = [threading.Thread(target=work) for _ in range(min(MOST_THREADS, torch.get_num_threads()) - 1)]
    for other in others:
        other.start()
    work()
    for other in others:
        other.join()


def _cut(piece: Piece) -> Iterator[Piece]:
    target, source, size = piece
    for at in range(0, size, PART_BYTES):
        yield target + at, source + at, min(PART_BYTES, size - at)


class _Looks:
    """All of nested state that the layout of its file depends on, to be compared; and its memory, each piece once."""

    def __init__(self, value: Any) -> None:
        self.storages: list[Storage] = []
        self._numbers: dict[tuple[torch.device, int], int] = {}
        self.told = self._look(value)

    def _look(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, dict):
            return {key: self._look(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._look(each) for each in value)
        return copy.deepcopy(value)

    def _tensor(self, tensor: torch.Tensor) -> tuple[object, ...]:
        storage = tensor.untyped_storage()
        key = (storage.device, storage.data_ptr())
        if key not in self._numbers:
            self._numbers[key] = len(self.storages)
            self.storages.append(storage)
        place = (tensor.storage_offset(), tensor.size(), tensor.stride())
        return (self._numbers[key], storage.nbytes(), tensor.dtype, tensor.requires_grad, *place)
