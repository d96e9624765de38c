"""Thirty files at once: lane order, each exactly once, every row in the journal."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.conftest import Founder

ROWS = {"high": 9, "normal": 16, "low": 5}


def test_thirty_files_dropped_at_once_are_trained_in_lane_order_each_exactly_once(found_realm: Founder) -> None:
    """C1, C4: names and sidecars survive every move. B15: the pause set before the start holds them all back."""
    realm = found_realm()
    realm.wish("pause")
    realm.up()
    # The highest come last: it is the lane that decides, not who was first.
    for priority in ("low", None, "high"):
        for number in range(10):
            rows = ROWS[priority or "normal"] + number
            realm.drop(f"{priority or 'normal'}_{number}", rows, priority=priority, start=1000 * number)
    realm.wait(lambda: realm.http("GET", "/api/training/queue").json()["pending"] == 30, "all of them on the board")
    assert realm.lane("processing") == []
    assert realm.claims() == []
    realm.wish("resume")
    realm.wait_until_done(30)

    expected = [
        (f"{priority}_{number}.jsonl", "learned", ROWS[priority] + number)
        for priority in ("high", "normal", "low")
        for number in range(10)
    ]
    assert realm.taught() == expected
    assert [claim.rows for claim in realm.claims()] == [rows for _, _, rows in expected]
    for claim in realm.claims():
        quest = realm.quest(claim.name.removesuffix(".jsonl"))
        assert quest is not None
        assert (quest.lane, quest.quest_id) == ("recently_completed", claim.quest_id)
        assert quest.record.rows_learned == quest.record.rows == _lines(quest.path)
    assert realm.stop() == 0


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
