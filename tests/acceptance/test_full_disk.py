"""A disk that fills up, and directories that vanish, under a realm that trains: it waits, says why, and goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.reckoning import Dropped, differences
from tests.acceptance.small_disk import SmallDisk, small_disk
from tests.replaying import replay_realm

ROWS = 1200
DROPPED = (Dropped("early.jsonl", 40), Dropped("long.jsonl", ROWS), Dropped("late.jsonl", 40))


def test_a_full_disk_and_vanished_directories_cost_a_wait_and_nothing_else(nursery: Nursery, tmp_path: Path) -> None:
    """A23: "no space left on device" crashed the training. A28: it marked good quests failed. B30: the daemon ended.

    One realm in the middle of one quest, on a disk of 48 MB of which it keeps 4 back. Its trainer makes a few steps
    between two faults: it is stopped (SIGSTOP) while one is made.
    """
    with small_disk(tmp_path / "disk") as disk:
        # What stands in for a real disk has to be in the trainer, too.
        realm = LivingRealm(
            disk.folder / "realm", nursery=nursery if disk.is_real else None, disk={"reserve_megabytes": 4},
            gates={"level": "quick"},
        )  # fmt: skip
        try:
            realm.up(**disk.environment)
            realm.drop("early", 40)
            realm.wait_until_done(1)
            realm.drop("long", ROWS)
            realm.wait_in_quest(2)
            fill_it_up(realm, disk)
            for name in ("current_model", "queue"):
                take_away(realm, name)
            end_well(realm, tmp_path / "oracle")
        finally:
            realm.close()


def is_paused(status: dict[str, Any], *reasons: str) -> bool:
    """Whether training is paused for exactly these reasons."""
    told = status["reason"] or ""
    wanted = all(reason in told for reason in reasons) and ("disk: " in told) == ("disk: " in reasons)
    return status["status"] == "paused" and wanted


def told_by_http(realm: LivingRealm) -> dict[str, Any]:
    training: dict[str, Any] = realm.http("GET", "/api/game", site="tavern").json()["training"]
    return training


def paused(realm: LivingRealm, *reasons: str) -> dict[str, Any]:
    """The status file, once training is paused for exactly these reasons."""
    return realm.wait(lambda: status if is_paused(status := realm.status(), *reasons) else {}, f"paused for {reasons}")


def wait_for_further_steps(realm: LivingRealm) -> None:
    here = realm.position()
    assert here is not None

    def further() -> bool:
        now = realm.position()
        return now is not None and now.quest_step > here.quest_step

    realm.wait(further, "training goes on")


def fill_it_up(realm: LivingRealm, disk: SmallDisk) -> None:
    """Training is paused and files stay in the inbox until there is room, also when every write is refused."""
    trainer = realm.trainer()
    with realm.trainer_held():
        filler = disk.fill("filler", leave=64 << 10)
        realm.wait(lambda: realm.event_since_up("disk_full"), "the full disk is told")
        # The reserve too, which was given up.
        rest = disk.fill("rest")
    realm.wait(lambda: is_paused(told_by_http(realm), "disk: "), "a pause told over HTTP")
    assert told_by_http(realm)["disk"]["state"] == "full"
    if disk.is_real:
        assert disk.free() == 0
        assert realm.status()["status"] != "paused", "its status files were refused"
    rest.unlink()
    status = paused(realm, "disk: ", "current_model/ is full")
    assert status["current_file"] == "long.jsonl"
    control = json.loads((realm.paths.control / "state.json").read_text())
    assert (control["status"], control["reason"]) == ("paused", status["reason"])
    assert 'realm_disk_state{state="full"} 1' in realm.http("GET", "/metrics").text
    late = realm.drop("late", 40)
    inbox = realm.paths.inbox_status
    realm.wait(lambda: "disk: " in (json.loads(inbox.read_text())["blocked"] or ""), "why files stay in the inbox")

    realm.wish("pause", "the oven is on")
    paused(realm, "the oven is on", "disk: ")
    assert late.exists(), "it waits where its owner put it"
    filler.unlink()
    paused(realm, "the oven is on")
    assert realm.event_since_up("disk_ok")
    # Else it may be on its way into the lanes in the very moment in which they vanish.
    realm.wait(lambda: not late.exists(), "the one that has waited is taken in")
    realm.wish("resume")
    wait_for_further_steps(realm)
    assert realm.trainer() == trainer, "it stayed warm"


def take_away(realm: LivingRealm, name: str) -> None:
    """An unmounted disk leaves an empty directory, in which no hero and no queue may be begun anew."""
    place, away = realm.paths.base / name, realm.paths.base / "away"
    before = len(realm.events("disk_missing"))
    with realm.trainer_held():
        place.rename(away)
        place.mkdir()
        realm.wait(lambda: len(realm.events("disk_missing")) > before, "it is told")
    paused(realm, "disk: ", f"{name}/ holds nothing of the realm")
    assert list(place.iterdir()) == []
    place.rmdir()
    away.rename(place)
    wait_for_further_steps(realm)


def end_well(realm: LivingRealm, oracle: Path) -> None:
    """Law 3: weights, journal, ledger and lanes are those of a run that was never disturbed; nothing is told twice."""
    realm.wait_until_done(len(DROPPED))
    assert realm.stop() == 0
    assert differences(realm.paths, DROPPED, replay_realm(realm.paths, oracle)) == []
    told = [event["kind"] for event in realm.events("disk_%")]
    assert told == ["disk_low", "disk_full", "disk_ok", "disk_missing", "disk_ok", "disk_missing", "disk_ok"]
    for kind in ("quest_strike", "quest_refused", "quest_lost", "trainer_died", "inbox_blocked", "claims_blocked"):
        assert realm.events(kind) == [], kind
    quest = realm.quest("long")
    assert quest is not None
    assert (quest.record.attempts, quest.record.strikes) == (1, [])
