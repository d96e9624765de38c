"""From one quest to the next: whom the trainer is told of, when, and where the quests lie meanwhile."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from arena.command import claiming
from arena.command.beginning import begin_of
from arena.daemon import Daemon
from arena.heroes import load_hero
from arena.journal import JOURNAL_NAME, ClaimEntry, Genesis, Journal
from arena.protocol import Claimed, Progress, QuestEnded
from arena.quest_board import QuestBoard
from arena.quests import Quest, sidecar_of
from core.errors import Conflict
from core.files import Files
from core.paths import RealmPaths
from core.settings import Settings
from tests.arena.quest_makers import NOW, MortalFiles, drop, take
from tests.waiting import wait_until_async


class FillingDisk(Files):
    full = False

    def fsync(self, fd: int) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def claimed(quest: Quest) -> Claimed:
    return Claimed(quest_id=quest.quest_id, ordinal=1, rows=1, epochs=1, steps=1, first_step=0)


def ended(quest: Quest) -> QuestEnded:
    return QuestEnded(quest_id=quest.quest_id, ordinal=1, outcome="learned", rows_learned=1, last_step=1)


def last_step(quest: Quest) -> Progress:
    return Progress(
        step=4, quest_id=quest.quest_id, epoch=0, quest_step=4, quest_steps=4, rows_learned=1, rows_total=1,
        replaying=False, points=[],
    )  # fmt: skip


async def learning(daemon: Daemon, quest: Quest) -> None:
    """Until the quest is claimed, and lies where it belongs."""
    await daemon._claims._claim_next()
    await daemon._on_event(claimed(quest))
    await daemon._claims.follow()
    daemon.board.tidy()


def places(board: QuestBoard) -> dict[str, str]:
    return {row["file"]: row["lane"] for row in board.listing()}


async def test_the_next_quest_is_told_of_before_any_is_moved(daemon: Daemon) -> None:
    """Both moves take the disk ten times as long as all else between two quests."""
    first, second = take(daemon.board, "a.jsonl", mtime=1), take(daemon.board, "b.jsonl", mtime=2)
    await learning(daemon, first)
    await daemon._on_event(last_step(first))
    assert daemon._events.in_trainer == [first.quest_id, second.quest_id]
    assert places(daemon.board) == {"a.jsonl": "processing", "b.jsonl": "normal"}
    await daemon._on_event(ended(first))
    assert places(daemon.board) == {"a.jsonl": "awaiting_seal", "b.jsonl": "normal"}
    await daemon._on_event(claimed(second))
    await daemon._claims.follow()
    assert places(daemon.board) == {"a.jsonl": "awaiting_seal", "b.jsonl": "processing"}
    running = daemon.board.processing()
    assert running is not None
    assert running.record.attempts == 1


async def test_the_first_in_line_at_the_end_of_the_one_before_is_the_next(daemon: Daemon) -> None:
    """DESIGN section 4: a quest of high priority that comes during the last step is not overtaken by an earlier one."""
    first, _ = take(daemon.board, "a.jsonl", mtime=1), take(daemon.board, "b.jsonl", mtime=2)
    await learning(daemon, first)
    urgent = take(daemon.board, "urgent.jsonl", "high")
    await daemon._on_event(ended(first))
    assert daemon._events.in_trainer == [urgent.quest_id]


@pytest.mark.parametrize("wish", ["pause", "stop"])
async def test_a_trainer_that_shall_rest_is_told_of_no_quest(daemon: Daemon, wish: str) -> None:
    """B13: pause and stop hold from the next boundary on."""
    first = take(daemon.board, "a.jsonl", mtime=1)
    take(daemon.board, "b.jsonl", mtime=2)
    await learning(daemon, first)
    daemon.control_files.write(wish, "a test", now=NOW)
    await daemon._wishes.obey()
    await daemon._on_event(ended(first))
    assert daemon._events.in_trainer == []
    assert places(daemon.board) == {"a.jsonl": "awaiting_seal", "b.jsonl": "normal"}


async def test_a_quest_so_short_that_it_is_over_first_still_passes_through_processing(daemon: Daemon) -> None:
    quests = [take(daemon.board, f"{name}.jsonl", mtime=time) for time, name in enumerate("abc", 1)]
    await learning(daemon, quests[0])
    await daemon._on_event(ended(quests[0]))
    await daemon._on_event(claimed(quests[1]))
    await daemon._on_event(ended(quests[1]))
    assert daemon._events.in_trainer == [quests[2].quest_id]
    awaiting = {quest.name: quest.record.attempts for quest in daemon.board.quests("awaiting_seal")}
    assert awaiting == {"a.jsonl": 1, "b.jsonl": 1}


async def test_a_quest_that_the_trainer_was_told_of_is_not_taken_from_it(daemon: Daemon) -> None:
    """Removed in that moment, it was learned and its data were gone before a checkpoint covered them."""
    quest = take(daemon.board, "a.jsonl")
    await daemon._claims._claim_next()
    for action in ("remove", "move"):
        with pytest.raises(Conflict, match=r"a\.jsonl is about to be learned"):
            await daemon.reception.desk.quest_action(action, quest.quest_id, "low")
    await daemon.reception.desk.control("skip", "it runs, wherever it lies")
    await daemon._claims.let_go()
    assert places(daemon.board) == {"a.jsonl": "processing"}, "as for a trainer that died with it"


async def test_a_trainer_that_is_gone_leaves_the_quest_that_it_was_told_of_to_the_next(daemon: Daemon) -> None:
    """B30: a death while it is prepared is charged to it, and it is found in processing/."""
    first, second = take(daemon.board, "a.jsonl", mtime=1), take(daemon.board, "b.jsonl", mtime=2)
    await learning(daemon, first)
    await daemon._on_event(ended(first))
    await daemon._claims.let_go()
    assert places(daemon.board) == {"a.jsonl": "awaiting_seal", "b.jsonl": "processing"}
    daemon._events.forget_trainer()
    await daemon._claims._claim_next()
    assert daemon._events.in_trainer == [second.quest_id]


async def test_where_the_disk_lets_nothing_move_no_more_than_one_quest_is_told_of(daemon: Daemon) -> None:
    """A28: what is learned lies where it lay, is not claimed again, and goes on to its place once the disk lets it."""
    quests = [take(daemon.board, f"{name}.jsonl", mtime=time) for time, name in enumerate("abc", 1)]
    await learning(daemon, quests[0])
    disk = daemon.board._mover.files = FillingDisk()
    disk.full = True
    await daemon._on_event(ended(quests[0]))
    await daemon._on_event(claimed(quests[1]))
    await daemon._claims.follow()
    await daemon._on_event(ended(quests[1]))
    assert daemon._events.in_trainer == []
    assert daemon._events.busy, "until the ends of both are noted"
    assert places(daemon.board) == {"a.jsonl": "processing", "b.jsonl": "normal", "c.jsonl": "normal"}
    disk.full = False
    await daemon._events.make_up()
    assert places(daemon.board) == {"a.jsonl": "awaiting_seal", "b.jsonl": "awaiting_seal", "c.jsonl": "normal"}
    await daemon._claims.follow()
    await daemon._claims._claim_next()
    assert daemon._events.in_trainer == [quests[2].quest_id]


async def test_a_quest_begun_by_a_realm_that_was_killed_goes_on_where_it_waited(daemon: Daemon) -> None:
    """B17, law 3: killed after the trainer was told, the realm left it among those that wait; it was claimed again, or
    ended as lost."""
    board, quest = daemon.board, take(daemon.board, "a.jsonl")
    take(board, "b.jsonl")
    hero = load_hero(board.paths, "seedling")

    def begin() -> list[str]:
        return [each.path for each in begin_of(board.paths, Settings(), hero, "m", board, [], None).open_quests]

    assert begin() == []
    journal = Journal(board.paths.current_model / JOURNAL_NAME)
    at, settings = NOW.isoformat(), begin_of(board.paths, Settings(), hero, "m", board, [], None).defaults
    journal.append(Genesis(seq=1, at=at, hero="h", base_model="m", weights="w"))
    journal.append(
        ClaimEntry(
            seq=2, at=at, ordinal=1, quest_id=quest.quest_id, name=quest.name, content_hash=quest.record.content_hash,
            schema_id="chat_sft_v1", rows=1, settings=settings,
        )
    )  # fmt: skip
    assert begin() == [str(quest.path)]
    daemon._events.in_trainer = [quest.quest_id]
    await daemon._on_event(claimed(quest))
    await daemon._claims.follow()
    assert places(board) == {"a.jsonl": "processing", "b.jsonl": "normal"}


async def test_what_moves_left_behind_is_tidied_up_while_a_proof_is_waited_for(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C2: put off for the gate, it was never looked at again where the gate could not work."""
    monkeypatch.setattr(claiming, "LONGEST_CLAIM_SECONDS", 0.05)
    quest = take(daemon.board, "a.jsonl")
    take(daemon.board, "b.jsonl")
    daemon._claims._assay = lambda: daemon._assay  # which does not run
    daemon.board.claim(quest, tidy_later=True)
    await daemon._on_event(ended(quest))
    left = sidecar_of(daemon.paths.lane("processing") / "a.jsonl")
    assert left.exists()
    task = asyncio.create_task(daemon._claims.run())
    await wait_until_async(lambda: not left.exists())
    task.cancel()


async def test_a_file_that_is_changed_when_it_is_told_of_is_for_the_gates(daemon: Daemon) -> None:
    """Law 6: neither what is in it now nor what was in it is learned under its name."""
    quest = take(daemon.board, "a.jsonl")
    quest.path.write_text('{"messages": []}\n')
    with pytest.raises(Conflict, match="was changed after it had passed the gates"):
        await daemon._claims._claim_next()
    assert daemon._events.in_trainer == []
    assert daemon.board.find(quest.quest_id) is None


def test_a_promise_costs_the_disk_nothing_and_is_for_the_one_behind_the_running_quest(paths: RealmPaths) -> None:
    files = MortalFiles()
    board = QuestBoard(paths, files)
    running, waiting = board.claim(take(board, "a.jsonl")), take(board, "b.jsonl")
    files.calls_left = 0
    with pytest.raises(Conflict, match=r"a\.jsonl is in processing/"):
        board.promise(waiting)
    assert board.promise(waiting, behind=running.quest_id) == waiting
    assert board.running() == running
    files.calls_left = -1
    with pytest.raises(Conflict, match="about to be learned"):
        board.remove("b.jsonl")
    board.break_promise()
    assert board.remove("b.jsonl") == waiting.path


def test_a_file_that_is_replaced_after_the_promise_is_not_claimed(board: QuestBoard) -> None:
    """Law 6: the promise saves the second look at the content only while the file is the same."""
    quest = take(board, "a.jsonl")
    board.promise(quest)
    drop(board.paths, "other.jsonl").rename(quest.path)
    with pytest.raises(Conflict, match="was changed"):
        board.claim(quest)
