"""What stands below the fields, read in many threads at once."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.setting_docs import docstrings
from core.settings import Settings


class _Slow:
    """Its end takes long enough for another thread to come in between."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(50))


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that take turns, and garbage that is collected, in the midst of whatever is done."""
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50, 2, 2)
    sys.setswitchinterval(1e-6)
    yield
    gc.set_threshold(*thresholds)
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty")
def test_many_may_read_at_once() -> None:
    """Two pages that were opened at once, and both asked for all settings, could both be refused."""

    def read(_: int) -> dict[str, str]:
        for _ in range(30):
            _Slow()
        return docstrings(Settings)

    with ThreadPoolExecutor(4) as readers:
        told = list(readers.map(read, range(120)))
    assert all(each == told[0] and each for each in told)
