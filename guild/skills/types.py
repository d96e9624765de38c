"""What stands in a skill's YAML file (seed 003, spec 1.17), and the batches of samples that trainers give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from core.errors import InvalidInput
from core.settings import Section

DEFAULT_THRESHOLD = 0.80
"""Share of right answers from which a level counts as mastered, where the file says nothing of it."""
MOST_SAMPLES = 100_000
"""Of one batch."""
HIGHEST_LEVEL = 1000

Text = Annotated[str, Field(min_length=1)]
Route = Annotated[str, Field(pattern=r"^(GET|POST) /\S*$")]
Threshold = Annotated[float, Field(gt=0, le=1)]


def _http_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _has_a_port(parts):
        raise ValueError("an address looks like http://localhost:8080")
    return url.rstrip("/")


def _has_a_port(parts: SplitResult) -> bool:
    """Whether its port, where it names one, can be one."""
    try:
        return parts.port != 0
    except ValueError:
        return False


class SkillDisplay(Section):
    """How the pages show the skill."""

    icon: Text
    color: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
    short_name: Annotated[str, Field(min_length=1, max_length=16)]


class SkillEndpoints(Section):
    """Method and path of what its API answers."""

    health: Route = "GET /health"
    info: Route = "GET /info"
    levels: Route = "GET /levels"
    generate: Route = "POST /generate"


class SkillAPI(Section):
    """The server that makes its problems."""

    url: Annotated[str, AfterValidator(_http_address)]
    source_dir: str | None = None
    """Where the code of the server lies; for people."""
    start_command: str | None = None
    """What starts it; for people, nothing runs it."""
    endpoints: SkillEndpoints = SkillEndpoints()


class OutputSchema(Section):
    """What an answer looks like."""

    format: Text
    structure: str | dict[str, Any] | None = None
    rules: tuple[str, ...] = ()


class SkillTraining(Section):
    """How its training data are made; for people."""

    format: Text
    fields: tuple[str, ...] = ()
    generate_command: str | None = None
    validate_command: str | None = None


class SkillEval(Section):
    """How it is examined."""

    samples_per_level: Annotated[int, Field(ge=1, le=1000)] = 5
    """Problems of the static evaluation set of each level."""
    endpoint: Annotated[str, Field(pattern=r"^/\S*$")] = "/eval"
    local_cache: str | None = None
    combinatorial_space: str = "infinite"
    overlap_probability: str = "~0"
    consecutive_passes: Annotated[int, Field(ge=1, le=100)] = 3
    """Examinations whose mean has to reach the threshold."""


class SkillConfig(Section):
    """One skill file."""

    id: Text
    name: Text
    version: Text
    description: Text
    category: Literal[
        "reasoning", "math", "compression", "generation", "classification", "tool_use", "instruction", "code"
    ]
    source: Literal["api", "builtin"] = "api"
    """`builtin`: the realm has the generator itself, and asks no server for problems."""
    display: SkillDisplay
    tags: tuple[str, ...] = ()
    api: SkillAPI
    max_level: Annotated[int, Field(ge=1, le=HIGHEST_LEVEL)]
    level_progression: dict[int, dict[str, Any]]
    """By level, what is new there."""
    output_schema: OutputSchema
    training: SkillTraining
    eval: SkillEval = SkillEval()
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    primary_metric: Text
    accuracy_thresholds: dict[int, Threshold] = Field(default_factory=dict)
    """By level; a level without one has that of the next lower level that has one, else 0.80."""
    xp_multiplier: Annotated[float, Field(gt=0, le=100)] = 1.0
    rpg_name: Text
    rpg_description: Text
    difficulty_system: dict[str, Any] | str | None = None
    operations: tuple[str, ...] | dict[str, Any] | None = None
    auxiliary_tasks: tuple[str, ...] | dict[str, Any] | None = None
    anti_overfitting: tuple[str, ...] | dict[str, Any] | None = None
    special_rules: tuple[str, ...] | None = None

    @field_validator("level_progression", "accuracy_thresholds")
    @classmethod
    def _levels_that_are_there(cls, given: dict[int, Any], found: ValidationInfo) -> dict[int, Any]:
        most = found.data.get("max_level")
        if most is not None and (beyond := sorted(level for level in given if not 1 <= level <= most)):
            raise ValueError(f"it names level {beyond[0]}, but levels are 1 to {most} (max_level)")
        return given

    @field_validator("primary_metric")
    @classmethod
    def _one_of_the_metrics(cls, given: str, found: ValidationInfo) -> str:
        metrics = found.data.get("metrics")
        if metrics is not None and given not in metrics:
            raise ValueError(f"it is not among metrics: {', '.join(metrics)}")
        return given

    @property
    def icon(self) -> str:
        return self.display.icon

    @property
    def color(self) -> str:
        return self.display.color

    @property
    def short_name(self) -> str:
        return self.display.short_name

    @property
    def api_url(self) -> str:
        return self.api.url

    def check_wish(self, level: int, count: int) -> None:
        """Raise `InvalidInput` for a batch that cannot be: a level that is not there, or no sample at all (C25)."""
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= self.max_level:
            raise InvalidInput(
                f"Skill {self.id} has no level {level!r}.", hint=f"Its levels are 1 to {self.max_level}."
            )
        if not 1 <= count <= MOST_SAMPLES:
            raise InvalidInput(f"A batch has 1 to {MOST_SAMPLES} samples, not {count}.")

    def get_threshold(self, level: int) -> float:
        """The share of right answers from which `level` counts as mastered."""
        below = [given for given in self.accuracy_thresholds if given <= level]
        return self.accuracy_thresholds[max(below)] if below else DEFAULT_THRESHOLD


@dataclass(frozen=True, slots=True)
class Sample:
    """One problem as a chat, with every answer that counts as golden."""

    messages: list[dict[str, str]]
    metadata: dict[str, Any]
    golden_answers: list[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of one level."""

    skill_id: str
    level: int
    samples: list[Sample]
    level_info: dict[str, Any]
    """What is known of the level; of a built-in skill also the seed of this batch."""


class SkillTrainer(Protocol):
    """Whatever gives samples of one skill: the generator in this process, or a server."""

    def sample(self, level: int, count: int = 100, seed: int | None = None) -> Batch:
        """`count` samples to train on; raises `RealmError` and never gives an empty batch (failure C25)."""
        ...

    def health(self) -> bool: ...

    def info(self) -> dict[str, Any]: ...

    def levels(self) -> list[dict[str, Any]]: ...
