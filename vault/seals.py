"""A seal: one asset in a backup, with everything that is needed to prove that it is whole and to put it back.

    backups/checkpoint-175000-20261121-0930-20261122T101500Z/SEAL.json
    backups/checkpoint-175000-20261121-0930-20261122T101500Z/checkpoint-175000-20261121-0930/…

The asset lies in it as it was, under its own name, so that it can also be copied back by hand. The seal's manifest is
the asset's own where it has one, so that original and backup have the same checksum in the catalog.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from core.errors import InvalidInput, RealmError
from core.files import read_json
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.manifest import MANIFEST, check_manifest, manifest_text, read_manifest
from vault.parts import Heavy, problems_of

logger = logging.getLogger(__name__)

NOTE = "SEAL.json"
FOLDER = "backups"
"""Where the seals of a stronghold lie, below its root."""
VERSION = 1
STAGING = ".sealing-"
LONGEST_STEM = 200
"""Characters of an asset's name in that of its seal."""

_NAME = re.compile(r"[^/\0]{1,255}")


@dataclass(frozen=True, kw_only=True)
class SealNote:
    """What `SEAL.json` says."""

    version: int
    asset_id: str
    asset_type: AssetType
    name: str
    """Of the asset's directory or file."""
    sealed_at: datetime
    verified_at: datetime
    """When all of it was last read and found whole."""
    reason: str | None
    host: str
    base_dir: str
    """The realm that has sealed it: only that one's limits apply to it."""
    came_from: str
    """Where the asset lay, below `base_dir` where it lay there."""
    manifest: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Seal:
    """One seal as it lies in a stronghold."""

    stronghold: str
    path: Path
    note: SealNote

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def content(self) -> Path:
        """The asset in it."""
        return self.path / self.note.name

    @property
    def digest(self) -> str:
        return str(self.note.manifest["digest"])

    @property
    def size_bytes(self) -> int:
        return int(self.note.manifest["total_bytes"])

    @property
    def has_own_manifest(self) -> bool:
        """Whether the asset came with a manifest of its own; one that was made for the seal tells no time."""
        return self.note.manifest.get("created_at") is not None

    def location(self) -> Location:
        """The place of this copy, as the catalog keeps it."""
        at = self.note.verified_at.isoformat()
        sealed = self.note.sealed_at.isoformat()
        status = LocationStatus.VERIFIED
        return Location(self.stronghold, str(self.content), status, at, self.digest, self.size_bytes, sealed)

    def asset(self) -> Asset:
        """What the catalog is told of an asset that lies nowhere but here."""
        note = self.note
        at = note.sealed_at.isoformat()
        return Asset(
            note.asset_id, note.asset_type, note.name, size_bytes=self.size_bytes, created_at=at, modified_at=at,
            locations=(self.location(),),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """For people and programs; see `vault.answers.Backup`."""
        note = self.note
        return {
            "name": self.name,
            "stronghold": self.stronghold,
            "path": str(self.path),
            "asset_id": note.asset_id,
            "asset_type": note.asset_type,
            "asset_name": note.name,
            "size_bytes": self.size_bytes,
            "checksum": self.digest,
            "sealed_at": note.sealed_at.isoformat(),
            "verified_at": note.verified_at.isoformat(),
            "reason": note.reason,
            "host": note.host,
            "base_dir": note.base_dir,
            "came_from": note.came_from,
        }


def read_seal(folder: Path, stronghold: str = LOCAL) -> Seal:
    """The seal in a directory; raises `InvalidInput` saying what is wrong with its note."""
    if folder.is_symlink() or not folder.is_dir():
        raise InvalidInput(f"{folder} is no directory.")
    raw = read_json(folder / NOTE)
    try:
        note = msgspec.convert(raw, SealNote)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{folder / NOTE} is missing or damaged: {error}.") from error
    if note.version != VERSION or _NAME.fullmatch(note.name) is None or note.name in (".", "..", NOTE):
        raise InvalidInput(f"{folder / NOTE} is not of version {VERSION}.")
    if note.sealed_at.tzinfo is None or note.verified_at.tzinfo is None:
        raise InvalidInput(f"{folder / NOTE} tells times without their zone.")
    if "digest" not in note.manifest:
        raise InvalidInput(f"{folder / NOTE} holds no digest.")
    manifest_text(note.manifest)
    return Seal(stronghold, folder, note)


def seals_in(folder: Path, stronghold: str = LOCAL) -> Iterator[Seal]:
    """All seals in a directory of backups, oldest first; damaged notes are logged, and nobody deletes those by rule."""
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in entries if not each.name.startswith(".")]
    except FileNotFoundError:
        return
    found = []
    for name in names:
        try:
            found.append(read_seal(folder / name, stronghold))
        except RealmError as error:
            logger.warning("no backup: %s", error, extra={"event": "seal_damaged", "path": str(folder / name)})
    yield from sorted(found, key=lambda seal: (seal.note.sealed_at, seal.name))


def problems_of_seal(heavy: Heavy, path: Path) -> list[str]:
    """What is wrong with a seal, every byte of it read; `[]` means whole."""
    try:
        seal = read_seal(path)
    except RealmError as error:
        return [error.message]
    root = seal.content if seal.content.is_dir() else seal.path
    return [*altered_manifest(seal), *problems_of(heavy, root, seal.note.manifest)]


def altered_manifest(seal: Seal) -> list[str]:
    """Why the asset's own manifest is not the one that was sealed; `[]` where it is, or the asset never had one."""
    own = read_manifest(seal.content) if seal.has_own_manifest else None
    if not seal.has_own_manifest or (own is not None and own["digest"] == seal.digest):
        return []
    return check_manifest(seal.content, deep=False) or [f"{MANIFEST} is not the one that was sealed"]


def name_of_seal(asset_name: str, now: datetime) -> str:
    """Such as `checkpoint-1000-20261121-0930-20261122T101500Z`."""
    return f"{asset_name[:LONGEST_STEM]}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
