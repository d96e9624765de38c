"""What people see of the battle: numbers that were said, or null."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from arena.protocol import Claimed, Progress, Ready, StepPoint
from arena.telling.live_report import LiveReport

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture
def report() -> LiveReport:
    return LiveReport(hero="dio", hero_title="DIO", model_name="seedling", context_window=512, since=NOW)


def ready(step: int) -> Ready:
    return Ready(step=step, checkpoint="checkpoint-9", parameters=5, device="cpu", replay=[], covered=[])


def claimed(first_step: int = 40) -> Claimed:
    return Claimed(quest_id="q", ordinal=1, rows=40, epochs=2, steps=20, first_step=first_step)


def progress(quest_step: int, loss: float | None = 2.0) -> Progress:
    return Progress(
        step=40 + quest_step, quest_id="q", epoch=quest_step // 10, quest_step=quest_step, quest_steps=20,
        rows_learned=4 * quest_step, rows_total=80, replaying=False,
        points=[StepPoint(40 + quest_step, loss, 1e-3, 1.0, 100, 0.5)],
    )  # fmt: skip


def test_what_nobody_has_said_is_null(report: LiveReport) -> None:
    """Law 7: unknown is null, never 0."""
    status = report.training_status(waiting=2, now=NOW)
    known = {name for name, value in status.items() if value is not None}
    assert known == {
        "status", "since", "timestamp", "model_name", "hero", "context_window", "batch_queue_size", "replaying",
        "train_loss_history",
    }  # fmt: skip
    assert report.battle_status(campaign=0, total_campaigns=0, now=NOW)["damage_taken"] is None


def test_progress_is_told_in_percent_of_rows(report: LiveReport) -> None:
    """F5: the progress bar was always 0 %."""
    report.note_ready(ready(40))
    report.note_claimed(claimed(), "q.jsonl", NOW)
    percents = []
    for step in (1, 5, 20):
        report.note_progress(progress(step))
        percents.append(report.training_status(waiting=0, now=NOW)["progress_percent"])
    assert percents == [5.0, 25.0, 100.0]
    status = report.training_status(waiting=0, now=NOW)
    assert (status["total_steps"], status["batch_step"], status["batch_total_steps"]) == (60, 20, 20)


def test_a_quest_that_is_taken_up_again_is_never_shown_at_zero(report: LiveReport) -> None:
    """F4, F5: a frame between its claim and its first step told of 0 rows."""
    report.note_ready(ready(45))
    report.note_claimed(structs.replace(claimed(), quest_step=5, rows_learned=20), "q.jsonl", NOW)
    status = report.training_status(waiting=0, now=NOW)
    assert (status["batch_step"], status["rows_learned"], status["progress_percent"]) == (5, 20, 25.0)
    report.note_progress(progress(6))
    assert report.rows_made == 4, "only what this session has learned"


def test_the_end_of_a_quest_and_of_the_child_zeroes_nothing(report: LiveReport) -> None:
    """F4: status was written as zeros at completion and crash, and the hero's level dropped."""
    report.note_ready(ready(40))
    report.note_claimed(claimed(), "q.jsonl", NOW)
    report.note_progress(progress(20, loss=0.25))
    report.quest, report.last_outcome = None, "learned"
    report.enter("idle", NOW)
    assert report.battle_state == "victory"
    report.enter("crashed", NOW, "killed")
    status = report.training_status(waiting=0, now=NOW)
    assert (status["current_step"], status["loss"], status["checkpoint"]) == (60, 0.25, "checkpoint-9")
    assert (status["current_file"], status["progress_percent"]) == (None, None)
    assert report.battle_state == "defeated"


def test_a_loss_that_was_not_finite_keeps_the_last_one_that_was(report: LiveReport) -> None:
    report.note_progress(progress(1, loss=3.0))
    report.note_progress(progress(2, loss=None))
    assert report.loss == 3.0


def test_speed_and_time_left_follow_from_the_latest_steps(report: LiveReport) -> None:
    report.note_claimed(claimed(), "q.jsonl", NOW)
    for step in range(1, 11):
        report.note_progress(progress(step))
    assert (report.tokens_per_second, report.steps_per_second, report.seconds_left) == (200.0, 2.0, 5.0)
    battle = report.battle_status(campaign=1, total_campaigns=2, now=NOW)
    assert battle["eta"] == (NOW + timedelta(seconds=5)).isoformat()
    report.enter("paused", NOW)
    assert report.seconds_left is None


def test_a_change_of_state_is_told_once(report: LiveReport) -> None:
    later = NOW + timedelta(seconds=9)
    assert report.enter("idle", later)
    assert not report.enter("idle", later + timedelta(seconds=9), "another reason")
    assert (report.since, report.reason) == (later, "another reason")


def test_the_headline_says_in_a_few_words_what_is_going_on(report: LiveReport) -> None:
    report.enter("idle", NOW)
    assert report.headline == "idle"
    report.note_claimed(claimed(), "x.jsonl", NOW)
    report.enter("training", NOW)
    report.note_progress(progress(8))
    assert report.headline == "training x.jsonl 40 %"
    report.enter("paused", NOW, "the oven is on")
    assert report.headline == "paused x.jsonl 40 %: the oven is on"
