"""A disk that fills up, and directories that vanish, under a realm that trains: it waits, says why, and goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.reckoning import Dropped, differences
from tests.acceptance.small_disk import SmallDisk, small_disk
from tests.replaying import replay_realm

ROWS = 1200
DROPPED = (Dropped("early.jsonl", 40), Dropped("long.jsonl", ROWS), Dropped("late.jsonl", 40))


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("small") / "disk") as disk:
        yield disk


@pytest.fixture(scope="module")
def realm(disk: SmallDisk) -> Iterator[LivingRealm]:
    """A realm in the middle of a long quest, on a disk of 48 MB of which it keeps 4 back."""
    realm = LivingRealm(disk.folder / "realm", disk={"reserve_megabytes": 4}, gates={"level": "quick"})
    try:
        realm.up(**disk.environment)
        realm.drop("early", 40)
        realm.wait_until_done(1)
        realm.drop("long", ROWS)
        realm.wait_in_quest(2)
        yield realm
    finally:
        realm.close()


def paused(realm: LivingRealm, *reasons: str) -> dict[str, object]:
    """The status, once training is paused for exactly these reasons."""

    def found() -> dict[str, object] | None:
        status = realm.status()
        told = status["reason"] or ""
        wanted = all(reason in told for reason in reasons) and ("disk: " in told) == ("disk: " in reasons)
        return status if status["status"] == "paused" and wanted else None

    status = realm.wait(found, f"paused for {reasons}")
    assert status is not None
    return status


def test_a_full_disk_pauses_training_and_holds_files_until_there_is_room(realm: LivingRealm, disk: SmallDisk) -> None:
    """A23: "no space left on device" crashed the training. A28: it marked good quests failed. B30: the daemon ended."""
    trainer = realm.trainer()
    with realm.trainer_held():  # else it may be through with its quest before the disk is full
        filler = disk.fill()
        realm.wait(lambda: realm.event_since_up("disk_full"), "the full disk is told")
    status = paused(realm, "disk: ", "current_model/ is full")
    assert status["current_file"] == "long.jsonl"
    control = json.loads((realm.paths.control / "state.json").read_text())
    assert (control["status"], control["reason"]) == ("paused", status["reason"])
    assert 'realm_disk_state{state="full"} 1' in realm.http("GET", "/metrics").text
    assert realm.http("GET", "/api/game", site="tavern").json()["training"]["disk"]["state"] == "full"
    late = realm.drop("late", 40)
    inbox = realm.paths.inbox_status
    realm.wait(lambda: "disk: " in (json.loads(inbox.read_text())["blocked"] or ""), "why files stay in the inbox")

    realm.wish("pause", "the oven is on")
    paused(realm, "the oven is on", "disk: ")
    assert late.exists(), "it waits where its owner put it"
    filler.unlink()
    status = paused(realm, "the oven is on")
    assert realm.event_since_up("disk_ok")
    realm.wish("resume")
    realm.wait(lambda: realm.status()["status"] != "paused", "training goes on")
    assert realm.trainer() == trainer, "it stayed warm"


@pytest.mark.parametrize("name", ["current_model", "queue"])
def test_a_vanished_directory_pauses_training_until_it_is_back(realm: LivingRealm, name: str) -> None:
    """A23, B30: an unmounted disk leaves an empty directory, in which no hero and no queue may be begun anew."""
    place, away = realm.paths.base / name, realm.paths.base / "away"
    before = len(realm.events("disk_missing"))
    place.rename(away)
    place.mkdir()
    realm.wait(lambda: len(realm.events("disk_missing")) > before, "it is told")
    paused(realm, "disk: ", f"{name}/ holds nothing of the realm")
    assert list(place.iterdir()) == []
    place.rmdir()
    away.rename(place)
    realm.wait(lambda: realm.status()["status"] != "paused", "training goes on")


def test_in_the_end_nothing_is_lost_blamed_or_told_twice(realm: LivingRealm, tmp_path: Path) -> None:
    """A23, A28, law 3: weights, journal, ledger and lanes are those of a run that was never disturbed."""
    realm.wait_until_done(len(DROPPED))
    assert realm.stop() == 0
    assert differences(realm.paths, DROPPED, replay_realm(realm.paths, tmp_path / "oracle")) == []
    told = [event["kind"] for event in realm.events("disk_%")]
    assert told == ["disk_low", "disk_full", "disk_ok", "disk_missing", "disk_ok", "disk_missing", "disk_ok"]
    for kind in ("quest_strike", "quest_refused", "quest_lost", "trainer_died", "inbox_blocked", "claims_blocked"):
        assert realm.events(kind) == [], kind
    quest = realm.quest("long")
    assert quest is not None
    assert (quest.record.attempts, quest.record.strikes) == (1, [])
