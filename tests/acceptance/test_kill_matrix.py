"""The kill matrix: a process dies at every crash point there is, and the final weights know nothing of it (law 3)."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from core.paths import CHECKOUT
from tests.acceptance.crash_walk import STATIONS, Walk
from tests.acceptance.nursery import Nursery
from tests.acceptance.reckoning import differences
from tests.acceptance.undying_realm import KILLED, UndyingRealm
from tests.crash_point_names import crash_point_names
from tests.replaying import replay_realm

WALKED = [place.partition(":")[0] for station in STATIONS for place in station.places]
"""What `test_one_realm_dies_at_every_place_…` passes."""

ELSEWHERE = {
    "copy.*": "tests/arena/doorstep/test_intake.py",
    "heal.halved": "tests/arena/trainer/healing/test_memory.py",
    "heal.*": "tests/arena/trainer/healing/test_going_back.py",
    "hero.*": "tests/arena/hall/test_changing.py",
    "quarantine.*": "tests/vault/test_checkpoints.py",
    "snapshot.*": "tests/vault/test_snapshots.py",
    "turn.*": "tests/arena/annals/test_rewinding.py",
}
"""Points of verbs, and those that need what the living realm lacks: the test that has a process die there."""


@pytest.mark.parametrize("name", sorted({*crash_point_names()}))
def test_every_crash_point_of_the_code_is_exercised(name: str) -> None:
    if any(fnmatchcase(place, name) for place in WALKED):
        return
    found = [file for pattern, file in ELSEWHERE.items() if fnmatchcase(name, pattern)]
    assert found, f"{name} is neither in STATIONS of crash_walk.py nor in ELSEWHERE"
    assert f'"{name}' in (CHECKOUT / found[0]).read_text(encoding="utf-8"), f"{found[0]} does not mention {name}"


def test_whatever_is_walked_or_pointed_to_still_exists() -> None:
    names = set(crash_point_names())
    assert not [place for place in WALKED if not any(fnmatchcase(place, name) for name in names)]
    assert not [pattern for pattern in ELSEWHERE if not any(fnmatchcase(name, pattern) for name in names)]


@pytest.mark.timeout(400)
def test_one_realm_dies_at_every_place_and_ends_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A6, B17, C1, C4: real SIGKILLs of daemon, trainer and scribe; no quest is lost, doubled or misreported."""
    places = tmp_path / "places.txt"
    with Nursery(REALM_CRASH_LIST=str(places)) as nursery:
        # The undisturbed trainer, too, comes from there.
        monkeypatch.setattr("sys.executable", str(nursery.python))
        realm = UndyingRealm(tmp_path / "realm", save_budget=1.0)
        realm.command = nursery.command("--base-dir", str(realm.paths.base), "up")
        walk = Walk(realm, places)
        try:
            walk.go(STATIONS)
            assert realm.stop() == 0
        finally:
            realm.close()
        assert realm.ends[KILLED] >= 15
        assert len(realm.events("trainer_died")) >= 10
        oracle = replay_realm(realm.paths, tmp_path / "oracle")
    assert walk.left() == []
    assert differences(realm.paths, walk.dropped, oracle) == []
