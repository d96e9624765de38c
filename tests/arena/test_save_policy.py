"""When a rolling checkpoint is worth its time."""

from __future__ import annotations

from arena.save_policy import SavePolicy


def policy() -> SavePolicy:
    return SavePolicy(budget=0.05, minutes=30)


def test_nothing_is_saved_when_nothing_waits_for_a_seal() -> None:
    """A7: a full checkpoint per quest filled the disk."""
    assert policy().reason(10**9, board_empty=True, oldest_awaiting=None) is None


def test_an_empty_board_saves_at_once_a_full_one_after_thirty_minutes() -> None:
    saves = policy()
    assert saves.reason(100.0, board_empty=True, oldest_awaiting=99.0) == "the board is empty"
    assert saves.reason(100.0, board_empty=False, oldest_awaiting=99.0) is None
    assert saves.reason(1898.9, board_empty=False, oldest_awaiting=99.0) is None
    assert saves.reason(1899.0, board_empty=False, oldest_awaiting=99.0) == "a quest has waited 30 minutes for its seal"


def test_saving_takes_at_most_its_part_of_the_wall_time() -> None:
    saves = policy()
    saves.note_save(3.0, now=100.0)
    assert saves.reason(159.9, board_empty=True, oldest_awaiting=90.0) is None
    assert saves.reason(160.0, board_empty=True, oldest_awaiting=90.0) == "the board is empty"
    saves.note_save(0.0, now=160.0)
    assert saves.reason(160.0, board_empty=True, oldest_awaiting=90.0) == "the board is empty"
