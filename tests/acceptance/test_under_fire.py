"""A realm without file system events under a burst of files, with a queue and status files that cannot be written."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from arena.quest_names import report_of
from arena.quests import read_sidecar
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import chat_rows, write_quest

BURST = 120
ROWS = 5


@pytest.fixture(scope="module")
def realm(found_shared_realm: Founder, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> LivingRealm:
    """A realm in whose Python there is no watchdog, with two files in `queue/high/` that nobody has checked."""
    stub = tmp_path_factory.mktemp("packages") / "watchdog"
    stub.mkdir()
    (stub / "__init__.py").write_text('raise ImportError("watchdog is not installed")\n')
    realm = found_shared_realm(nursery=nursery)
    for name, rows in (("straight", chat_rows(12)), ("crooked", [*chat_rows(3), "{oops}"])):
        path = write_quest(realm.paths.lane("high") / f"{name}.jsonl", rows)
        os.utime(path, (path.stat().st_mtime - 60,) * 2)
    realm.up(PYTHONPATH=str(stub.parent))
    return realm


def is_learned(realm: LivingRealm, stem: str) -> bool:
    return realm.lane_of(stem) in ("awaiting_seal", "recently_completed")


def test_without_watchdog_files_are_found_by_scanning_and_it_is_told_once(realm: LivingRealm) -> None:
    """PEERS, inbox truth: events are hints. The realm says that there are none, and trains what is dropped."""
    realm.drop("dropped", 10)
    realm.wait(lambda: is_learned(realm, "dropped"), "the dropped file is learned")
    (told,) = realm.events("inbox_watch_lost")
    assert "watchdog is not installed" in told["message"]


def test_what_a_generator_writes_straight_into_the_queue_goes_through_the_gates(realm: LivingRealm) -> None:
    """C9: generators that write directly to queue/high skipped validation."""
    realm.wait(lambda: is_learned(realm, "straight"), "the good one is learned")
    realm.wait(lambda: realm.lane_of("crooked") == "failed", "the bad one is rejected")
    report = json.loads(report_of(realm.paths.lane("failed") / "crooked.jsonl").read_text())
    assert report["reasons"][0]["line"] == 4
    assert "crooked.jsonl" not in [claim.name for claim in realm.claims()]


def test_each_file_of_a_burst_is_learned_exactly_once(realm: LivingRealm) -> None:
    """F1, law 3: dropped at once while a quest trains, among them files of one name from several folders."""
    done = len(realm.lane("recently_completed"))
    before = {claim.quest_id for claim in realm.claims()}
    staged = realm.paths.base / "staged"
    staged.mkdir()
    realm.drop("companion", 400, start=9000)
    realm.wait(lambda: realm.lane_of("companion") == "processing", "a quest that trains meanwhile")
    for number in range(BURST):
        place = realm.paths.inbox / f"folder{number}" / "same.jsonl" if number % 10 == 0 else None
        path = write_quest(staged / f"{number:03}.jsonl", ROWS, ROWS * number)
        if place is not None:
            place.parent.mkdir()
        path.rename(place or realm.paths.inbox / path.name)
    realm.wait_until_done(done + BURST + 1, timeout=110)

    history = realm.history()
    burst = {
        ordinal: claim
        for ordinal, claim in history.claims.items()
        if claim.quest_id not in before and claim.name != "companion.jsonl"
    }
    assert len(burst) == BURST
    assert len({claim.quest_id for claim in burst.values()}) == len({c.content_hash for c in burst.values()}) == BURST
    assert {history.outcome_of(ordinal) for ordinal in burst} == {"learned"}
    assert {history.rows_learned(ordinal) for ordinal in burst} == {ROWS}
    records = [read_sidecar(path) for path in realm.lane("recently_completed")]
    sealed = Counter(record.quest_id for record in records if record is not None)
    assert all(sealed[claim.quest_id] == 1 for claim in burst.values())
    accepted = Counter(event["data"]["quest_id"] for event in realm.events("quest_accepted"))
    assert all(accepted[claim.quest_id] == 1 for claim in burst.values())
    assert not list(realm.paths.inbox.rglob("*.json*"))


def test_everything_that_names_a_checkpoint_names_one_that_is_there(realm: LivingRealm) -> None:
    """A24, A26: what was deleted by the rolling slot, or by hand, is not shown and not waited for."""
    realm.drop("one_more", 8)
    realm.wait(lambda: realm.lane_of("one_more") == "recently_completed", "a newer checkpoint")

    def named() -> set[str]:
        latest = realm.http("GET", "/api/game", site="tavern").json()["checkpoint"]["latest"]
        ledger = realm.http("GET", "/api/ledger").json()["checkpoints"]
        names = {realm.status()["checkpoint"], (realm.paths.current_model / "HEAD").read_text().strip(), latest["name"]}
        return names | {entry["canonical_name"] for entry in ledger}

    def on_disk() -> set[str]:
        return {path.name for path in realm.checkpoints()}

    realm.wait(lambda: named() == on_disk(), "all names lead to a checkpoint")
    for folder in realm.checkpoints():
        shutil.rmtree(folder)
    realm.wait(lambda: realm.status()["checkpoint"] is None, "checkpoints deleted by hand are not shown any more")
    assert realm.http("GET", "/api/ledger").json()["checkpoints"] == []
    realm.drop("yet_another", 8)
    realm.wait(lambda: realm.lane_of("yet_another") == "recently_completed", "the next checkpoint")
    realm.wait(lambda: on_disk() and named() == on_disk(), "all names lead to a checkpoint again")


def test_a_queue_and_status_files_that_cannot_be_written_end_nothing(realm: LivingRealm) -> None:
    """B30, A23: the daemon, its pages and the trainer go on; files wait in the inbox, and it all goes on by itself."""
    lane = realm.paths.lane("normal")
    elsewhere = realm.paths.base / "elsewhere"
    trainer = realm.trainer()
    lane.rename(elsewhere)
    lane.symlink_to(realm.paths.base / "a disk that is not mounted")
    status = realm.paths.training_status
    status.unlink()
    status.mkdir()
    realm.drop("held_up", 10)
    realm.wait(lambda: realm.events("inbox_blocked") and realm.events("status_blocked"), "both are told")
    assert (realm.paths.inbox / "held_up.jsonl").exists()
    realm.drop("urgent", 10, priority="high")
    realm.wait(lambda: is_learned(realm, "urgent"), "what can be trained is")
    for site, page in (("tavern", "/api/game"), ("vault", "/api/ledger"), ("watchtower", "/health")):
        assert realm.http("GET", page, site=site).status_code == 200

    lane.unlink()
    elsewhere.rename(lane)
    status.rmdir()
    realm.wait(lambda: is_learned(realm, "held_up"), "the file is learned")
    realm.wait(lambda: realm.status()["status"] == "idle", "the status is told again")
    assert realm.trainer() == trainer
    quest = realm.quest("held_up")
    assert quest is not None
    assert quest.record.attempts == 1
    for kind in ("inbox_blocked", "inbox_goes_on", "status_blocked", "status_goes_on"):
        assert len(realm.events(kind)) == 1, kind
    assert not Path(realm.paths.base / "a disk that is not mounted").exists()
    assert realm.stop() == 0
