"""A quest that kills its trainer again and again is withdrawn; the others do not suffer for it."""

from __future__ import annotations

from tests.acceptance.conftest import Founder
from tests.acceptance.nursery import Nursery

FILES = {"before": 60, "poison": 80, "after": 50}


def test_a_quest_that_kills_the_trainer_three_times_in_one_place_is_withdrawn(
    found_realm: Founder, nursery: Nursery
) -> None:
    """B17, C5: three deaths at the same step, the quest goes to failed/ with the reason, a retry is a new claim."""
    realm = found_realm(nursery=nursery)
    realm.wish("pause")
    # Every trainer that reaches the fifth step of this quest is killed there, as the OOM killer kills.
    realm.up(awake=False, REALM_CRASH_AT="battle.step.poison.jsonl:5")
    for number, (name, rows) in enumerate(FILES.items()):
        realm.drop(name, rows, start=1000 * number)
        realm.wait(lambda name=name: realm.quest(name), f"{name} on the board")
    realm.wish("resume")
    realm.wait_until_done(2, timeout=150)

    assert len(realm.events("trainer_died")) == 3
    poison = realm.quest("poison")
    assert poison is not None
    assert [event["data"]["quest_id"] for event in realm.events("quest_strike")] == [poison.quest_id] * 3
    assert (poison.lane, poison.record.outcome) == ("failed", "withdrawn")
    assert poison.record.reason is not None
    assert "died 3 times" in poison.record.reason
    assert "SIGKILL" in poison.record.reason
    assert {(strike.ordinal, strike.quest_step) for strike in poison.record.strikes} == {(2, 4)}
    # Nothing of it is in the weights that survived, and the others were learned once.
    assert realm.taught() == [
        ("before.jsonl", "learned", 60),
        ("poison.jsonl", "withdrawn", 0),
        ("after.jsonl", "learned", 50),
    ]
    assert realm.weights()[0] == 8 + 7
    # Paused, as the new claim would die at the same place.
    realm.wish("pause")
    realm.wait(lambda: realm.status()["status"] == "paused", "the pause")
    assert realm.cli_json("quest", "retry", "poison.jsonl")["success"] is True
    retried = realm.quest("poison")
    assert retried is not None
    assert retried.quest_id != poison.quest_id
    assert retried.record.strikes == [], "those of the old claim do not count against the new one"
