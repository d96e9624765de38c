"""What the byte service sends, as models."""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer
from vault.catalog.answers import AssetKind


class FileEntry(Answer):
    size: int
    blake3: str


class Manifest(Answer):
    """`MANIFEST.json` as it is; the receiver can write it byte for byte."""

    version: int
    created_at: str | None
    """Null in a manifest that was made on demand: the same bytes have the same one everywhere."""
    files: dict[str, FileEntry]
    """By name, with slashes."""
    total_bytes: int
    digest: str
    """BLAKE3 over the rest of the manifest."""


class HeldManifest(Answer):
    """An asset that can be read from this host."""

    asset_id: str
    asset_type: AssetKind
    name: str
    """Of its directory or file."""
    kind: Literal["directory", "file"]
    manifest: Manifest
