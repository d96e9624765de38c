"""Clocks that jump a day, forward or back: no wait, no order and no name depends on the time of day being right."""

from __future__ import annotations

import ast
from datetime import datetime, timedelta

import pytest

from arena.quests import QUEST_ID, new_quest_id
from core.checkpoint_records import checkpoint_name, checkpoint_order
from core.paths import CHECKOUT, RealmPaths
from tests.arena.quest_makers import NOW
from vault.checkpoints import STAGING, CheckpointStore

ROOMS = ("core", "vault", "guild", "arena", "watchtower", "tavern")
DAY = timedelta(days=1)


COMPARES_WITH_FILES = {"arena/lanes/listing.py"}
"""Asks whether a directory's time is of just now; a clock that was set back makes it look once more than it had to."""


def test_nothing_waits_by_the_wall_clock() -> None:
    """What stands in files is written by `datetime`, and waits are monotonic: `time.time` has no use here."""
    asked = {
        file.relative_to(CHECKOUT).as_posix()
        for room in ROOMS
        for file in (CHECKOUT / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in {("time", "time"), ("time", "time_ns"), ("datetime", "utcnow")}
    }
    assert asked == COMPARES_WITH_FILES


def test_quest_ids_are_unique_while_the_clock_stands_still_or_goes_back() -> None:
    """C5: two quests that came at one moment, an hour repeated, a clock that was set back."""
    ids = [new_quest_id(NOW - hours * timedelta(hours=1)) for hours in (0, 1, 0, 25, 0) for _ in range(200)]
    assert len(set(ids)) == len(ids)
    assert all(QUEST_ID.fullmatch(each) for each in ids)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_the_newest_checkpoint_is_the_one_of_the_last_step_and_head_the_one_saved_last(
    paths: RealmPaths, jump: timedelta
) -> None:
    """D17, A24: neither names nor times of directories decide what is resumed."""
    store = CheckpointStore(paths.current_model)

    def save(step: int, now: datetime) -> str:
        name = checkpoint_name(step, now)
        staging = paths.current_model / f"{STAGING}{name}-{now:%H%M%S}"
        staging.mkdir()
        (staging / "model.safetensors").write_bytes(f"{step} {now}".encode())
        store.publish(staging, name, now=now)
        return name

    first, second = save(10, NOW), save(20, NOW + jump)
    assert sorted([second, first], key=checkpoint_order) == [first, second]
    assert store.head() == second
    again = save(20, NOW + jump - DAY)
    assert store.head() == again
    found, quarantined = store.newest_valid()
    assert found is not None
    assert (found.name, quarantined) == (again, [])
