"""`status/pins.json`: which assets this realm cannot do without, and which ones each of its zones cannot.

It outlives what it tells of: a zone that is down keeps its pins, and so does this realm when a disk of its own is
gone. Whoever cannot read it knows of nothing that may go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.errors import Unavailable
from core.file_lock import locked_file
from core.files import DISK, Files, read_json
from vault.retention import Protection

VERSION = 1
MOST = 10_000
"""Pins of one zone that are taken over."""


@dataclass(frozen=True)
class AssetPin:
    """An asset that is held, wherever its copies lie."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    """Of its directory or file."""
    checksum: Annotated[str, Meta(max_length=64)] | None
    """The digest of its manifest; None for what is known by its name alone."""
    protection: Protection
    reason: Annotated[str, Meta(max_length=1000)]


@dataclass(frozen=True)
class _Book:
    version: int
    pins: dict[str, list[AssetPin]]


class PinBook:
    """One realm's book; any number of processes may read and write it."""

    def __init__(self, file: Path, files: Files = DISK) -> None:
        self._file = file
        self._files = files

    def read(self) -> dict[str, list[AssetPin]]:
        """The pins by stronghold; raises `Unavailable` when the book is damaged, which nobody may take for empty."""
        if not self._file.exists():
            return {}
        try:
            book = msgspec.convert(read_json(self._file), _Book)
        except msgspec.ValidationError as error:
            raise Unavailable(
                f"{self._file} is damaged, so it is not known what other hosts rely on.",
                hint="Delete it: the zones tell of their pins again when they are asked next.",
            ) from error
        return book.pins

    def begin_anew(self) -> None:
        """Drop a damaged book; where even that fails, the next one who reads it tries again."""
        with suppress(OSError):
            self._files.unlink(self._file)

    def write(self, stronghold: str, pins: Iterable[AssetPin]) -> None:
        """What a stronghold holds now, in place of what it held."""
        told = sorted(set(pins), key=lambda pin: (pin.name, pin.checksum or ""))
        self._change(lambda known: {**known, stronghold: told})

    def keep_only(self, strongholds: Collection[str]) -> None:
        """Forget what other strongholds held: they are no zones of this realm any more."""
        self._change(lambda known: {name: pins for name, pins in known.items() if name in strongholds})

    def _change(self, change: Any) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with locked_file(self._file.with_name(f".{self._file.name}.lock")):
            known = self.read()
            after = change(known)
            if after != known:
                body = {"version": VERSION, "pins": {name: _told(pins) for name, pins in sorted(after.items())}}
                self._files.write_json(self._file, body, durable=True)


def read_pins(told: Any) -> list[AssetPin]:
    """The pins in the answer of another host; raises `ValueError` for what is none."""
    if not isinstance(told, Mapping):
        raise ValueError("no object")
    pins: list[AssetPin] = msgspec.convert(told.get("pins"), Annotated[list[AssetPin], Meta(max_length=MOST)])
    return pins


def _told(pins: Iterable[AssetPin]) -> list[dict[str, Any]]:
    return [dict(vars(pin)) for pin in pins]
