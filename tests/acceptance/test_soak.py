"""`make soak` in small: the same code, a few kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak import random_kills
from tests.acceptance.nursery import Nursery


@pytest.mark.timeout(400)
def test_random_kills_leave_no_trace_in_weights_lanes_ledger_and_saga(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A6, B17, C4: what was learned is what an undisturbed run learns from the same journal, bit for bit."""
    with Nursery() as nursery:
        monkeypatch.setattr("sys.executable", str(nursery.python))
        faults = random_kills(tmp_path, quests=3, kills=4, epochs=2, minutes=2.0, seed=4, command=nursery.command)
    assert faults == []
    told = capsys.readouterr().out
    assert "kills: 4 (" in told
    assert "quests: 3," in told
    assert "differences from an undisturbed run fed the same journal: 0" in told
