"""What `/api/training/*` sends, as models: they describe the answers in the OpenAPI document (spec 1.6, 1.7, 1.9)."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, RootModel

from core.http.answer_models import Answer


class DiskNow(Answer):
    """The disk of `current_model/`, as the realm watches it."""

    state: Literal["plenty", "low", "full", "short", "read_only", "missing", "failing"]
    """low: few more checkpoints fit; short: the next one does not; plenty; by all others training is paused."""
    message: str | None
    """What is wrong, for people."""
    free_bytes: int | None
    reserved_bytes: int | None
    """What the reserve takes, which is given up when the disk is full."""
    next_save_bytes: int | None
    """Size of the newest checkpoint that training can go on from."""


class TrainingReport(Answer):
    """What training does and how far it is; unknown is null."""

    status: str
    """starting, idle, preparing, training, replaying, paused, saving, evaluating, stopping, stopped or crashed;
    `unknown` when nobody vouches for it any more."""
    reason: str | None
    """Why, for people."""
    since: str
    timestamp: str
    model_name: str
    hero: str
    context_window: int
    """Tokens of one row at most."""
    current_step: int | None
    """Steps since the base model."""
    total_steps: int | None
    """What `current_step` is at the end of the quest."""
    epoch: int | None
    loss: float | None
    """Mean cross-entropy per target token of the last step, nats."""
    learning_rate: float | None
    validation_loss: float | None
    val_train_gap: float | None
    current_file: str | None
    quest_id: str | None
    replaying: bool
    batch_step: int | None
    """Steps of the quest that are done."""
    batch_total_steps: int | None
    batch_queue_size: int
    """Quests that wait."""
    progress_percent: float | None
    rows_learned: int | None
    rows_total: int | None
    tokens_per_sec: float | None
    eta_seconds: float | None
    train_loss_history: list[tuple[int, float | None]]
    """The newest steps with their losses."""
    checkpoint: str | None
    disk: DiskNow | None
    """null until it was looked at."""


class TrainingTold(TrainingReport):
    """`status/training_status.json`, and whether it still holds."""

    stale: bool
    """True when it is out of date or its writer is gone."""
    heartbeat_at: str
    """When it was written, ISO 8601 UTC."""
    valid_until: str
    pid: int
    last_status: str | None = None
    """What a stale status said."""


class TrainingUntold(Answer):
    """No status has been written yet, or it cannot be read."""

    status: Literal["unknown"]
    stale: Literal[True]
    reason: str
    heartbeat_at: None
    valid_until: None
    pid: None
    last_status: None


class TrainingStatus(RootModel[TrainingTold | TrainingUntold]):
    """What a reader may believe of training."""


class Waiting(Answer):
    """The quests of one priority that wait."""

    count: int
    files: list[str]
    """The next ten at most, in the order in which they will be claimed."""


class Queues(Answer):
    """What waits, by priority."""

    high: Waiting
    normal: Waiting
    low: Waiting


class QueueView(Answer):
    """How many quests lie where, and which come next."""

    pending: int
    processing: int
    awaiting_seal: int
    """Trained, but not yet covered by a checkpoint."""
    failed: int
    queues: Queues


class Granted(Answer):
    """A wish that lies in `control/`; training obeys at its next step boundary."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"success": True, "action": "pause", "message": "pause: takes effect at the next step boundary"},
            ]
        }
    )

    success: bool
    action: str
    message: str


class QuestMoved(Answer):
    """What was done to a quest."""

    success: bool
    action: str
    quest: str
    """Name of its file now."""


class ProfileShare(Answer):
    """What was rendered with one profile."""

    profile: str
    quests: int
    rows: int


class ProtocolMix(Answer):
    """How answers keep the emoji protocol, by quests that DEEP has looked at."""

    quests: int
    answers: int
    emoji: int
    direct: int
    malformed: int


class DataHealth(Answer):
    """What the newest learned quests, two hundred at most, were made of; unknown is null."""

    quests: int
    rows: int
    measured: int
    """Of them, those that the gate before training has measured: all below is of these."""
    profiles: list[ProfileShare]
    protocol: ProtocolMix | None
    """null where DEEP has looked at none."""
    rows_truncated: int | None
    tokens_lost: int | None
    quests_with_remarks: int | None
