"""What a new trainer is told of the quests that are open."""

from __future__ import annotations

from arena.command.beginning import begin_of
from arena.heroes import load_hero
from arena.quest_board import QuestBoard
from arena.quests import Quest, sidecar_of
from core.settings import Settings
from tests.arena.quest_makers import NOW, learn, take


def told(board: QuestBoard) -> dict[str, tuple[str, bool]]:
    """Path and seal of each open quest, by its id."""
    hero = load_hero(board.paths, "seedling")
    begin = begin_of(board.paths, Settings(), hero, "seedling", board, [], None)
    return {each.quest_id: (each.path, each.sealed) for each in begin.open_quests}


def move_by_hand(board: QuestBoard, quest: Quest, lane: str) -> str:
    target = board.paths.lane(lane) / quest.name
    sidecar_of(quest.path).rename(sidecar_of(target))
    quest.path.rename(target)
    return str(target)


def test_quests_that_a_trainer_had_are_told_with_their_files_and_those_that_wait_are_not(board: QuestBoard) -> None:
    sealed, awaiting = learn(board, take(board, "a.jsonl")), learn(board, take(board, "b.jsonl"))
    board.seal([sealed.quest_id], now=NOW)
    take(board, "waits.jsonl")
    running = board.claim(take(board, "c.jsonl", "high"))
    assert told(board) == {
        sealed.quest_id: (str(board.quests("recently_completed")[0].path), True),
        awaiting.quest_id: (str(awaiting.path), False),
        running.quest_id: (str(running.path), False),
    }


def test_a_running_quest_that_is_moved_among_the_waiting_ones_is_not_lost(board: QuestBoard) -> None:
    """B17: `mv queue/processing/* queue/normal/` before a start, as with the first version, ended it as lost."""
    running = board.claim(take(board, "x.jsonl"))
    target = move_by_hand(board, running, "low")
    assert told(board) == {running.quest_id: (target, False)}


def test_a_learned_quest_that_is_moved_among_the_waiting_ones_is_to_be_learned_anew(board: QuestBoard) -> None:
    """C6: it is for the gates, under a new id; told as covered, it was put away once more."""
    learned = learn(board, take(board, "x.jsonl"))
    (sealed,) = board.seal([learned.quest_id], now=NOW)
    move_by_hand(board, sealed, "normal")
    assert told(board) == {}
