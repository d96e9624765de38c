"""B18: what goes wrong again and again is taken back and left out, and the weights are those of the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from arena.journal import Quarantine
from arena.protocol import WentBack
from arena.trainer.engine import BattleTrainer
from arena.trainer.stream.batching import MicroBatch
from arena.trainer.target_loss import SummedLoss
from core.checkpoint_ledger import read_sidecar
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.healing.lives import Lives, Spoil, learn_all, oracle

HEALING = {"spike_ratio": 4.0, "spike_deviations": 6.0, "rollbacks": 2}
"""As the settings have it by default."""
ROWS = 60
FLIP = (2, 10)
"""Ordinal and step at which a bit flips: steps 10 to 12 are not finite, 7 to 9 are suspects."""


class BitFlip:
    """Memory that fails once: from that step on the weights of this life are broken."""

    def __init__(self) -> None:
        self.left = 1

    def __call__(self, trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        def spoiled(batch: MicroBatch) -> torch.Tensor:
            plan = trainer._plan
            assert plan is not None
            if self.left and (plan.ordinal, plan.quest_step) == FLIP:
                self.left -= 1
                with torch.no_grad():
                    next(trainer.network.parameters())[:] = torch.nan
            return loss(batch)

        return spoiled


def two_foes(base: Path, model: Path, **changes: Any) -> Field:
    field = Field(base, model)
    field.foe("first", 20, **{**HEALING, **changes})
    field.foe("long", ROWS, **{**HEALING, **changes})
    return field


def fight(field: Field, spoil: Spoil) -> Lives:
    """With a milestone every eighth step: at step 8, before the suspects, and at 16, among the broken steps."""
    return learn_all(field, list(field.foes.values()), spoil, save_steps=8)


def quarantines_of(field: Field) -> list[Quarantine]:
    return [entry for entry in field.history._entries if isinstance(entry, Quarantine)]


def flagged_rows(field: Field) -> list[dict[str, Any]]:
    file = field.paths.flagged_examples / "long.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def steps(folder: Path) -> list[int]:
    return sorted(int(name.split("-")[1]) for name in names(folder))


@pytest.fixture(scope="module")
def healed(tmp_path_factory: pytest.TempPathFactory, dropout_model: Path) -> tuple[Field, Lives]:
    """What the tests below look at."""
    field = two_foes(tmp_path_factory.mktemp("healed"), dropout_model)
    return field, fight(field, BitFlip())


def test_learning_goes_back_to_before_the_suspects_and_leaves_their_rows_out(
    healed: tuple[Field, Lives], tmp_path: Path
) -> None:
    """B18: a quest was completed with broken weights, which replaced the good ones."""
    field, lives = healed
    assert lives.count == 2
    assert lives.outcomes() == {"first": "learned", "long": "learned"}
    model = field.paths.current_model
    (back,) = lives.said(WentBack)
    assert (back.step, back.quest_id) == (8, "long")
    assert [int(name.split("-")[1]) for name in back.left_behind] == [16]
    assert names(model / "branches" / back.branch) == back.left_behind
    # Made again, with other weights.
    assert 16 in steps(model)
    (line,) = quarantines_of(field)
    assert (line.ordinal, line.first_step, line.last_step) == (2, 7, 12)
    assert len(line.lines) == 6 * 4
    # 60 rows less those of six steps.
    assert lives.end_of("long").rows_learned == field.history.rows_learned(2) == ROWS - 24
    record = read_sidecar(field.head)
    assert record is not None
    assert (record.steps_left_out, record.total_examples_trained) == (6, 20 + ROWS - 24)
    assert_equal_weights(field.head, oracle(tmp_path, field))


def test_flagged_rows_are_those_of_the_data_file_and_stand_there_once(healed: tuple[Field, Lives]) -> None:
    field, _ = healed
    (line,) = quarantines_of(field)
    flagged = flagged_rows(field)
    rows = field.foes["long"].path.read_text().splitlines()
    assert sorted(row["line"] for row in flagged) == line.lines
    for row in flagged:
        assert row["row"] == json.loads(rows[row["line"] - 1])
        assert (row["quest_id"], row["file"], row["loss"]) == ("long", "long.jsonl", None)
    reasons = {row["quest_step"]: row["reason"] for row in flagged}
    assert reasons == {
        7: "quarantined", 8: "quarantined", 9: "quarantined", 10: "not_finite", 11: "not_finite", 12: "not_finite",
    }  # fmt: skip


def test_what_cannot_be_healed_is_withdrawn_and_undone(tmp_path: Path, dropout_model: Path) -> None:
    """B18: after two attempts; the weights are those of a run that never met the quest."""
    field = Field(tmp_path / "fought", dropout_model)
    foes = [field.foe("first", 20, **HEALING), field.foe("mad", 60, learning_rate=1e30, warmup_steps=0, **HEALING)]
    lives = learn_all(field, foes)
    assert lives.outcomes() == {"first": "learned", "mad": "withdrawn"}
    assert lives.count == 4
    ended = lives.end_of("mad")
    assert (ended.rows_learned, field.history.steps_of(2)) == (0, 0)
    assert "in 3 steps running; what it had taught is undone" in str(ended.reason)
    assert field.history.quarantines_of(2) == 2
    calm = Field(tmp_path / "calm", dropout_model)
    learn_all(calm, [calm.foe("first", 20, **HEALING)])
    assert_equal_weights(field.head, calm.head)
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field))


def test_what_cannot_be_undone_stays_and_the_reason_says_so(tmp_path: Path, tiny_model: Path) -> None:
    """The data of a quest before it are gone: it would be lost, were learning to begin again before it."""
    field = Field(tmp_path, tiny_model)
    first = field.foe("first", 20, **HEALING)
    mad = field.foe("mad", 60, learning_rate=1e30, warmup_steps=0, **HEALING)

    def forget(trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        def spoiled(batch: MicroBatch) -> torch.Tensor:
            if trainer._plan is not None and trainer._plan.ordinal == 2:
                first.path.unlink(missing_ok=True)
            return loss(batch)

        return spoiled

    lives = learn_all(field, [first, mad], forget)
    assert (lives.count, lives.said(WentBack)) == (1, [])
    assert lives.outcomes() == {"first": "learned", "mad": "withdrawn"}
    assert "what it had taught stays, as no checkpoint from before it can be used" in str(lives.end_of("mad").reason)
    assert field.history.quarantined == {}
