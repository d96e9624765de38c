"""What `/api/ledger` sends, as models: they describe the answers in the OpenAPI document (spec 1.8, 1.9)."""

from __future__ import annotations

from pydantic import ConfigDict

from core.http.answer_models import Answer


class Checkpoint(Answer):
    """One checkpoint and its numbers at the moment it was saved; what was not known is null."""

    step: int
    timestamp: str
    """When it was saved, ISO 8601 UTC."""
    path: str
    canonical_name: str
    """Name of the directory."""
    train_loss: float | None
    """Mean cross-entropy per target token, nats."""
    val_loss: float | None
    learning_rate: float | None
    epoch: float | None
    accuracy: float | None
    perplexity: float | None
    training_file: str | None
    skill_name: str | None
    skill_level: int | None
    total_examples_trained: int | None
    """Rows learned since the base model."""
    size_bytes: int | None
    has_optimizer: bool
    created_by: str
    ledger_version: str
    base_model: str | None
    quest_id: str | None
    ordinal: int | None
    """The quest's ordinal in the journal."""
    hero: str | None
    milestone: bool
    """Kept for good; all others share the rolling slot."""
    code_version: str | None
    seed: int | None
    size_gb: float | None
    """10⁹ bytes."""
    age_hours: float | None
    display_name: str
    """For people, such as `Step 190,000 | Loss 0.4320 | bin L5`."""


class Best(Checkpoint):
    """The checkpoint that is best by the metric asked for."""

    metric: str
    value: float


class CheckpointList(Answer):
    """One page of the ledger."""

    checkpoints: list[Checkpoint]
    """Newest first."""
    count: int
    """On this page."""
    total: int
    """In the whole list, as filtered."""
    offset: int


class Summary(Answer):
    """All checkpoints in a few numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "count": 2,
                    "latest_step": 1189,
                    "oldest_step": 1000,
                    "best_loss": 0.431,
                    "worst_loss": 0.5,
                    "total_size_gb": 0.0202,
                    "skills_trained": ["bin"],
                }
            ]
        }
    )

    count: int
    latest_step: int | None
    oldest_step: int | None
    best_loss: float | None
    worst_loss: float | None
    total_size_gb: float
    skills_trained: list[str]
