"""Fixtures for tests of all rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    """An empty realm with all its folders."""
    paths = RealmPaths(tmp_path)
    paths.create()
    return paths


@pytest.fixture
def ledger(paths: RealmPaths) -> CheckpointLedger:
    return CheckpointLedger.of(paths)
