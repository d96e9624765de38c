"""A zone on a real socket: a directory with a checkpoint, a model and a data file, and its officer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.hosts import HostRegistry
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.making import publish
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.catalog.catalog import Catalog
from vault.checkpoints import CheckpointStore

CHECKPOINT = "checkpoint-175000-20261121-0930"


@pytest.fixture
def zone(tmp_path: Path) -> Path:
    """What the officer looks after."""
    folder = tmp_path / "zone"
    (folder / "checkpoints").mkdir(parents=True)
    publish(CheckpointStore(folder / "checkpoints"), CHECKPOINT, train_loss=0.5)
    model = folder / "models" / "Qwen3-0.6B"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    (model / "model.safetensors").write_bytes(b"w" * 3_000_000)
    (folder / "train_syllo_abc.jsonl").write_text('{"messages": []}\n')
    return folder


@pytest.fixture
def officer(zone: Path) -> Iterator[BranchOfficer]:
    registry = HostRegistry({}, RealmPaths(zone).hosts_file)
    with Catalog.opened(zone / ".branch_catalog.db", zone) as catalog:
        officer = BranchOfficer("3090", zone, catalog, lambda: registry, lambda: None)
        officer.scan()
        yield officer
        officer.arrivals.stop(10)


@pytest.fixture
async def site(officer: BranchOfficer) -> AsyncIterator[Visitor]:
    async with serving(branch_routes(officer), service="branch_officer") as visitor:
        yield visitor
