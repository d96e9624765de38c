"""A battle of several processes learns what one process learns: bit for bit, whoever goes on with it (law 3)."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from arena.protocol import Command, Event, Progress, QuestEnded, Ready, State, Stop, Trouble
from arena.trainer.scaling import follower
from arena.trainer.scaling.company import PartnerLost
from arena.trainer.stream.step_plan import StepPlan
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.fighting_here import fight
from tests.arena.trainer.scaling.together import fight_together
from tests.waiting import wait_until

SHORT = 5.0
"""Seconds that one process waits for another, in place of half an hour."""
BOOKS = 1 << 20
"""Bytes for what rows were learned with."""
TOLERANCE = 1e-5
"""Of a loss, relative: two shares are added up in another order than one whole step."""


def until_learned(event: Event) -> Command | None:
    return Stop(reason="it is learned") if isinstance(event, QuestEnded) else None


def losses(events: list[Event]) -> list[float]:
    points = [point for event in events if isinstance(event, Progress) for point in event.points]
    return [point.loss if point.loss is not None else math.nan for point in points]


def replayed(fought: Field, base: Path) -> Field:
    """What one process alone, undisturbed, makes of the journal."""
    field = Field(base, fought.model, dict(fought.foes))
    shutil.copyfile(fought.journal, field.journal)
    fight(field, answer=until_learned, row_book_bytes=BOOKS)
    return field


def test_the_loss_curve_is_that_of_one_process(tiny_model: Path, tmp_path: Path) -> None:
    alone, together = Field(tmp_path / "alone", tiny_model), Field(tmp_path / "together", tiny_model)
    one = losses(fight(alone, alone.foe("quest", 50).claim(), answer=until_learned))
    two = losses(fight_together(together, together.foe("quest", 50).claim(), processes=2, answer=until_learned))
    assert len(two) == 13
    assert two == pytest.approx(one, rel=TOLERANCE)
    arithmetics = [field.history.claims[1].settings.arithmetic for field in (alone, together)]
    assert [arithmetic.shares for arithmetic in arithmetics if arithmetic is not None] == [1, 2]


def test_a_resume_by_more_or_fewer_processes_changes_no_bit(dropout_model: Path, tmp_path: Path) -> None:
    """Saved by two, gone on with by one, ended by three; the same as one process straight through, dropout included."""
    field = Field(tmp_path / "fought", dropout_model)
    quest = field.foe("quest", 50)
    told = fight_together(field, quest.claim(), processes=2, stop_at_step=4, row_book_bytes=BOOKS)
    first = field.head
    fight(field, stop_at_step=8, row_book_bytes=BOOKS)
    second = field.head
    told += fight_together(field, processes=3, answer=until_learned, row_book_bytes=BOOKS)
    assert [int(head.name.split("-")[1]) for head in (first, second, field.head)] == [4, 8, 13]
    assert [ready.device for ready in told if isinstance(ready, Ready)] == [
        "cpu, 1 thread in each of 2 processes", "cpu, 1 thread in each of 3 processes"
    ]  # fmt: skip
    alone = replayed(field, tmp_path / "replayed")
    assert_equal_weights(field.head, alone.head)
    book, other = (each.paths.row_books / "quest.rows" for each in (field, alone))
    assert book.read_bytes() == other.read_bytes(), "what each row was learned with"


def test_a_quest_that_one_process_has_begun_is_ended_alike_by_two(dropout_model: Path, tmp_path: Path) -> None:
    """Its claim knows of no shares, as those of before: the first process makes its steps, the other one follows."""
    field = Field(tmp_path / "fought", dropout_model)
    fight(field, field.foe("quest", 30).claim(), stop_at_step=3)
    fight_together(field, processes=2, answer=until_learned)
    assert_equal_weights(field.head, replayed(field, tmp_path / "replayed").head)


def test_where_one_runs_out_of_memory_all_make_the_step_smaller(dropout_model: Path, tmp_path: Path) -> None:
    field = Field(tmp_path / "fought", dropout_model)
    quest = field.foe("quest", 30, batch_size=8)
    told = fight_together(field, quest.claim(), processes=2, answer=until_learned, spoil=short_of_memory)
    troubles = [event.message for event in told if isinstance(event, Trouble)]
    assert len(troubles) == 1
    assert "another process ran out of it" in troubles[0]
    assert len(field.history.micro_batches) == 1
    assert field.history.rows_learned(1) == 30
    assert_equal_weights(field.head, replayed(field, tmp_path / "replayed").head)


def short_of_memory() -> None:
    """In a follower: no micro-batch of the usual size fits."""
    usual = follower.add_gradients

    def add_gradients(plan: StepPlan, *arguments: Any, **options: Any) -> torch.Tensor:
        if plan.token_budget == plan.settings.micro_batch_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(plan, *arguments, **options)

    vars(follower)["add_gradients"] = add_gradients


def test_a_board_that_is_empty_for_longer_than_the_timeout_ends_nobody(tiny_model: Path, tmp_path: Path) -> None:
    """The timeout is half an hour, and a board may be empty for weeks."""
    field = Field(tmp_path / "fought", tiny_model)
    quest = field.foe("quest", 30).claim()
    begun: list[float] = []

    def late(event: Event) -> Command | None:
        if isinstance(event, State) and event.state == "idle" and not begun:
            begun.append(time.monotonic())
            wait_until(lambda: time.monotonic() - begun[0] > 1.5 * SHORT, every=0.2)
            return quest
        return until_learned(event)

    told = fight_together(field, processes=2, answer=late, timeout_seconds=SHORT)
    assert begun
    assert [event.outcome for event in told if isinstance(event, QuestEnded)] == ["learned"]
    assert_equal_weights(field.head, replayed(field, tmp_path / "replayed").head)


def test_an_error_of_one_ends_all_and_is_named(tiny_model: Path, tmp_path: Path) -> None:
    field = Field(tmp_path / "fought", tiny_model)
    with pytest.raises(PartnerLost, match="process 1 failed: ArithmeticError: it cannot count"):
        fight_together(field, field.foe("quest", 30).claim(), processes=2, answer=until_learned, spoil=out_of_its_mind)


def out_of_its_mind() -> None:
    """In a follower."""

    def add_gradients(*arguments: object, **options: object) -> torch.Tensor:
        raise ArithmeticError("it cannot count")

    vars(follower)["add_gradients"] = add_gradients
