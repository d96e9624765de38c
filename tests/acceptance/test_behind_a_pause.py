"""Files that wait behind a pause: judged, brought into lane order, and then each learned exactly once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import chat_rows, write_quest

ROWS = {"high": 9, "normal": 16, "low": 5}
MAX_LENGTH = 128
"""That of the sprite; its tokens are bytes."""


def row(question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns})


@pytest.fixture(scope="module")
def realm(found_shared_realm: Founder, nursery: Nursery) -> LivingRealm:
    """A realm that is paused from its start on, for the tests in their order."""
    realm = found_shared_realm(nursery=nursery)
    realm.wish("pause")
    realm.up()
    return realm


def test_thirty_files_dropped_at_once_are_trained_in_lane_order_each_exactly_once(realm: LivingRealm) -> None:
    """C1, C4: names and sidecars survive every move. B15: the pause set before the start holds them all back."""
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


def test_only_what_can_be_learned_whole_is_learned_and_in_order(realm: LivingRealm) -> None:
    """C14: held-out rows. C15: one row of 65 000 tokens. C17: answers that the cut at max_length takes away."""
    realm.wish("pause")
    realm.wait(lambda: realm.status()["status"] == "paused", "the pause")
    before = len(realm.claims())
    held_out = chat_rows(3, start=900_000)
    write_quest(realm.paths.validation / "exam.jsonl", held_out)
    good = [f"good_{number:02}" for number in range(25)]
    for number, name in enumerate(good[:12]):
        realm.drop(name, 8, start=100_000 + 1000 * number)
    plenty = chat_rows(60, start=500_000)
    realm.drop("cut", [*plenty[:3], row("?", "a" * 200), *plenty[3:], row("q" * 200, "lost")], priority="high")
    realm.drop("giant", [*plenty, row("?", "word " * 13_000)])
    realm.drop("leaked", [*plenty[:10], held_out[1]], priority="low")
    for number, name in enumerate(good[12:], 12):
        realm.drop(name, 8, start=100_000 + 1000 * number)
    # They are judged although nothing is claimed yet: the trainer must find them proven.
    reports = realm.paths.lane("failed").glob
    realm.wait(lambda: len(list(reports("*.rejection.json"))) == 3, "three refused quests")
    assert reasons(realm, "cut") == [(4, "the answer has 201 tokens"), (62, "nothing is left of the answer")]
    assert reasons(realm, "giant") == [(61, "holds 0.1 MB of text")]
    assert reasons(realm, "leaked") == [(11, "held out in data/validation/exam.jsonl")]
    assert len(realm.claims()) == before
    realm.wish("resume")
    realm.wait_until_done(before + len(good))

    assert sorted(name for name, _, _ in realm.taught()[before:]) == [f"{name}.jsonl" for name in good]
    done = [path for path in realm.lane("recently_completed") if path.name.startswith("good_")]
    arrival = sorted(done, key=lambda path: (path.stat().st_mtime_ns, path.name))
    assert [claim.name for claim in realm.claims()[before:]] == [f"{path.name[:7]}.jsonl" for path in arrival]
    assert [event["data"]["quest_id"] for event in realm.events("quest_started")] == [
        claim.quest_id for claim in realm.claims()
    ]
    learned = realm.quest(good[0])
    assert learned is not None
    assert learned.record.proof is not None
    assert learned.record.proof["tokens"]["looked_at"] == "every row (8)"
    assert learned.record.proof["judged_by"]["max_length"] == MAX_LENGTH
    assert learned.record.lineage["validator_versions"]["token_validator"] == "1.0.0"
    assert realm.stop() == 0


def reasons(realm: LivingRealm, stem: str) -> list[tuple[int, str]]:
    """Line of each reason and the words that are expected of it, as they stand in the report and in the record."""
    quest = realm.quest(stem)
    assert quest is not None
    assert (quest.lane, quest.record.outcome) == ("failed", "rejected")
    report = json.loads(quest.path.with_name(quest.name + ".rejection.json").read_text())
    words = ("the answer has 201 tokens", "nothing is left of the answer", "holds 0.1 MB of text",
             "held out in data/validation/exam.jsonl")  # fmt: skip
    return [(reason["line"], next(word for word in words if word in reason["message"])) for reason in report["reasons"]]


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
