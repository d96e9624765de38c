"""An asset to fetch: a checkpoint of several megabytes, with small, empty and nested files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vault.transfer.byte_service import ByteService, serving_bytes
from vault.manifest import write_manifest

ASSET = "checkpoint-175000-20261121-0930"
SIZES = {
    "model.safetensors": 4_500_000,
    "optimizer.pt": 1 << 20,
    "tokenizer/tokenizer.json": 70_001,
    ".ledger.json": 300,
    "empty.txt": 0,
    "tokenizer/merges ü #1?.txt": 1,
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that is served, with the asset in it."""
    folder = tmp_path / "source"
    chance = random.Random(7)
    for name, size in SIZES.items():
        path = folder / ASSET / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))
    write_manifest(folder / ASSET)
    return folder


@pytest.fixture
def service(source: Path) -> Iterator[ByteService]:
    with serving_bytes(source) as service:
        yield service


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where assets are fetched to."""
    return tmp_path / "here"
