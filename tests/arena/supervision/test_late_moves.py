"""Ends of quests that are noted late or told again: nothing is moved from under a replay, and no story is rewritten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from arena.command.beginning import begin_of
from arena.heroes import load_hero
from arena.protocol import Begin, Progress, QuestEnded, Ready, StepPoint
from arena.quests import Quest, sidecar_of
from core.checkpoint_ledger import write_sidecar
from core.checkpoint_records import CheckpointRecord
from core.db import Database
from core.paths import RealmPaths
from core.saga import MIGRATIONS
from core.settings import Settings
from tests.arena.quest_makers import take
from tests.arena.supervision.test_full_disk import Desk, claimed, ended, saved


@pytest.fixture
def desk(paths: RealmPaths) -> Iterator[Desk]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Desk(paths, database)


def begin(desk: Desk, paths: RealmPaths) -> Begin:
    return begin_of(paths, Settings(), load_hero(paths, "seedling"), "seedling", desk.board, [], None)


def ready(*, replay: list[str], covered: list[QuestEnded]) -> Ready:
    return Ready(step=4, checkpoint="c", parameters=1, device="cpu", replay=replay, covered=covered)


def steps(quest: Quest, losses: list[float], done: int = 0) -> Progress:
    """Frames of the steps behind the first `done`."""
    points = [StepPoint(done + number, loss, 0.1, 1.0, 10, 0.1) for number, loss in enumerate(losses, 1)]
    return Progress(
        step=done + len(losses), quest_id=quest.quest_id, epoch=0, quest_step=done + len(losses), quest_steps=100,
        rows_learned=1, rows_total=1, replaying=False, points=points,
    )  # fmt: skip


async def test_a_quest_that_is_learned_again_stays_where_the_next_trainer_was_told_that_it_lies(
    desk: Desk, paths: RealmPaths
) -> None:
    """A23: moved late, it was found by no replay, and went into the journal as lost although it had been learned."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), steps(quest, [2.0, 1.0]))
    desk.fill(True)
    await desk.hear(ended(quest))
    desk.events.forget_trainer()
    (told,) = begin(desk, paths).open_quests
    desk.fill(False)
    await desk.events.make_up()
    assert Path(told.path).exists()
    await desk.hear(ready(replay=[quest.quest_id], covered=[]), claimed(quest), ended(quest), saved(paths, quest))
    (sealed,) = desk.board.quests("recently_completed")
    assert (sealed.quest_id, sealed.record.loss_first, sealed.record.loss_last) == (quest.quest_id, 2.0, 1.0)


async def test_an_end_that_was_not_noted_is_told_by_the_next_trainer_whose_checkpoint_covers_it(desk: Desk) -> None:
    """B30: what is forgotten with a trainer comes back with the next one, and is told in the saga once."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), steps(quest, [2.0, 1.0]))
    desk.fill(True)
    await desk.hear(ended(quest))
    desk.events.forget_trainer()
    desk.fill(False)
    await desk.hear(ready(replay=[], covered=[replace(ended(quest), last_step=0)]))
    (sealed,) = desk.board.quests("recently_completed")
    assert (sealed.record.outcome, sealed.record.loss_last, desk.told("quest_sealed")) == ("learned", 1.0, 1)
    assert not desk.events.busy
    # Achievements are judged by what these events say.
    said = {event.kind: event.data or {} for event in desk.saga.events_after(0, 10_000)}
    assert said["quest_sealed"] == {"quest_id": quest.quest_id, "rows": 1, "loss_last": 1.0, "longest_row": None}
    assert said["trainer_ready"].keys() == {"step", "checkpoint"}


async def test_a_checkpoint_that_turns_out_torn_covers_nothing_any_more(desk: Desk, paths: RealmPaths) -> None:
    """Law 2: what is learned again is sealed by the checkpoint that holds it, and by no word of before."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), steps(quest, [2.0, 1.0]))
    desk.board.seal([quest.quest_id], now=datetime.now(UTC))
    await desk.hear(ready(replay=[quest.quest_id], covered=[]), claimed(quest), ended(quest))
    assert desk.board.seal([], now=datetime.now(UTC)) == []
    assert [each.quest_id for each in desk.board.quests("awaiting_seal")] == [quest.quest_id]


async def test_a_restart_does_not_rewrite_what_is_known_of_the_quests_that_await_their_seal(desk: Desk) -> None:
    """B30: the first of two quests got the losses of the second, the time of the restart, and no last step."""
    quests = []
    for name, losses in (("a.jsonl", [9.0, 3.0]), ("b.jsonl", [5.0, 1.0])):
        quest = desk.board.claim(take(desk.board, name))
        await desk.hear(claimed(quest), steps(quest, losses), ended(quest))
        quests.append(quest)
    known = {quest.quest_id: quest.record for quest in desk.board.quests("awaiting_seal")}
    assert [(record.loss_first, record.loss_last) for record in known.values()] == [(9.0, 3.0), (5.0, 1.0)]
    desk.events.forget_trainer()
    # As `arena.trainer.summoning` tells them: it has seen none of their steps.
    await desk.hear(ready(replay=[], covered=[replace(ended(quest), last_step=0) for quest in quests]))
    sealed = {quest.quest_id: quest.record for quest in desk.board.quests("recently_completed")}
    assert sealed == known
    assert all(record.last_step == 4 for record in sealed.values())


async def test_a_quest_that_was_skipped_before_its_first_step_has_no_losses_of_another(desk: Desk) -> None:
    first = desk.board.claim(take(desk.board, "a.jsonl"))
    await desk.hear(claimed(first), steps(first, [9.0, 3.0]), ended(first))
    skipped = desk.board.claim(take(desk.board, "b.jsonl"))
    await desk.hear(claimed(skipped), replace(ended(skipped), outcome="skipped", rows_learned=0))
    record = desk.board.quests("awaiting_seal")[-1].record
    assert (record.outcome, record.first_step, record.last_step) == ("skipped", None, None)
    assert (record.loss_first, record.loss_last) == (None, None)


async def test_the_rest_of_a_quest_that_was_cut_off_tells_no_first_loss(desk: Desk) -> None:
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), steps(quest, []), steps(quest, [0.5], done=7), ended(quest))
    record = desk.board.quests("awaiting_seal")[0].record
    assert (record.first_step, record.loss_first, record.loss_last) == (0, None, 0.5)


async def test_a_quest_moved_to_failed_while_it_is_learned_tells_what_the_weights_hold_of_it(desk: Desk) -> None:
    """F5: its record said withdrawn, and of the rows that were learned nothing for ever."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), steps(quest, [2.0, 1.0]))
    target = desk.board.paths.lane("failed") / quest.name
    sidecar_of(quest.path).rename(sidecar_of(target))
    quest.path.rename(target)
    desk.board.sweep(now=datetime.now(UTC))
    await desk.hear(ended(quest), replace(ended(quest), rows_learned=7))
    (found,) = desk.board.quests("failed")
    assert (found.record.outcome, found.record.reason) == ("withdrawn", "moved to failed/ by hand")
    assert (found.record.rows_learned, found.record.last_step, found.record.loss_last) == (1, 4, 1.0)
    assert desk.events.unsealed_since == {}


async def test_a_checkpoint_of_a_trainer_that_was_killed_before_it_told_of_it_enters_the_ledger(
    desk: Desk, paths: RealmPaths
) -> None:
    """A24: it was missing in the ledger's files until the next start of the realm."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    desk.ledger.reconcile(now=datetime.now(UTC))
    record = CheckpointRecord.from_json(saved(paths, quest).record)
    assert record is not None
    write_sidecar(Path(record.path), record)
    await desk.hear(ready(replay=[], covered=[]))
    for file in (paths.ledger_index, paths.ledger_history):
        assert record.canonical_name in file.read_text()
    assert desk.told("ledger_reconciled") == 1
