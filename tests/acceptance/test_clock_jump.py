"""The clock of a machine is set a day forward and two days back under a realm that trains: nobody is led astray."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.status_files import UNKNOWN
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.reckoning import Dropped, differences
from tests.replaying import replay_realm

DAY = 86_400
ROWS = 600
"""More than a second of training, in steps of two rows."""
DROPPED = (Dropped("long.jsonl", ROWS), Dropped("ahead.jsonl", 40), Dropped("behind.jsonl", 40))

SHIFTED_CLOCK = """
import datetime, os, time

real, real_time, place = datetime.datetime, time.time, os.environ["CLOCK_SHIFT"]


def shift():
    try:
        with open(place) as file:
            return float(file.read() or 0)
    except FileNotFoundError:
        return 0.0


class AnyDateTime(type):
    def __instancecheck__(cls, value):
        return isinstance(value, real)


class ShiftedDateTime(real, metaclass=AnyDateTime):
    @classmethod
    def now(cls, tz=None):
        return real.now(tz) + datetime.timedelta(seconds=shift())


datetime.datetime = ShiftedDateTime
time.time = lambda: real_time() + shift()
"""
"""Read by every Python that starts: its wall clock is wrong by as many seconds as the file says, from one moment to the
next. Monotonic clocks and the times of files stay right."""


@pytest.mark.timeout(240)
def test_a_clock_that_is_set_in_the_middle_of_a_quest_changes_nothing_that_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 4, D17: one history, nothing lost, nobody taken for dead; the status is right as soon as the clock is."""
    site, shift = tmp_path / "site", tmp_path / "shift.txt"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SHIFTED_CLOCK)
    environment = {"PYTHONPATH": str(site), "CLOCK_SHIFT": str(shift)}
    with Nursery(**environment) as nursery:
        monkeypatch.setattr("sys.executable", str(nursery.python))
        realm = LivingRealm(tmp_path / "realm", hyperparams={"batch_size": 2})
        realm.command = nursery.command("--base-dir", str(realm.paths.base), "up")
        try:
            realm.up(awake=True, **environment)
            realm.drop("long", ROWS)
            realm.wait_in_quest(1)
            for stem, days in (("ahead", 1), ("behind", -1)):
                shift.write_text(str(days * DAY))
                assert told_days_off(realm, days) == UNKNOWN, "nobody can tell how old it is"
                realm.drop(stem, 40, start=(3 + days) * DAY)
            shift.unlink()
            realm.wait_until_done(len(DROPPED))
            realm.wait(lambda: realm.status()["status"] == "idle", "the right status")
            assert realm.stop() == 0
        finally:
            realm.close()
        assert differences(realm.paths, DROPPED, replay_realm(realm.paths, tmp_path / "oracle")) == []
    for kind in ("trainer_died", "trainer_silent", "quest_strike", "realm_was_cut_off", "%_blocked"):
        assert realm.events(kind) == [], kind


def told_days_off(realm: LivingRealm, days: int) -> str:
    """What readers are told once the status file was written by such a clock."""

    def written() -> bool:
        heartbeat = json.loads(realm.paths.training_status.read_text())["heartbeat_at"]
        seconds = (datetime.fromisoformat(heartbeat) - datetime.now(UTC)).total_seconds()
        return round(seconds / DAY) == days

    realm.wait(written, f"a clock that is {days} days off")
    told: str = realm.status()["status"]
    return told
