"""What the page of a real realm shows while its daemon is killed: `benchmarks.page_truth` in small."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.busy_realm import BusyRealm
from benchmarks.page_truth import watch_pages
from benchmarks.page_watch import Row, differences_of, faults_of
from tests.acceptance.nursery import Nursery
from tests.acceptance.undying_realm import KILLED

SECONDS = 60.0
"""From the first step on; `make soak` watches ten minutes."""
KILL_AFTER_SECONDS = 20.0


@pytest.mark.timeout(300)
def test_no_number_goes_to_0_or_back_while_the_daemon_is_killed(tmp_path: Path) -> None:
    """F1, F4, F9: steps, level, gold and rows outlast a restart; a second viewer and a reload show the same."""
    seen = asyncio.run(watch_pages(tmp_path, seconds=SECONDS, kills_at=[KILL_AFTER_SECONDS]))
    assert seen.faults == []
    assert seen.kills == 1
    assert seen.reloads >= 1
    assert seen.xp > seen.xp_at_kills[0] > 0
    assert {row.values["link"] for row in seen.first} >= {"open", "away"}, "the kill was not seen"


def test_a_realm_tells_nothing_before_it_knows_what_was_learned(tmp_path: Path, nursery: Nursery) -> None:
    """F1: its sites were open before its folders were in order, and told of a hero without steps for a moment."""
    realm = BusyRealm(tmp_path, nursery=nursery)
    try:
        with socket.create_server(("127.0.0.1", urlsplit(realm.url).port or 0)):
            # It gets as far as that, where the port that is taken is not met yet.
            realm.launch(REALM_CRASH_AT="start.swept")
            assert realm.wait_for_end() == KILLED
    finally:
        realm.close()


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ({"hero-xp": "1,234 steps (XP)."}, {"hero-xp": "1,189 steps (XP)."}, "hero-xp went back from 1234 to 1189"),
        ({"hero-xp": "12 steps (XP)."}, {"hero-xp": "Steps (XP) not known yet."}, "hero-xp was known and is 'Steps"),
        ({"stat-gold": "300"}, {"stat-gold": "–"}, "stat-gold was known and is '–'"),
        ({"fact-loss": "0.412"}, {"fact-loss": "0.0000"}, "fact-loss went to 0"),
        ({"fact-rows": "40 / 80"}, {"fact-rows": "0 / 80"}, "fact-rows of a.jsonl went back from 40 to 0"),
        ({"state": "Training"}, {"state": "undefined"}, "state is 'undefined'"),
    ],
)
def test_what_is_no_truth_is_found(before: dict[str, str], after: dict[str, str], fault: str) -> None:
    quest = {"quest-name": "a.jsonl"}
    assert fault in faults_of([Row("1", quest | before), Row("2", quest | after)])[0]
    assert faults_of([Row("1", quest | before), Row("2", {"quest-name": "b.jsonl"} | before)]) == []


def test_two_viewers_of_one_moment_must_see_the_same() -> None:
    first = [Row("1", {"percent": "4 %"}), Row("2", {"percent": "5 %", "state": "Training"})]
    assert differences_of(first, [Row("2", {"percent": "5 %", "state": "Away"}), Row("3", {"percent": "6 %"})]) == []
    assert differences_of(first, [Row("2", {"percent": "4 %"})]) == ["percent of 2: '5 %' and '4 %'"]
