"""pause, resume, stop, skip and save, each by file, by CLI and over HTTP (DESIGN section 5, Control semantics)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from arena.supervision.position_file import Phase
from core.status_files import read_status
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery

WAYS = ("file", "cli", "http")
LONG_ROWS = 3000
"""Three seconds of training or more: a wish that is written while the trainer is held meets the quest under way."""


@pytest.fixture(scope="module")
def realm(found_shared_realm: Founder, nursery: Nursery) -> LivingRealm:
    """One realm for all; every test leaves it idle, not paused, and with nothing queued."""
    realm = found_shared_realm(nursery=nursery)
    realm.up()
    return realm


def is_paused(realm: LivingRealm) -> bool:
    return realm.status()["status"] == "paused"


def state_of(realm: LivingRealm) -> tuple[str, str]:
    state = read_status(realm.paths.control / "state.json", now=datetime.now(UTC))
    return state["status"], state["current_file"]


def next_ordinal(realm: LivingRealm) -> int:
    return realm.history().next_ordinal


def test_a_quest_paused_three_times_goes_on_each_time_and_learns_each_row_once(realm: LivingRealm) -> None:
    """B10: a pause does not complete the quest. B11: resume over HTTP is heard. B12: an old resume undoes no pause."""
    ordinal = next_ordinal(realm)
    # A resume with nothing to resume is used up before the pause that follows.
    realm.wish("resume")
    realm.wait(lambda: not (realm.paths.control / ".resume").exists(), "the idle resume used up")
    realm.drop("patience", LONG_ROWS)
    for way, back in (("file", "http"), ("http", "cli"), ("cli", "file")):
        at = realm.position()
        deeper = at.quest_step + 10 if at is not None and at.ordinal == ordinal else 10
        realm.wait_in_quest(ordinal, at_least=deeper)
        with realm.trainer_held():
            realm.wish_by(way, "pause")
        realm.wait(lambda: is_paused(realm), f"the pause by {way}")
        here = realm.position()
        assert here is not None
        assert (here.phase, here.ordinal) == (Phase.WAITING, ordinal)
        status = realm.status()
        assert status["current_file"] == "patience.jsonl"
        assert 0 < status["rows_learned"] < LONG_ROWS
        # Written a moment after the status file.
        realm.wait(lambda: state_of(realm) == ("paused", "patience.jsonl"), "control/state.json that says so")
        # As long as this verb runs, dozens of steps fit in.
        assert realm.cli_json("status")["training"]["status"] == "paused"
        now = realm.position()
        assert now is not None
        # It beats while it rests; everything else stands still.
        assert now._replace(beats=here.beats) == here, "it made a step while it was paused"
        realm.wish_by(back, "resume")
        realm.wait(lambda: not is_paused(realm), f"the resume by {back}")
    realm.wait_until_done(1)
    assert [entry for entry in realm.taught() if entry[0] == "patience.jsonl"] == [
        ("patience.jsonl", "learned", LONG_ROWS)
    ]
    quest = realm.quest("patience")
    assert quest is not None
    assert (quest.record.rows_learned, quest.record.attempts) == (LONG_ROWS, 1)


def test_save_makes_a_checkpoint_in_the_middle_of_a_quest_which_goes_on(realm: LivingRealm) -> None:
    """A8: a checkpoint that was asked for is in the ledger like any other; A7: it takes the rolling slot."""
    done = len(realm.lane("recently_completed"))
    ordinal = next_ordinal(realm)
    realm.drop("memory", LONG_ROWS, start=10_000)
    realm.wait_in_quest(ordinal)
    for way in WAYS:
        before = realm.latest_in_ledger()["step"]
        with realm.trainer_held():
            realm.wish_by(way, "save")
            realm.wait(lambda: not (realm.paths.control / ".save").exists(), f"the wish by {way} taken")
        realm.wait(lambda step=before: realm.latest_in_ledger()["step"] > step, f"the checkpoint by {way}")
        assert realm.latest_in_ledger()["training_file"] == "memory.jsonl"
        here = realm.position()
        assert here is not None
        realm.wait_in_quest(ordinal, at_least=here.quest_step + 5)
    realm.wait_until_done(done + 1)
    # HEAD, what stands in for it, and where they are others, the best by each loss.
    realm.wait(lambda: 2 <= len(realm.checkpoints()) <= 4, "what may stay of the rolling slot")


def test_a_skipped_quest_ends_in_failed_and_the_next_one_trains(realm: LivingRealm) -> None:
    """B14: skip is obeyed while a quest trains, the skipped one is not taken again, and no later quest is hit."""
    done = len(realm.lane("recently_completed"))
    ordinal = next_ordinal(realm)
    for number, way in enumerate(WAYS):
        realm.drop(f"dull_{way}", LONG_ROWS, start=20_000 + LONG_ROWS * number)
        realm.wait(lambda name=f"dull_{way}": realm.quest(name), f"dull_{way} on the board")
    realm.drop("bright", 50, start=90_000)
    realm.wait(lambda: realm.quest("bright"), "bright on the board")
    for number, way in enumerate(WAYS):
        realm.wait_in_quest(ordinal + number)
        with realm.trainer_held():
            realm.wish_by(way, "skip")
            realm.wait(lambda: not (realm.paths.control / ".skip").exists(), f"the wish by {way} taken")
        realm.wait(lambda at=ordinal + number: at in realm.history().ends, f"the end by {way}")
    realm.wait_until_done(done + 1)

    history = realm.history()
    for number, way in enumerate(WAYS):
        end = history.ends[ordinal + number]
        quest = realm.quest(f"dull_{way}")
        assert quest is not None
        assert (end.outcome, quest.lane, quest.record.outcome) == ("skipped", "failed", "skipped")
        assert quest.record.rows_learned == history.rows_learned(ordinal + number) == 8 * end.quest_step
        assert 0 < end.quest_step < history.claims[ordinal + number].steps
        assert history.claims[ordinal + number].quest_id == quest.quest_id
    assert history.outcome_of(ordinal + len(WAYS)) == "learned"
    assert history.next_ordinal == ordinal + len(WAYS) + 1
    assert realm.events("quest_skipped")


def test_a_skip_with_nothing_to_skip_is_refused_or_used_up_and_hits_no_later_quest(realm: LivingRealm) -> None:
    """B14: a left-over .skip never skips an unrelated quest."""
    done = len(realm.lane("recently_completed"))
    refused = realm.http("POST", "/api/training/control", {"action": "skip"})
    assert (refused.status_code, refused.json()["error"]) == (409, "conflict")
    realm.wish_by("file", "skip")
    realm.wait(lambda: not (realm.paths.control / ".skip").exists(), "the skip used up")
    realm.drop("innocent", 40, start=100_000)
    realm.wait_until_done(done + 1)
    assert realm.taught()[-1] == ("innocent.jsonl", "learned", 40)


def test_stop_saves_and_ends_the_trainer_and_the_quest_is_resumed_first(realm: LivingRealm) -> None:
    """B9: stop stops, and nothing starts again by itself. B17: the quest stays in processing/ and goes on first."""
    done = len(realm.lane("recently_completed"))
    ordinal = next_ordinal(realm)
    realm.drop("saga", LONG_ROWS, start=110_000)
    deeper = 10
    for way in ("file", "cli"):
        deeper = realm.wait_in_quest(ordinal, at_least=deeper).quest_step + 5
        trainer = realm.trainer()
        assert trainer is not None
        with realm.trainer_held():
            realm.wish_by(way, "stop")
        realm.wait(lambda: realm.trainer() is None, f"the stop by {way}")
        realm.wait(lambda: realm.status()["status"] == "stopped", "the status stopped")
        assert realm.event_since_up("trainer_stopped")
        assert [path.name for path in realm.lane("processing")] == ["saga.jsonl"]
        here = realm.position()
        assert here is not None
        assert here.phase is Phase.EXITED
        assert realm.checkpoints()[-1].name == realm.latest_in_ledger()["canonical_name"]
        if way == "file":
            # It waits at a higher priority, and the sites take it in; yet nothing is trained.
            realm.drop("urgent", 30, priority="high", start=120_000)
            realm.wait(lambda: realm.lane("high"), "urgent waits")
            assert realm.http("GET", "/api/training/queue").json()["queues"]["high"]["files"] == ["urgent.jsonl"]
            assert realm.trainer() is None
        if way == "file":
            realm.wish_by("cli", "resume")
        else:
            # Deleting the wish by hand takes it back, as resume does.
            (realm.paths.control / ".stop").unlink()
    realm.wait_until_done(done + 2)
    assert realm.taught()[ordinal - 1 :] == [("saga.jsonl", "learned", LONG_ROWS), ("urgent.jsonl", "learned", 30)]


def test_wishes_set_before_the_start_are_honoured(realm: LivingRealm) -> None:
    """B15: nothing is cleared at start. B12, B13: SIGTERM while paused ends the realm at once and cleanly."""
    done = len(realm.lane("recently_completed"))
    ordinal = next_ordinal(realm)
    realm.drop("riddle", LONG_ROWS, start=130_000)
    realm.wait_in_quest(ordinal)
    realm.wish("pause")
    realm.wait(lambda: is_paused(realm), "the pause")
    assert realm.stop() == 0

    # Still paused; and the running quest is to be skipped as soon as there is a trainer again.
    assert [path.name for path in realm.lane("processing")] == ["riddle.jsonl"]
    realm.wish("skip")
    realm.drop("answer", 40, start=140_000)
    realm.up()
    realm.wait(lambda: is_paused(realm), "the pause of last time")
    assert realm.http("GET", "/api/training/status").json()["status"] == "paused"
    realm.wish_by("cli", "resume")
    realm.wait_until_done(done + 1)
    assert [outcome for _, outcome, _ in realm.taught()[ordinal - 1 :]] == ["skipped", "learned"]

    realm.wish_by("http", "stop")
    realm.wait(lambda: realm.status()["status"] == "stopped", "the stop over HTTP")
    assert realm.stop() == 0
    realm.up(awake=False)
    realm.wait(lambda: realm.status()["status"] == "stopped", "the stop of last time")
    assert realm.trainer() is None
    assert realm.stop() == 0
