"""The settings file as it was before each change by program: `configs/.history/`, the newest `MOST_VERSIONS`.

Beside these lies the one that somebody has kept as their default, if any. Private files, as settings may hold secrets.
What people change by hand in between is in the next version.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import NotFound
from core.files import DISK, Files, read_json

FOLDER = ".history"
DEFAULT = "default.json"
MOST_VERSIONS = 50
MOST_BYTES = 4 << 20
PRIVATE = 0o600
_NAME = re.compile(r"([0-9]{6,12})\.json")


@dataclass(frozen=True)
class Version:
    """The file before one change, and what that change was; of the default the number is 0 and `names` is empty."""

    number: int
    at: str
    by: str
    """Who changed it."""
    names: tuple[str, ...]
    """The settings that were changed."""
    text: str
    """The file before."""


def keep_version(
    config_file: Path, text: str, *, by: str, names: Sequence[str], now: datetime, files: Files = DISK
) -> int:
    """Keep `text`, which is about to be replaced, and forget the oldest beyond the budget; returns its number."""
    folder = config_file.parent / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    number = max(_numbers(folder), default=0) + 1
    _write(_file(folder, number), Version(number, now.isoformat(), by, tuple(names), text), files)
    _trim(folder, files)
    return number


def keep_default(config_file: Path, text: str, *, by: str, now: datetime, files: Files = DISK) -> Version:
    """Keep `text` as the default, in the place of the one before."""
    folder = config_file.resolve().parent / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    version = Version(0, now.isoformat(), by, (), text)
    _write(folder / DEFAULT, version, files)
    return version


def kept_default(config_file: Path) -> Version | None:
    """None where nobody has kept one, or it cannot be read."""
    return _read(config_file.resolve().parent / FOLDER / DEFAULT)


def versions(config_file: Path) -> list[Version]:
    """What is kept, the newest first; what cannot be read is left out."""
    folder = config_file.resolve().parent / FOLDER
    found = (_read(_file(folder, number)) for number in sorted(_numbers(folder), reverse=True))
    return [version for version in found if version is not None]


def version(config_file: Path, number: int) -> Version:
    """One of them; raises `NotFound`."""
    found = _read(_file(config_file.resolve().parent / FOLDER, number))
    if found is None:
        raise NotFound(f"Version {number} of the settings is not kept (any more).")
    return found


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.json"


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    return [int(found[1]) for path in folder.iterdir() if (found := _NAME.fullmatch(path.name))]


def _trim(folder: Path, files: Files) -> None:
    kept = 0
    for place, number in enumerate(sorted(_numbers(folder), reverse=True)):
        file = _file(folder, number)
        kept += file.stat().st_size
        if place and (place >= MOST_VERSIONS or kept > MOST_BYTES):
            files.unlink(file)


def _write(file: Path, version: Version, files: Files) -> None:
    body = json.dumps(asdict(version), ensure_ascii=False, indent=1).encode()
    files.write_atomic(file, body, durable=True, mode=PRIVATE)


def _read(file: Path) -> Version | None:
    body: Any = read_json(file) if file.exists() else None
    match body:
        case {"number": int(number), "at": str(at), "by": str(by), "names": list(names), "text": str(text)}:
            return Version(number, at, by, tuple(map(str, names)), text)
    return None
