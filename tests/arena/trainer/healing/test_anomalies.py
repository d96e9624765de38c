"""What counts as a spike: never a row that is only hard, nor a subject that is only new."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from arena.cursor import CURSOR_NAME, Cursor, read_cursor
from arena.journal import Dropped
from arena.protocol import Trouble
from arena.trainer.engine import BattleTrainer
from arena.trainer.healing.anomalies import WARM_UP, WINDOW, anomaly_of, note_usual
from arena.trainer.stream.batching import MicroBatch
from arena.trainer.stream.row_order import RowOrder
from arena.trainer.target_loss import SummedLoss
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.healing.lives import holds, learn_all, oracle
from tests.arena.trainer.tiny_hero import chat, settings, write_rows

HEALING = {"spike_ratio": 4.0, "spike_deviations": 6.0, "rollbacks": 2}
JUDGED = settings(**HEALING)


def cursor_after(steps: int, *, loss: float = 2.0, norm: float = 1.0) -> Cursor:
    cursor = Cursor()
    for step in range(steps):
        note_usual(loss + step % 5 / 10, norm + step % 3 / 10, cursor)
    return cursor


@pytest.mark.parametrize(
    ("loss", "norm", "found"),
    [
        (float("nan"), 1.0, "not_finite"),
        (2.0, float("inf"), "not_finite"),
        (20.0, 10.0, "spike"),
        (20.0, 1.2, None),
        (2.4, 10.0, None),
        (8.0, 10.0, None),
    ],
    ids=["loss-nan", "norm-inf", "both", "loss-alone", "norm-alone", "below-the-ratio"],
)
def test_a_spike_is_far_out_of_line_in_loss_and_gradient(loss: float, norm: float, found: str | None) -> None:
    """B18"""
    assert anomaly_of(loss, norm, cursor_after(WARM_UP), JUDGED) == found
    # A claim of before there was healing: only what is not finite counts.
    assert anomaly_of(loss, norm, cursor_after(WARM_UP), settings()) == (found if found != "spike" else None)


def test_the_first_steps_of_a_quest_are_not_judged() -> None:
    """A new subject begins with a loss of its own."""
    assert anomaly_of(20.0, 10.0, cursor_after(WARM_UP - 1), JUDGED) is None
    cursor = cursor_after(WARM_UP)
    cursor.next_quest()
    assert anomaly_of(20.0, 10.0, cursor, JUDGED) is None


def test_a_hard_row_is_no_spike_when_the_quest_began_as_hard() -> None:
    """Nor is one that a sure model finds a little hard."""
    cursor = cursor_after(1, loss=21.0)
    for step in range(WINDOW):
        note_usual(2.0 + step % 5 / 10, 1.0, cursor)
    assert len(cursor.usual) == WINDOW
    assert anomaly_of(20.0, 10.0, cursor, JUDGED) is None
    sure = cursor_after(WARM_UP, loss=0.001, norm=0.01)
    assert anomaly_of(0.99, 10.0, sure, JUDGED) is None


def test_heavy_tails_are_learned() -> None:
    """Of ten thousand steps whose losses and norms spread over more than a factor of twenty, none is lost."""
    dice, spread, spikes = random.Random(7), [], 0
    for _ in range(20):
        cursor = Cursor()
        for _ in range(500):
            hardness = dice.lognormvariate(0.0, 0.6)
            loss, norm = 1.5 * hardness, hardness * dice.lognormvariate(0.0, 0.3)
            spread.append(loss)
            spikes += anomaly_of(loss, norm, cursor, JUDGED) is not None
            note_usual(loss, norm, cursor)
    assert max(spread) > 20 * min(spread)
    assert spikes == 0


def test_what_is_usual_is_the_same_after_a_checkpoint(tmp_path: Path) -> None:
    """Law 3: a replay from any checkpoint comes to the same judgement."""
    cursor = cursor_after(30, loss=1 / 3)
    (tmp_path / CURSOR_NAME).write_text(json.dumps(asdict(cursor)))
    found = read_cursor(tmp_path)
    assert (found.usual, found.peak_loss) == (cursor.usual, cursor.peak_loss)


def test_a_spike_teaches_nothing_and_its_rows_are_flagged(tmp_path: Path, dropout_model: Path) -> None:
    """B18: one broken row among good ones; the quest is learned without its step, bit for bit."""
    field = Field(tmp_path / "fought", dropout_model)
    foe = field.foe("long", 104, **HEALING)
    row = RowOrder(104, seed=foe.settings.seed, ordinal=1, epoch=0).position_to_row(4 * 24)
    rows = [chat(seed) for seed in range(104)]
    rows[row]["messages"][0]["content"] = "BROKEN"
    write_rows(foe.path, rows)

    def spoil(trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        def spoiled(batch: MicroBatch) -> torch.Tensor:
            return loss(batch) * (50.0 if holds(batch, "BROKEN") else 1.0)

        return spoiled

    lives = learn_all(field, [foe], spoil)
    assert (lives.count, lives.end_of("long").outcome) == (1, "learned")
    (line,) = [entry for entry in field.history._entries if isinstance(entry, Dropped)]
    assert (line.quest_step, line.cause) == (24, "spike")
    assert row + 1 in line.lines
    assert line.loss is not None
    (told,) = [trouble for trouble in lives.said(Trouble) if trouble.what == "spike"]
    assert f"The loss spiked to {line.loss:.4g}" in told.message
    flagged = [json.loads(text) for text in (field.paths.flagged_examples / "long.jsonl").read_text().splitlines()]
    assert {(row["line"], row["reason"], row["loss"]) for row in flagged} == {
        (number, "spike", line.loss) for number in line.lines
    }
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field, spoil))


def test_a_quest_without_spikes_is_learned_the_same_with_and_without_looking(
    tmp_path: Path, dropout_model: Path
) -> None:
    heads = []
    for name, changes in (("judged", HEALING), ("before", {})):
        field = Field(tmp_path / name, dropout_model)
        learn_all(field, [field.foe("calm", 88, **changes)])
        assert field.history.dropped == set()
        heads.append(field.head)
    assert_equal_weights(*heads)
