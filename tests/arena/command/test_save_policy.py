"""When a rolling checkpoint is worth its time."""

from __future__ import annotations

from arena.command.save_policy import SavePolicy
from arena.protocol import Save

EMPTY = Save(reason="the board is empty")
OVERDUE = Save(reason="a quest has waited 30 minutes for its seal", urgent=True)


def policy() -> SavePolicy:
    return SavePolicy(budget=0.05, minutes=30)


def test_nothing_is_saved_when_nothing_waits_for_a_seal() -> None:
    """A7: a full checkpoint per quest filled the disk."""
    assert policy().ask(10**9, board_empty=True, oldest_awaiting=None) is None


def test_an_empty_board_saves_at_once_a_full_one_after_thirty_minutes() -> None:
    assert policy().ask(100.0, board_empty=True, oldest_awaiting=99.0) == EMPTY
    saves = policy()
    assert saves.ask(100.0, board_empty=False, oldest_awaiting=99.0) is None
    assert saves.ask(1898.9, board_empty=False, oldest_awaiting=99.0) is None
    assert saves.ask(1899.0, board_empty=False, oldest_awaiting=99.0) == OVERDUE


def test_saving_costs_training_at_most_its_part_of_the_wall_time() -> None:
    saves = policy()
    saves.note_save(100.0, seconds=3.0, cost_seconds=3.0)
    assert saves.ask(159.9, board_empty=True, oldest_awaiting=90.0) is None
    assert saves.ask(160.0, board_empty=True, oldest_awaiting=90.0) == EMPTY


def test_what_costs_training_little_still_leaves_the_disk_to_others() -> None:
    """A save in the background that takes long is not begun again as soon as it is done."""
    saves = policy()
    saves.note_save(100.0, seconds=30.0, cost_seconds=0.1)
    assert saves.ask(399.9, board_empty=True, oldest_awaiting=90.0) is None
    assert saves.ask(400.0, board_empty=True, oldest_awaiting=90.0) == EMPTY
    saves.note_save(400.0, seconds=0.0, cost_seconds=0.0)
    assert saves.ask(400.0, board_empty=True, oldest_awaiting=90.0) == EMPTY


def test_an_unanswered_wish_is_told_again_only_once_it_has_become_urgent() -> None:
    """It may wait for room on the disk, or for a long write: asking again makes it no quicker."""
    saves = policy()
    assert saves.ask(100.0, board_empty=True, oldest_awaiting=99.0) == EMPTY
    assert saves.ask(1898.9, board_empty=True, oldest_awaiting=99.0) is None
    assert saves.ask(1899.0, board_empty=False, oldest_awaiting=99.0) == OVERDUE
    assert saves.ask(10**9, board_empty=True, oldest_awaiting=99.0) is None
    saves.forget_asked()
    assert saves.ask(10**9, board_empty=True, oldest_awaiting=99.0) == OVERDUE
