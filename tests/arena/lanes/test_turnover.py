"""From one quest to the next: both moves follow the claim, and what they leave behind is tidied up later still."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from arena.lanes.reading import MOVED_FROM
from arena.quest_board import QuestBoard
from arena.quests import Quest, Strike, read_sidecar, sidecar_of
from core.paths import LANES
from tests.arena.quest_makers import NOW, Killed, MortalCopies, MortalFiles, everything_in, make_realm, take

TIDY = [f"{place}.jsonl{end}" for place in ("awaiting_seal/a", "processing/b") for end in ("", ".meta.json")]


def end(board: QuestBoard, quest: Quest) -> Quest:
    return board.await_seal(
        quest.quest_id, outcome="learned", rows_learned=1, first_step=1, last_step=4, now=NOW, tidy_later=True
    )


def turn_over(board: QuestBoard, running: Quest, waiting: Quest) -> None:
    """As the claims do it: here the trainer is told of the next quest."""
    board.promise(waiting, behind=running.quest_id)
    end(board, running)
    board.claim(waiting, tidy_later=True)
    board.tidy()


@pytest.mark.parametrize("disk", [MortalFiles, MortalCopies])
def test_killed_at_any_call_to_the_disk_each_quest_lies_in_one_place(tmp_path: Path, disk: type[MortalFiles]) -> None:
    """Law 1; C4: no sidecar is left behind, and no two quests are ever in processing."""
    for calls in count():
        paths, files = make_realm(tmp_path / str(calls)), disk()
        board = QuestBoard(paths, files)
        running, waiting = board.claim(take(board, "a.jsonl")), take(board, "b.jsonl")
        files.calls_left = calls
        survived = True
        try:
            turn_over(board, running, waiting)
        except Killed:
            survived = False
        claimed = [path.name for path in paths.lane("processing").glob("*.jsonl")]
        assert len(claimed) <= 1, "one at a time"
        later = QuestBoard(paths, MortalFiles())
        later.sweep(now=NOW)
        lanes = {lane: [quest.name for quest in later.quests(lane)] for lane in LANES}
        assert sorted(name for names in lanes.values() for name in names) == ["a.jsonl", "b.jsonl"], calls
        assert lanes["awaiting_seal"] == ["a.jsonl"] or lanes["processing"] == ["a.jsonl"]
        assert lanes["processing"] == ["b.jsonl"] or lanes["normal"] == ["b.jsonl"]
        assert len(everything_in(paths.queue)) == 4, everything_in(paths.queue)
        assert later.sweep(now=NOW).notes == []
        if survived:
            assert everything_in(paths.queue) == TIDY
            break
    assert calls > 20


def test_nothing_waits_for_the_tidying_up_and_it_leaves_nothing(board: QuestBoard) -> None:
    running, waiting = board.claim(take(board, "a.jsonl")), take(board, "b.jsonl")
    board.tidy()
    end(board, running)
    claimed = board.claim(waiting, tidy_later=True)
    assert sidecar_of(waiting.path).exists(), "still to be tidied up"
    found = board.find(claimed.quest_id)
    assert found is not None
    assert (found.path, found.record) == (claimed.path, claimed.record)
    assert [quest.name for quest in board.quests("awaiting_seal")] == ["a.jsonl"]
    board.tidy()
    assert everything_in(board.paths.queue) == TIDY
    assert MOVED_FROM not in claimed.path.with_name("b.jsonl.meta.json").read_text()


def test_what_is_written_next_is_not_undone_by_tidying_up_late(board: QuestBoard) -> None:
    """An older record must not come back over a newer one."""
    quest = board.claim(take(board, "a.jsonl"), tidy_later=True)
    board.add_strike(quest.quest_id, Strike(at=NOW.isoformat(), ordinal=1, quest_step=0, cause="a test"))
    board.tidy()
    struck = read_sidecar(quest.path)
    assert struck is not None
    assert [strike.cause for strike in struck.strikes] == ["a test"]


def test_a_quest_that_is_over_before_its_claim_was_tidied_up_goes_on_at_once(board: QuestBoard) -> None:
    quest = board.claim(take(board, "a.jsonl"), tidy_later=True)
    end(board, quest)
    board.tidy()
    assert everything_in(board.paths.queue) == TIDY[:2]
    board.seal([quest.quest_id], now=NOW)
    assert [name.partition("/")[0] for name in everything_in(board.paths.queue)] == ["recently_completed"] * 2


def test_a_sweep_first_tidies_up(board: QuestBoard) -> None:
    """What is left of a move that is done is no half move, and nobody is told of one."""
    end(board, board.claim(take(board, "a.jsonl"), tidy_later=True))
    assert board.sweep(now=NOW).notes == []
    assert everything_in(board.paths.queue) == TIDY[:2]
