"""What the daemon makes of a trainer that ran out of memory, and of one that went back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from arena.command.beginning import begin_of
from arena.heroes import load_hero
from arena.journal import MicroBatchSize
from arena.protocol import RanOut, WentBack
from arena.quest_board import QuestBoard
from arena.supervision.position_file import Phase, Position
from arena.supervision.strike_bench import StrikeBench
from arena.supervision.trainer_process import Death
from core.db import Database
from core.paths import RealmPaths
from core.saga import MIGRATIONS, open_saga
from core.settings import Settings
from tests.arena.annals.past import Past
from tests.arena.quest_makers import NOW
from tests.arena.supervision.test_full_disk import Desk


@pytest.fixture
def desk(paths: RealmPaths) -> Iterator[Desk]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Desk(paths, database)


def test_a_death_for_want_of_memory_is_told_to_the_next_child_and_no_other_death_is(paths: RealmPaths) -> None:
    """D7: also when the step was one that is replayed, for which nobody takes a strike."""
    past = Past(paths)
    quest_id = past.begin("wide", 40)
    past.journal.append(MicroBatchSize(seq=3, at=NOW.isoformat(), ordinal=1, quest_step=2, tokens=99))
    board = QuestBoard(paths)
    died = Death(
        pid=41, clean=False, cause="the kernel", position=Position(Phase.STEPPING, 1, 4, 1, 9, 41), out_of_memory=True
    )
    with open_saga(paths) as saga:
        bench = StrikeBench(board, saga, past.journal.path)
        bench.judge(replace(died, out_of_memory=False), NOW)
        bench.judge(replace(died, position=Position(Phase.WAITING, 1, 4, 1, 9, 41)), NOW)
        assert bench.ran_out is None
        bench.judge(died, NOW)
        assert bench.ran_out == RanOut(ordinal=1, quest_step=4, tokens=99)
        settings, hero = Settings(), load_hero(paths, "seedling")
        begin = begin_of(paths, settings, hero, "seedling", board, [], None, bench.ran_out)
    assert begin.ran_out == bench.ran_out
    found = board.find(quest_id)
    assert found is not None
    assert found.record.strikes == []


async def test_the_ledger_and_the_saga_tell_of_steps_that_were_taken_back(desk: Desk, paths: RealmPaths) -> None:
    """B18: nothing that is taken back is the newest or the best checkpoint any more."""
    past = Past(paths)
    past.begin("first", 40)
    past.step_on(4)
    before = past.save(loss=2.0)
    past.step_on(4)
    broken = past.save(loss=0.1)
    past.store.set_head(before)
    past.store.move_to_branch(broken, "healed-7")
    back = WentBack(
        checkpoint=before,
        step=4,
        left_behind=[broken],
        branch="healed-7",
        reason="first.jsonl: it spiked",
        quest_id="q",
    )
    await desk.hear(back, back)
    assert desk.report.checkpoint == before
    assert [record.canonical_name for record in desk.ledger.list_all()] == [before]
    history = paths.ledger_history.read_text()
    assert history.count("first.jsonl: it spiked; kept in branches/healed-7") == 1
    assert f"Learning goes back to {before} (step 4): first.jsonl: it spiked" in desk.saga.latest_events(1)[0].message
