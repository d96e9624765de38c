"""Fixtures for tests of all rooms."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from core.checkpoint_ledger import CheckpointLedger
from core.lasting_imports import lasting_imports
from core.paths import RealmPaths

# The tests start hundreds of processes of the realm: only the first of them shall have to compile it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The same examples in every run and on every machine; a busy one is slow without being wrong.
settings.register_profile("realm", derandomize=True, deadline=None)
settings.load_profile("realm")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What test modules import stays: torch, transformers, Playwright."""
    with lasting_imports():
        return (yield)


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    """An empty realm with all its folders."""
    paths = RealmPaths(tmp_path)
    paths.create()
    return paths


@pytest.fixture
def ledger(paths: RealmPaths) -> CheckpointLedger:
    return CheckpointLedger.of(paths)
