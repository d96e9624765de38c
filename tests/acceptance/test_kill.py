"""Whatever is killed whenever: the surviving weights are those of an undisturbed run fed the same files (law 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
import pytest

from arena.supervision.exit_record import read_exit_record
from arena.telling.crier import STATUS_VALID_SECONDS
from core.status_files import read_status
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery

QUESTS = {"first": 40, "second": 61, "third": 20, "long": 1600, "last": 33}
"""Names and rows, in the order of training; steps have 8 rows, so that some are short."""
LONG = 4
"""Ordinal of the long one."""


@dataclass(frozen=True)
class Outcome:
    """All that must not depend on what was killed."""

    step: int
    weights: dict[str, str]
    taught: list[tuple[str, str, int]]


def feed(realm: LivingRealm, **environment: str) -> None:
    """Bring the realm up and let it train `QUESTS` in exactly their order."""
    realm.wish("pause")
    realm.up(awake=False, **environment)
    for number, (name, rows) in enumerate(QUESTS.items()):
        realm.drop(name, rows, start=5000 * number)
        realm.wait(lambda waiting=number + 1: len(realm.lane("normal")) == waiting, f"{name} on the board")
    realm.wish("resume")


def outcome(realm: LivingRealm) -> Outcome:
    """Wait until all quests are sealed; what has come of them."""
    realm.wait_until_done(len(QUESTS))
    step, weights = realm.weights()
    return Outcome(step=step, weights=weights, taught=realm.taught())


@pytest.fixture(scope="module")
def undisturbed(found_shared_realm: Founder, nursery: Nursery) -> Outcome:
    """What becomes of the hero when nothing is killed."""
    realm = found_shared_realm("undisturbed", nursery=nursery)
    feed(realm)
    result = outcome(realm)
    assert realm.stop() == 0
    assert result.taught == [(f"{name}.jsonl", "learned", rows) for name, rows in QUESTS.items()]
    assert result.step == sum(-(-rows // 8) for rows in QUESTS.values())
    return result


def test_a_killed_trainer_is_noticed_explained_restarted_and_loses_nothing(
    found_realm: Founder, undisturbed: Outcome
) -> None:
    """A6: what no checkpoint covers is trained again. B17: nothing is stuck in processing/. A8: the ledger knows."""
    realm = found_realm()
    feed(realm)
    realm.wait_in_quest(LONG, at_least=40)
    assert len(realm.lane("awaiting_seal")) == LONG - 1
    assert realm.checkpoints() == []

    killed_at = datetime.now(UTC)
    victim = realm.kill9_trainer()
    death = realm.wait(lambda: realm.events("trainer_died"), "the death of the trainer")[0]
    # Sooner than anybody who looks would call the realm's word old.
    assert (datetime.fromisoformat(death["at"]) - killed_at).total_seconds() < STATUS_VALID_SECONDS
    assert death["data"]["pid"] == victim
    assert "SIGKILL" in death["message"]
    successor = realm.wait(realm.trainer, "a new trainer")
    assert successor.pid != victim
    assert realm.wait(
        lambda: realm.events("trainer_ready", after=death["id"]), "the new one awake, after that was told"
    )

    assert outcome(realm) == undisturbed
    ledger = realm.http("GET", "/api/ledger").json()
    assert {entry["canonical_name"] for entry in ledger["checkpoints"]} == {path.name for path in realm.checkpoints()}
    assert realm.stop() == 0


def test_after_a_killed_daemon_its_trainer_saves_and_exits_and_the_next_start_finishes_the_quest(
    found_realm: Founder, nursery: Nursery, undisturbed: Outcome
) -> None:
    """B8: no stale lock. B17: the running quest goes on. B16, F3: what the dead daemon wrote is not believed."""
    realm = found_realm(nursery=nursery)
    feed(realm)
    realm.wait_in_quest(LONG, at_least=40)
    trainer = realm.trainer()
    assert trainer is not None
    realm.kill9_daemon()

    farewell = read_exit_record(realm.paths.current_model, trainer.pid)
    assert farewell is not None
    assert (farewell.clean, farewell.reason) == (True, "the daemon is gone")
    saved_at, _ = realm.weights()
    steps_before = sum(-(-rows // 8) for rows in list(QUESTS.values())[: LONG - 1])
    assert steps_before + 40 <= saved_at < undisturbed.step
    status = realm.status()
    assert (status["status"], status["stale"]) == ("unknown", True)
    assert status["current_step"] is not None
    assert read_status(realm.paths.control / "state.json", now=datetime.now(UTC))["status"] == "unknown"
    assert realm.cli_json("status")["realm"] == "down"

    realm.up()
    ready = realm.event_since_up("trainer_ready")
    assert ready is not None
    assert f"at step {saved_at}," in ready["message"]
    assert outcome(realm) == undisturbed
    assert realm.stop() == 0


def test_a_trainer_that_dies_between_journal_and_step_and_between_rename_and_head_recovers_by_itself(
    found_realm: Founder, undisturbed: Outcome
) -> None:
    """A6: a claim that was just written and a checkpoint that HEAD does not name yet are both accounted for."""
    realm = found_realm()
    # The first trainer dies with its sixth entry, the fifth claim. The second one replays, saves, ends the last
    # quest and dies in its second save. The third one has neither so many entries nor so many saves to make.
    feed(realm, REALM_CRASH_AT="journal.written:6,save.renamed:2")
    assert outcome(realm) == undisturbed
    assert len(realm.events("trainer_died")) == 2
    # The death while it prepared its quest is charged to that quest, the one in a save to nobody.
    assert [event["message"].split(" takes ")[0] for event in realm.events("quest_strike")] == ["last.jsonl"]
    assert realm.cli("ledger", "verify").returncode == 0
    assert realm.stop() == 0


def test_a_daemon_that_dies_in_the_middle_of_a_move_leaves_no_quest_twice(
    found_realm: Founder, nursery: Nursery, undisturbed: Outcome
) -> None:
    """C1, C4: the sweep at start finishes the move; the quest in two lanes is one quest and is learned once."""
    realm = found_realm(nursery=nursery)
    # Five moves into the lanes, then the claim of the first quest; the seventh takes it to awaiting_seal.
    feed(realm, REALM_CRASH_AT="move.linked:7")
    assert realm.wait_for_end() == -9
    trainers = [process for process in realm.seen if process.is_running()]
    _, alive = psutil.wait_procs(trainers, timeout=60)
    assert not alive
    assert [len(realm.lane(lane)) for lane in ("processing", "awaiting_seal")] == [1, 1]
    realm.up(awake=False)
    assert outcome(realm) == undisturbed
    assert realm.stop() == 0
