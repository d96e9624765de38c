"""What the first process tells the others, one plan after the other; each is obeyed before the next is listened to."""

from __future__ import annotations

import msgspec
import numpy as np

from arena.protocol import Arithmetic, Begin, QuestSettings
from arena.trainer.stream.batching import TokenRow
from arena.trainer.stream.step_plan import StepPlan


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """One of those below."""


class Enlist(Plan, frozen=True):
    """Load the hero as the first process has loaded it."""

    begin: Begin
    checkpoint: str | None
    """The directory whose model was loaded; None for the base model."""
    device: str
    usual: Arithmetic
    gradient_checkpointing: bool
    pad_id: int


class TensorLayout(msgspec.Struct, frozen=True, array_like=True):
    """A tensor that is sent."""

    name: str
    type: str
    """A name in `torch`, as `float32`."""
    shape: list[int]


class Replicate(Plan, frozen=True):
    """Take weights, buffers and the state of the optimizer, which follow in this order."""

    moments: list[list[TensorLayout]]
    """For each weight, in the optimizer's order, what the optimizer knows of it."""


class Idle(Plan, frozen=True):
    """There is nothing to do. Sent all the time, so that nobody waits in vain."""


class RowCopy(msgspec.Struct, frozen=True, array_like=True):
    line: int
    token_ids: bytes
    trained: bytes


class Gradients(Plan, frozen=True):
    """Compute your shares of a step, and add up the gradients of all."""

    ordinal: int
    quest_step: int
    settings: QuestSettings
    token_budget: int
    rows: list[RowCopy]

    @classmethod
    def of(cls, plan: StepPlan) -> Gradients:
        rows = [RowCopy(row.line, row.token_ids.tobytes(), row.trained.tobytes()) for row in plan.rows]
        return cls(
            ordinal=plan.ordinal, quest_step=plan.quest_step, settings=plan.settings, token_budget=plan.token_budget,
            rows=rows,
        )  # fmt: skip

    def step(self) -> StepPlan:
        """The step, as far as its gradients depend on it."""
        rows = [
            TokenRow(row.line, np.frombuffer(row.token_ids, dtype=np.int32), np.frombuffer(row.trained, dtype=np.bool_))
            for row in self.rows
        ]
        return StepPlan(
            ordinal=self.ordinal, quest_step=self.quest_step, rows=rows, settings=self.settings, learning_rate=0.0,
            learn=True, token_budget=self.token_budget,
        )  # fmt: skip


class Update(Plan, frozen=True):
    """Clip the gradients and make the optimizer's step."""

    learning_rate: float
    weight_decay: float
    norm: float
    """Of all gradients, before clipping."""
    max_norm: float


class Drop(Plan, frozen=True):
    """Throw the gradients away."""


class End(Plan, frozen=True):
    """All is saved: go."""


_Any = Enlist | Replicate | Idle | Gradients | Update | Drop | End

encode_plan = msgspec.msgpack.Encoder().encode
decode_plan = msgspec.msgpack.Decoder(_Any).decode
