"""The race: contestants in turns, the best settings by trial, and a contestant that breaks down."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.racing import Contestant, RaceFailed, Stable, race
from benchmarks.stopwatch import Course, Lap
from benchmarks.training import OTHERS, OURS, unlike_ours

WALKER = "tests.benchmarks.walker"


def course_on(folder: Path, variant: str = "", laps: int = 4) -> Course:
    return Course(
        model="", chats=str(folder / "diary"), ordered="", rows_per_step=8, blocks_per_step=2, micro_rows=1,
        micro_tokens=1, pass_tokens=0, attention="padded", learning_rate=0.0, threads=1, steps_per_lap=1,
        laps=laps, max_length=1, variant=variant,
    )  # fmt: skip


@pytest.fixture
def stable(tmp_path: Path) -> Stable:
    return Stable(Path(sys.executable), Path(sys.executable), tmp_path)


def test_contestants_run_one_after_the_other_and_another_one_begins_each_round(stable: Stable, tmp_path: Path) -> None:
    courses = {Contestant(name, name, WALKER): course_on(tmp_path, name) for name in "abc"}
    with stable.running(courses) as runners:
        laps = race(runners, 2)
        told = (tmp_path / "diary").read_text()
    assert [sorted(each) for each in laps] == [["a", "b", "c"]] * 2
    assert laps[0]["a"] == Lap(1.0, 2.0, rows=1, tokens=60, targets=None, loss=0.0)
    assert laps[0]["a"].speed == 60
    # A lap is written down when it begins; the first of each is its warm-up.
    assert told.split() == ["a0", "b0", "c0", "a1", "b1", "c1", "b2", "c2", "a2"]


def test_of_several_sizes_the_quickest_is_taken_and_those_that_do_not_fit_are_left_out(
    stable: Stable, tmp_path: Path
) -> None:
    by_rows = Contestant("rows", "by rows", WALKER, micro_rows=(3, 4, 2, 8))
    by_blocks = Contestant("blocks", "by blocks", WALKER, micro_rows=(2, 4), packs=True)
    assert stable.quickest(by_rows, course_on(tmp_path)).micro_rows == 2
    assert stable.quickest(by_blocks, course_on(tmp_path)).micro_rows == 2


def test_a_contestant_that_breaks_down_is_named_with_what_it_said_last(stable: Stable, tmp_path: Path) -> None:
    lame = Contestant("lame", "the lame one", WALKER)
    breakdown = pytest.raises(RaceFailed, match=r"the lame one did not go on[\s\S]*broke a leg")
    with breakdown, stable.running({lame: course_on(tmp_path, "lame")}):
        pass


def test_who_had_other_rows_or_another_loss_than_ours_is_named(stable: Stable, tmp_path: Path) -> None:
    stock = next(other for other in OTHERS if other.name == "stock")
    right, rows, loss = (
        Lap(1.0, 1.0, 16, tokens, None, value) for tokens, value in ((100, 2.0), (99, 2.0), (100, 2.02))
    )
    courses = {contestant: course_on(tmp_path) for contestant in (OURS, stock)}
    walkers = {Contestant(own.name, own.title, WALKER, same_rows=True): course for own, course in courses.items()}
    with stable.running(walkers) as runners:
        assert unlike_ours(runners, [{"realm": right, "stock": right}]) == []
        (other_rows,) = unlike_ours(runners, [{"realm": right, "stock": rows}])
        (other_loss,) = unlike_ours(runners, [{"realm": right, "stock": loss}])
    assert "16 rows of 99 tokens in lap 1, ours 16 of 100" in other_rows
    assert "a loss of 2.0200 in lap 1, ours 2.0000" in other_loss
