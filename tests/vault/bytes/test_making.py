"""A manifest that is made on the spot is made once for all who ask, and nobody waits long for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from core.errors import Unavailable
from tests.waiting import wait_until
from vault.bytes.making import BeingMade, Makings


class Slow:
    """Takes until it is let go; counts how often it was begun."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.let_go = threading.Event()
        self._error = error

    def make(self) -> dict[str, Any]:
        self.begun += 1
        assert self.let_go.wait(20)
        if self._error is not None:
            raise self._error
        return {"digest": "d"}


def test_it_is_made_once_however_many_ask() -> None:
    """Each caller that had lost patience started another hash of the whole asset."""
    slow, makings = Slow(), Makings(wait_seconds=0.05)
    for _ in range(3):
        with pytest.raises(BeingMade, match="is being made"):
            makings.of("/models/x", slow.make)
    assert makings.of("/models/y", lambda: {"digest": "other"}) == {"digest": "other"}
    slow.let_go.set()
    wait_until(lambda: not makings._known)
    assert slow.begun == 1
    assert makings.of("/models/x", slow.make) == {"digest": "d"}
    assert slow.begun == 2


def test_how_it_failed_is_told_to_whoever_asks_next() -> None:
    slow, makings = Slow(Unavailable("the disk fails")), Makings(wait_seconds=0.05)
    with pytest.raises(BeingMade):
        makings.of("/models/x", slow.make)
    slow.let_go.set()
    wait_until(lambda: makings._known["/models/x"].done())
    with pytest.raises(Unavailable, match="the disk fails"):
        makings.of("/models/x", slow.make)
    assert not makings._known
