"""A child that is killed faster than its replay takes comes to an end all the same."""

from __future__ import annotations

from pathlib import Path

from arena.protocol import CheckpointSaved, QuestEnded
from arena.trainer.saving.due import REPLAY_SHARE
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.in_process import HandClock, living
from vault.checkpoints import CheckpointStore

ROWS = 200
"""Fifty steps."""
LIFE = 20
"""Steps until the next kill."""


def test_kills_that_come_faster_than_the_replay_cannot_livelock(tmp_path: Path, dropout_model: Path) -> None:
    """B17, law 3: a long replay is saved in its middle; the weights are those of a run that nobody disturbed."""
    field, straight = Field(tmp_path / "killed", dropout_model), Field(tmp_path / "straight", dropout_model)
    lives, clock = 0, HandClock()
    with living(field, clock=clock) as life:
        life.claim(field.foe("long", ROWS))
        life.make_steps(45)
        life.slay()
    while True:
        lives += 1
        assert lives < 8, "it makes no progress"
        with living(field, clock=clock) as life:
            seconds = life.battle._saver._due._save_seconds
            life._reins.wait_until_standing()
            for _ in range(LIFE):
                clock.now += seconds * REPLAY_SHARE / 10
                if life.step == ROWS // 4 - 1:
                    break
                life.make_steps(1)
            else:
                life.slay()
                continue
            life._reins.allow(1)
            life.until(QuestEnded)
            life.stop()
            break
    assert ["long"] in [saved.covers for saved in life.said(CheckpointSaved)]
    with living(straight) as life:
        life.learn(straight.foe("long", ROWS))
        life.stop()
    assert_equal_weights(field.head, straight.head)
    assert lives > 1
    assert len(CheckpointStore(field.paths.current_model).list()) > 2
