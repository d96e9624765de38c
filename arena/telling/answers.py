"""What the routes of `arena.telling` send, and the parts of the snapshot that are theirs, as models for the document.

Whatever is not known is null, never 0.
"""

from __future__ import annotations

from typing import Any, Literal

from core.http.answer_models import Answer


class SeriesInShort(Answer):
    """A series and how far it goes."""

    name: str
    title: str
    unit: str | None
    first_step: int
    last_step: int
    last_value: float


class SeriesList(Answer):
    """The series that have points."""

    series: list[SeriesInShort]


class CurveTold(Answer):
    """Lists of one length; entry n of each belongs together, steps rise."""

    name: str
    first_step: int | None
    last_step: int | None
    """Of the whole series; null while it has no points."""
    resolution: int
    """Steps that one entry stands for at most; 1 where each is a point as it was recorded."""
    points: int
    """Points that the entries stand for."""
    steps: list[int]
    """Of an entry, its last step."""
    values: list[float | None]
    """Its mean."""
    lows: list[float | None]
    highs: list[float | None]


class Tale(Answer):
    """Something that happened, as the battle log shows it."""

    id: int
    at: str
    """ISO 8601 UTC."""
    time: str
    """Of the realm's machine."""
    date: str
    icon: str
    message: str
    type: str
    category: Literal["battle", "quests", "guild", "vault", "realm", "trouble"]
    display: str
    """Time, icon and message in one line."""
    data: dict[str, Any] | None


class Tales(Answer):
    """A page of the battle log, the newest first."""

    tales: list[Tale]
    count: int
    """Of this page."""
    next_before: int | None
    """`before` of the next page; null where there is none."""


class TaleStats(Answer):
    """How many tales are kept."""

    total: int
    by_category: dict[str, int]
    by_type: dict[str, int]
    newest_id: int | None
    newest_at: str | None
    told_at: str


class RemedyTold(Answer):
    """What a person can do."""

    action: Literal["resume", "drop_file", "open_quests", "open_settings", "command"]
    command: str | None
    """What to type."""


class CauseTold(Answer):
    """One reason why less happens than could."""

    kind: str
    weight: Literal["halt", "hold", "busy", "note"]
    """halt: nothing is learned until it is over; hold: a part stands still; busy: it passes by itself; note: worth a
    look."""
    message: str
    since: str | None
    until: str | None
    """When it ends by itself, where that is known."""
    remedies: list[RemedyTold]


class Momentum(Answer):
    """Why nothing is happening, the weightiest cause first."""

    moving: bool
    """Whether steps are made."""
    state: str
    causes: list[CauseTold]


class Gpu(Answer):
    """The first GPU; all is null without one."""

    name: str | None
    utilization_pct: int | None
    vram_used_gb: float | None
    vram_total_gb: float | None
    temperature_c: int | None


class MachineNow(Answer):
    """What the machine is busy with, a few seconds old at most."""

    cpu_percent: int | None
    """Of all cores together."""
    cores: int | None
    ram_used_gb: float | None
    ram_total_gb: float | None
    disk_used_gb: float | None
    """Of the disk of the base directory, like the next two."""
    disk_free_gb: float | None
    disk_total_gb: float | None
    realm_ram_gb: float | None
    """Of the control process."""
    trainer_ram_gb: float | None
    gpus: int | None
    """None while nobody can tell."""


class SkillInShort(Answer):
    """Where the hero stands in one skill."""

    current_level: int
    """The highest that is mastered; 0 for none."""
    training_level: int
    recent_accuracy: float | None
    """Mean of the last three examinations at the level being learned."""
    eval_count: int


class CurriculumInShort(Answer):
    """The curriculum."""

    active_skill: str | None
    skills: dict[str, SkillInShort]
