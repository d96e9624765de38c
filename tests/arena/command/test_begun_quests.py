"""Quests whose claims are in the journal and that lie among those that wait: a kill or the disk has left them there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from arena.daemon import Daemon
from arena.protocol import Claimed, QuestEnded, Ready
from arena.proving.proofs import verdict_of_error
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.verbs.board_client import board_action, remove_all
from core.errors import Conflict
from core.files import Files
from core.paths import RealmPaths
from tests.arena.annals.past import Past
from tests.arena.quest_makers import NOW, take


def left_waiting(paths: RealmPaths, name: str = "begun", **record: int) -> str:
    """What a realm leaves that is killed between the line in the journal and the move to `processing/`; its id."""
    return Past(paths).begin(name, lane="normal", priority="normal", **{"attempts": 0, **record})


def places(board: QuestBoard) -> dict[str, str]:
    return {row["file"]: row["lane"] for row in board.listing()}


def found(board: QuestBoard, quest_id: str) -> Quest:
    quest = board.find(quest_id)
    assert quest is not None
    return quest


class StuckLane(Files):
    """A disk on which nothing can be put into one lane, while it is `stuck`."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.stuck = True

    def link(self, source: Path, target: Path) -> None:
        self._check(target)
        super().link(source, target)

    def replace(self, source: Path, target: Path) -> None:
        self._check(target)
        super().replace(source, target)

    def _check(self, target: Path) -> None:
        if self.stuck and target.parent.name == self.lane:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(target))


# --- while the realm is down, and when it is up again ----------------------------------------------------------


def test_what_the_model_holds_a_part_of_is_not_removed_while_the_realm_is_down(paths: RealmPaths) -> None:
    """A6: its data were deleted, and the next trainer told of it as lost; what a checkpoint held of it stayed."""
    quest_id = left_waiting(paths)
    other = take(QuestBoard(paths), "other.jsonl")
    for name in ("begun.jsonl", quest_id):
        with pytest.raises(Conflict, match=r"begun\.jsonl is about to be learned"):
            board_action(paths, "remove", name)
    with pytest.raises(Conflict, match="about to be learned"):
        board_action(paths, "move", "begun.jsonl", "high")
    assert remove_all(paths, [quest_id, other.quest_id]) == ["other.jsonl"]
    assert places(QuestBoard(paths)) == {"begun.jsonl": "normal"}


async def test_a_begun_quest_lies_in_processing_from_the_start_on(daemon: Daemon) -> None:
    """F1, law 7: until its replay began, perhaps an hour later, all pages told of a quest that waits."""
    quest_id = left_waiting(daemon.paths)
    take(daemon.board, "other.jsonl")
    await daemon._recover_once()
    assert places(daemon.board) == {"begun.jsonl": "processing", "other.jsonl": "normal"}
    assert found(daemon.board, quest_id).record.attempts == 1
    assert daemon.crier.counts["total_queued"] == 1
    assert daemon.board.sweep(now=NOW).notes == []


async def test_a_skip_is_for_the_begun_quest_also_before_its_replay(daemon: Daemon) -> None:
    """B15: a wish of before the start, or of the time in which the trainer loads, was dropped as one for nothing."""
    quest_id = left_waiting(daemon.paths)
    daemon.control_files.write("skip", "it is dull", now=NOW)
    await daemon._recover_once()
    daemon._wishes.read_at_start()
    await daemon._wishes.obey()
    bound = daemon.control_files.bound_skip()
    assert bound is not None
    assert bound[0] == quest_id
    await daemon._wishes.drop_stale_skip()
    assert daemon.control_files.bound_skip() == bound


async def test_a_quest_whose_end_a_checkpoint_covers_goes_on_from_there(daemon: Daemon) -> None:
    """Taken for begun, it is sealed all the same."""
    quest_id = left_waiting(daemon.paths)
    await daemon._recover_once()
    end = QuestEnded(quest_id=quest_id, ordinal=1, outcome="learned", rows_learned=20, last_step=5)
    await daemon._on_event(Ready(step=5, checkpoint="c", parameters=1, device="cpu", replay=[], covered=[end]))
    assert found(daemon.board, quest_id).lane == "recently_completed"


# --- where it cannot be moved ----------------------------------------------------------------------------------


def test_nobody_but_the_trainer_has_a_begun_quest_that_the_disk_leaves_where_it_waits(paths: RealmPaths) -> None:
    """Law 3: it was claimed anew, proven anew, and refused for what it had been learned in spite of."""
    quest_id = left_waiting(paths)
    board = QuestBoard(paths, StuckLane("processing"))
    other = take(board, "other.jsonl")
    board.take_up([quest_id])
    assert places(board) == {"begun.jsonl": "normal", "other.jsonl": "normal"}
    assert board.waiting(9) == [other]
    assert board.running() == found(board, quest_id)
    with pytest.raises(Conflict, match="about to be learned"):
        board.fail(quest_id, outcome="rejected", reason="held out", now=NOW, judged_by={"x": "1"})
    board.fail(quest_id, outcome="withdrawn", reason="the trainer's own word", now=NOW)
    assert board.running() is None
    assert board.retry(quest_id, now=NOW) in board.waiting(9), "a retry is another quest"


def test_of_several_the_first_of_the_journal_is_the_running_one(paths: RealmPaths) -> None:
    past = Past(paths)
    ids = []
    for name in ("first", "second"):  # the later one has the older file
        ids.append(past.begin(name, lane="normal", priority="normal"))
        past.step_on()
    board = QuestBoard(paths)
    assert {quest.quest_id for quest in board.reclaim(ids)} == set(ids)
    assert board.running() == found(board, ids[0])
    board.take_up(ids)
    assert places(board) == {"first.jsonl": "processing", "second.jsonl": "normal"}
    assert board.waiting(9) == []
    board.take_up(ids)
    assert places(board) == {"first.jsonl": "processing", "second.jsonl": "normal"}, "one is fought at a time"


async def test_a_gate_that_looks_late_does_not_refuse_what_the_trainer_was_told_of(daemon: Daemon) -> None:
    """Law 1: moved to failed/ from under the trainer, a quest that it had begun ended as lost."""
    quest = take(daemon.board, "a.jsonl")
    await daemon._claims._claim_next()
    await daemon._assay._refuse(quest, verdict_of_error(quest.record, "it is held out"))
    assert daemon.board.waiting(9) == [], "and it is looked at no more"
    assert places(daemon.board) == {"a.jsonl": "normal"}


async def test_where_processing_alone_refuses_quests_are_learned_and_nobody_hears_that_all_is_well(
    daemon: Daemon,
) -> None:
    """A28: with each quest the saga was told that moves go on, and that they do not."""
    quests = [take(daemon.board, f"{name}.jsonl", mtime=time) for time, name in enumerate("abc", 1)]
    disk = daemon.board._mover.files = StuckLane("processing")
    for quest in quests[:2]:
        await daemon._claims._claim_next()
        assert daemon._events.in_trainer == [quest.quest_id]
        await daemon._on_event(claimed(quest))
        await daemon._claims.follow()
        assert daemon.board.running() == quest
        await daemon._on_event(ended(quest))
        await daemon._claims.follow()
    assert told_of_moves(daemon) == ["moves_blocked"]
    assert places(daemon.board) == {"a.jsonl": "awaiting_seal", "b.jsonl": "awaiting_seal", "c.jsonl": "normal"}
    disk.stuck = False
    await daemon._claims._claim_next()
    await daemon._claims.follow()
    assert places(daemon.board)["c.jsonl"] == "processing"
    assert told_of_moves(daemon) == ["moves_blocked", "moves_goes_on"]


async def test_a_quest_that_nobody_could_move_is_promised_until_another_trainer_begins(daemon: Daemon) -> None:
    """Of what the dead one was told, only the journal knows whether it was begun."""
    quest = take(daemon.board, "a.jsonl")
    daemon.board._mover.files = StuckLane("processing")
    await daemon._claims._claim_next()
    await daemon._claims.let_go()
    assert daemon.board.promised() == quest
    assert daemon.board.waiting(9) == []
    daemon.board.reclaim([])
    assert daemon.board.promised() is None
    assert daemon.board.waiting(9) == [quest]


async def test_a_skip_is_for_the_quest_that_is_learned_where_the_one_before_cannot_leave(daemon: Daemon) -> None:
    """B14: bound to the one that is over, it was carried out on nobody."""
    first, second = (take(daemon.board, f"{name}.jsonl", mtime=time) for time, name in enumerate("ab", 1))
    await daemon._claims._claim_next()
    await daemon._on_event(claimed(first))
    await daemon._claims.follow()
    daemon.board._mover.files = StuckLane("awaiting_seal")
    await daemon._on_event(ended(first))
    assert daemon.board.running() == found(daemon.board, first.quest_id), "until the next one is begun"
    await daemon._on_event(claimed(second))
    await daemon._claims.follow()
    assert daemon.board.running() == found(daemon.board, second.quest_id)


def told_of_moves(daemon: Daemon) -> list[str]:
    return [event.kind for event in daemon._saga.latest_events(20) if event.kind.startswith("moves_")]


def claimed(quest: Quest) -> Claimed:
    return Claimed(quest_id=quest.quest_id, ordinal=1, rows=1, epochs=1, steps=1, first_step=0)


def ended(quest: Quest) -> QuestEnded:
    return QuestEnded(quest_id=quest.quest_id, ordinal=1, outcome="learned", rows_learned=1, last_step=1)
