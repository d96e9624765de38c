"""Each contestant, in this process: it learns what the others learn, and reports what it did."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.contestants import hand_written, realm_trainer, stock_trainer
from benchmarks.stopwatch import GO, Course, Lap, Stopwatch
from benchmarks.training import lay_out
from benchmarks.workload import MAX_LENGTH, make_workload
from tests.arena.trainer.tiny_hero import TINY_RECIPE

Run = Callable[[Course, Stopwatch], None]
LAPS = 3


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    folder = tmp_path_factory.mktemp("course")
    recipe = {**TINY_RECIPE, "max_position_embeddings": MAX_LENGTH}
    workload = make_workload(folder / "model", vocabulary=512, rows=64, recipe=recipe)
    course = lay_out(workload, folder, rows_per_step=4, steps=2, rounds=LAPS - 1, threads=1)
    return replace(course, micro_tokens=1024, pass_tokens=64, attention="rows")


def laps_of(run: Run, course: Course) -> list[Lap]:
    """Let a contestant run all its laps."""
    ours, theirs = socket.socketpair()

    def race() -> None:
        # Closed whatever happens: else nobody would notice that the contestant broke down.
        with closing(Stopwatch(theirs)) as stopwatch:
            run(course, stopwatch)

    runner = threading.Thread(target=race)
    runner.start()
    laps = []
    with ours, ours.makefile("rb") as reports:
        ours.settimeout(60)
        for number in range(course.laps):
            laps.append(Lap(**json.loads(reports.readline())))
            if number + 1 < course.laps:
                ours.sendall(GO)
    runner.join(60)
    assert not runner.is_alive(), "it does not end when nobody tells it to go on"
    return laps


@pytest.fixture(scope="module")
def ours(course: Course) -> list[Lap]:
    return laps_of(realm_trainer.run, course)


@pytest.mark.parametrize(
    ("run", "own"),
    [(stock_trainer.run, {"variant": "padded"}), (hand_written.run, {"variant": "batches"}),
     (hand_written.run, {"variant": "batches", "attention": "padded"})],
    ids=["stock", "hand-written", "hand-written, padded"],
)  # fmt: skip
def test_who_has_the_same_rows_in_each_step_learns_the_same_as_our_trainer(
    course: Course, ours: list[Lap], run: Run, own: dict[str, str]
) -> None:
    theirs = laps_of(run, replace(course, **own, micro_rows=2))
    assert [(lap.rows, lap.tokens) for lap in theirs] == [(lap.rows, lap.tokens) for lap in ours]
    assert all(lap.settled == {"micro_tokens": 1024, "pass_tokens": 64, "attention": "rows"} for lap in ours)
    assert [lap.loss for lap in theirs] == pytest.approx([lap.loss for lap in ours], abs=1e-3)
    assert ours[-1].loss < ours[0].loss - 0.05, "nothing was learned"


@pytest.mark.parametrize("variant", ["grouped", "rebalanced"])
def test_grouping_rows_by_length_changes_their_order_but_not_how_many_a_step_has(course: Course, variant: str) -> None:
    laps = laps_of(stock_trainer.run, replace(course, variant=variant, micro_rows=2))
    assert [lap.rows for lap in laps] == [course.rows_per_step * course.steps_per_lap] * LAPS


def test_packed_blocks_are_full_and_hold_about_as_many_rows_as_a_step_has(course: Course) -> None:
    laps = laps_of(hand_written.run, replace(course, variant="blocks"))
    assert [lap.tokens for lap in laps] == [course.steps_per_lap * course.blocks_per_step * MAX_LENGTH] * LAPS
    rows = sum(lap.rows for lap in laps) / (LAPS * course.steps_per_lap)
    assert course.rows_per_step / 2 < rows < course.rows_per_step * 2


def test_the_rows_handed_to_the_peers_are_in_the_order_in_which_our_trainer_learns_them(course: Course) -> None:
    chats, ordered = (Path(path).read_text().splitlines() for path in (course.chats, course.ordered))
    assert sorted(chats) == sorted(ordered)
    assert chats != ordered
