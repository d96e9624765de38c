"""Fixtures for tests of all rooms."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from core.checkpoint_ledger import CheckpointLedger
from core.lasting_imports import lasting_imports
from core.paths import RealmPaths
from tests.acceptance.nursery import Nursery

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


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """What trainers are forked from, with torch imported already, where a test is about anything but their start."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def from_nursery(nursery: Nursery) -> Iterator[None]:
    """The trainers that this process starts itself come from there, for all tests of a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(nursery.python))
        yield
