"""Which quests a checkpoint has learned, and which checkpoints come before and after it, also over rewinds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from arena.annals.lineage import learned_until, lineage_of
from arena.annals.rewinding import Rewinder
from arena.hall.standing import standing_still
from arena.journal import Dropped, read_history
from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from tests.arena.annals.past import NOW, Past


def lineage(paths: RealmPaths, reference: str, scope: str = "since") -> dict[str, Any]:
    return lineage_of(paths, CheckpointLedger.of(paths), reference, scope=scope, offset=0, limit=50)


def go_back(paths: RealmPaths, reference: str, minutes: int = 1) -> None:
    with standing_still(paths, "a test"):
        Rewinder(paths).rewind(reference, now=NOW + timedelta(minutes=minutes), requeue=False)


@pytest.fixture
def names(paths: RealmPaths) -> list[str]:
    """Seven checkpoints, each two steps on; the quests have five steps each, and the second is skipped after three."""
    past = Past(paths)
    found = []
    past.begin("one")
    for number in range(7):
        if past.cursor.ordinal == 2 and past.cursor.quest_step >= 3:
            past.skip()
            past.begin("three", rows=60)
        left = past.journal.history.steps_of(past.cursor.ordinal) - past.cursor.quest_step
        past.step_on(min(2, left))
        if past.cursor.ordinal == 2 and past.cursor.quest_step == 0:
            past.begin("two")
        found.append(past.save(loss=1 / (number + 1)))
    return found


def test_the_stretches_between_checkpoints_add_up_to_all(paths: RealmPaths, names: list[str]) -> None:
    told = [lineage(paths, name) for name in names]
    assert [each["parent"] and each["parent"]["name"] for each in told] == [None, *names[:-1]]
    assert [[node["name"] for node in each["children"]] for each in told] == [*[[name] for name in names[1:]], []]
    for what in ("rows", "steps"):
        summed = [sum(each["since"][what] for each in told[: end + 1]) for end in range(len(told))]
        assert summed == [each["total"][what] for each in told]
    everything = lineage(paths, names[-1], "all")
    assert [quest["ordinal"] for quest in everything["quests"]] == [3, 2, 1]
    assert sum(quest["rows"] for quest in everything["quests"]) == everything["total"]["rows"]
    assert [quest["outcome"] for quest in everything["quests"]] == ["in progress", "skipped", "learned"]


def test_where_one_was_deleted_the_next_one_has_its_share(paths: RealmPaths, names: list[str]) -> None:
    """The rolling slot keeps few: what those in between have learned counts for the one that is left."""
    before = [lineage(paths, name)["since"]["steps"] for name in names]
    CheckpointLedger.of(paths).forget(names[3], "a test")
    (paths.current_model / names[3]).rename(paths.current_model / ".trash-of-a-test")
    told = lineage(paths, names[4])
    assert told["parent"]["name"] == names[2]
    assert told["since"]["steps"] == before[3] + before[4]


def test_a_branch_goes_on_from_where_it_was_parted(paths: RealmPaths, names: list[str]) -> None:
    """Two rewinds: each branch hangs where it belongs, and the line that was gone on with beside it."""
    go_back(paths, names[4])
    past = Past(paths).go_on()
    past.cursor.next_quest()  # the second one ends where the hero went back to
    past.learn("other")
    other = past.save()
    go_back(paths, names[1], minutes=2)
    here = lineage(paths, names[1])
    assert (here["parent"]["name"], [node["name"] for node in here["children"]]) == (names[0], [names[2]])
    assert here["children"][0]["branch"] is not None
    parted = lineage(paths, names[4])
    assert {node["name"] for node in parted["children"]} == {names[5], other}
    assert lineage(paths, names[5])["parent"]["name"] == names[4]
    assert [quest["file"] for quest in lineage(paths, other)["quests"]] == ["other.jsonl"]


def test_rows_of_steps_that_taught_nothing_are_not_learned(paths: RealmPaths) -> None:
    past = Past(paths)
    past.begin("one")
    history = past.journal.history
    past.journal.append(Dropped(seq=history.seq + 1, at=NOW.isoformat(), ordinal=1, quest_step=1, lines=[5, 6, 7, 8]))
    past.step_on(3)
    name = past.save()
    (quest,) = lineage(paths, name)["quests"]
    assert (quest["rows"], quest["steps"]) == (8, 3)
    past.step_on()
    told = learned_until(read_history(past.journal.path), past.cursor)
    assert [(each.rows, each.steps) for each in told.values()] == [(16, 5)]


def test_a_damaged_journal_is_told_of_and_hides_nothing_else(paths: RealmPaths, names: list[str]) -> None:
    """F16: the page shows the rest of the checkpoint."""
    (paths.current_model / names[2] / "cursor.json").write_text("{")
    told = lineage(paths, names[2])
    assert (told["known"], told["quests"], told["checkpoint"]["name"]) == (False, [], names[2])
    assert told["problem"]
    assert lineage(paths, names[3])["parent"]["name"] == names[1]
