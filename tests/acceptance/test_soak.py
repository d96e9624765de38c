"""`make soak` in small: the same code, a few kills, one pair of crash points."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.growth import Allowance, Series
from benchmarks.soak import random_kills, walk_through_pairs
from tests.acceptance.nursery import Nursery


@pytest.mark.timeout(400)
def test_random_kills_leave_no_trace_in_weights_lanes_ledger_and_saga(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A6, B17, C4: what was learned is what an undisturbed run learns from the same journal, bit for bit."""
    places = tmp_path / "places.txt"
    with Nursery(REALM_CRASH_LIST=str(places)) as nursery:
        monkeypatch.setattr("sys.executable", str(nursery.python))
        faults = random_kills(tmp_path, quests=3, kills=4, epochs=2, minutes=5.0, seed=4, command=nursery.command)
        assert faults == []
        assert walk_through_pairs(tmp_path, nursery, places, pairs=1, seed=11) == []
    told = capsys.readouterr().out
    assert "kills: 4 (" in told
    assert "quests: 3," in told
    assert "differences from an undisturbed run fed the same journal: 0" in told


def test_what_grows_is_told_and_so_are_too_few_samples() -> None:
    """Law 9: a leak of any kind shows between the first and the last third, a short spike does not."""
    steady = Series("threads", Allowance(more=3), values=[12, 13, 12, 40, 12, 14, 13, 14, 12])
    assert steady.fault(fewest=9) is None
    assert steady.fault(fewest=10) == "threads: 9 samples are too few, 10 are needed"
    leak = Series("RSS", Allowance(), 1e6, "MB", [(90 + minute) * 1e6 for minute in range(30)])
    assert leak.fault(fewest=10) == "RSS has grown: 94.5 → 114.5 MB (most 119, 30 samples)"
    filling = Series("queue/", Allowance(up_to=1e6), values=[0, 1e5, 2e5, 5e5, 8e5, 9e5])
    assert filling.fault(fewest=6) is None, "its limit is not reached"
    filling.values[-2:] = [2e6, 2.1e6]
    assert "queue/ has grown" in str(filling.fault(fewest=6))
