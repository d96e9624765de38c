"""Who is to blame for a death: the quest that was being stepped, or nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from arena.journal import JOURNAL_NAME
from arena.quest_board import QuestBoard
from arena.supervision.position_file import Phase, Position
from arena.supervision.strike_bench import StrikeBench
from arena.supervision.trainer_process import Death
from core.paths import RealmPaths
from core.saga import Saga, open_saga
from tests.arena.annals.past import Past
from tests.arena.quest_makers import NOW, take

HUNG = "hung: no sign of life for 120 s in a step (after step 0 of quest 1), at x.py:5 (f)"


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga


@pytest.mark.parametrize(
    ("phase", "furthest", "interrupted", "strikes"),
    [
        (Phase.STEPPING, 0, False, 1),
        (Phase.PREPARING, 0, False, 1),
        # It is replayed: the same step went well before.
        (Phase.STEPPING, 5, False, 0),
        # Saving, evaluating and waiting are not its doing.
        (Phase.WAITING, 0, False, 0),
        (Phase.LOADING, 0, False, 0),
        # We killed it, as it did not end in time when the realm did.
        (Phase.STEPPING, 0, True, 0),
    ],
)
def test_a_hung_or_killed_trainer_is_charged_to_the_quest_that_was_stepped_and_to_no_other(
    paths: RealmPaths, saga: Saga, phase: Phase, furthest: int, interrupted: bool, strikes: int
) -> None:
    """A28, B17: a good quest is never failed for what is not its fault."""
    board = QuestBoard(paths)
    quest = board.claim(take(board, "x.jsonl"))
    death = Death(pid=41, clean=False, cause=HUNG, position=Position(phase, 1, 0, 1, furthest, 41))
    StrikeBench(board, saga, paths.current_model / JOURNAL_NAME).judge(replace(death, interrupted=interrupted), NOW)
    found = board.find(quest.quest_id)
    assert found is not None
    assert [strike.cause for strike in found.record.strikes] == [HUNG] * strikes
    assert [event.kind for event in saga.latest_events(5)] == ["quest_strike"] * strikes
    assert (found.lane, found.record.outcome) == ("processing", None)


def died_preparing(ordinal: int) -> Death:
    return Death(pid=41, clean=False, cause=HUNG, position=Position(Phase.PREPARING, ordinal, 0, 1, 5, 41))


def test_a_quest_that_could_not_be_moved_bears_its_own_deaths_and_not_the_one_before(
    paths: RealmPaths, saga: Saga
) -> None:
    """A28: where `awaiting_seal/` took nothing, a learned quest was withdrawn for what the next one did; and where
    `processing/` did not, nobody was, and the trainer died of it for ever."""
    board, past = QuestBoard(paths), Past(paths)
    bench = StrikeBench(board, saga, paths.current_model / JOURNAL_NAME)
    over, told = past.begin("over"), take(board, "told.jsonl")
    board.promise(told, behind=over)
    for _ in range(3):
        bench.judge(died_preparing(2), NOW)
    found = {quest_id: board.find(quest_id) for quest_id in (over, told.quest_id)}
    assert [len(quest.record.strikes) for quest in found.values() if quest] == [0, 3]
    assert [(quest.lane, quest.record.outcome) for quest in found.values() if quest] == [
        ("processing", None), ("failed", "withdrawn")
    ]  # fmt: skip
    assert board.promised() is None


def test_a_death_in_the_preparation_of_nothing_known_is_charged_to_nobody(paths: RealmPaths, saga: Saga) -> None:
    """B17: the quest in `processing/` was begun before, under another ordinal."""
    board = QuestBoard(paths)
    over = Past(paths).begin("over")
    StrikeBench(board, saga, paths.current_model / JOURNAL_NAME).judge(died_preparing(2), NOW)
    found = board.find(over)
    assert found is not None
    assert found.record.strikes == []
