"""What port 8081 sends, as models: they describe the answers in the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer


class DisturbanceSeen(Answer):
    """Something that people should look at."""

    severity: Literal["warning", "alarm"]
    name: str
    message: str


class Vision(Answer):
    """The battle as the scrying pool shows it; unknown is null."""

    battle_state: Literal["idle", "preparing", "fighting", "paused", "victory", "retreat", "defeated", "unknown"]
    quest_file: str | None
    current_round: int | None
    """Steps of the quest that are done."""
    total_rounds: int | None
    progress_percent: float | None
    campaign: int | None
    """Quests completed so far."""
    total_campaigns: int | None
    damage_taken: float | None
    """Loss."""
    hit_rate: float | None
    """Accuracy in percent."""
    rounds_per_second: float | None
    time_remaining: float | None
    """Seconds to the end of the quest."""
    eta: str | None
    hero_vram_mb: float | None
    hero_checkpoint: str | None
    observed_at: str
    stale: bool
    """True when there is a report but it is out of date or its writer is gone."""
    disturbances: list[DisturbanceSeen]


class Verdicts(Answer):
    """Files that were judged."""

    total: int
    passed: int
    failed: int


class FrequentError(Answer):
    """A kind of error; numbers in the message are written `#`."""

    message: str
    files: int


class GeneratorCounts(Verdicts):
    """What became of the files of one generator."""

    fail_rate: float
    last_seen: str | None
    by_validator: dict[str, Verdicts]
    errors: dict[str, int]
    """Files by kind of error: up to fifty of the frequent kinds."""
    top_errors: list[FrequentError]


class ValidatorCounts(Verdicts):
    """What one validator said of the files of each generator."""

    fail_rate: float
    last_seen: str | None
    by_generator: dict[str, Verdicts]


class Worst(Answer):
    """Where most files fail, of those with at least ten."""

    id: str
    fail_rate: float
    total: int


class LineageSummary(Answer):
    """All counts in short."""

    total_generators: int
    total_validators: int
    worst_generator: Worst | None
    worst_validator: Worst | None
    overall_fail_rate: float


class KnownGenerator(Answer):
    """A generator that the realm knows, whether or not it has made a file."""

    version: str
    source: str
    """`generated` here, a `skill API`, or `human`."""
    description: str


class Lineage(Answer):
    """Verdicts of the gates by generator and by validator, each as `id@version`."""

    total_validations: int
    last_updated: str | None
    generators: dict[str, GeneratorCounts]
    validators: dict[str, ValidatorCounts]
    summary: LineageSummary
    registry: dict[str, KnownGenerator]
    """`core.lineage.GENERATOR_REGISTRY`, by generator id."""
