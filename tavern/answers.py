"""What the page's snapshot holds, as models: they describe `GET /api/game` in the OpenAPI document.

Whatever is not known is null, never 0.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from arena.answers import TrainingReport
from arena.telling.answers import CurriculumInShort, Gpu, MachineNow, Momentum
from core.http.answer_models import Answer


class RealmNow(Answer):
    """What the realm does."""

    state: str
    """starting, idle, preparing, training, replaying, evaluating, saving, pausing, paused, stopping, stopped, crashed
    or unknown."""
    reason: str | None
    since: str
    version: str


class Model(Answer):
    """What the hero is made of."""

    name: str
    parameters: int | None
    device: str | None


class HeroNow(Answer):
    """The hero and its stats (DESIGN section 6)."""

    id: str
    name: str
    level: int | None
    """Thousands of steps."""
    xp: int | None
    """Steps."""
    atk: float | None
    """1 / loss."""
    defense: float | None = Field(alias="def")
    """1 / validation loss."""
    acc: float | None
    gold: int | None
    """100 for each completed quest."""
    model: Model


class QuestNow(Answer):
    """The quest that is fought; rows and steps count over all epochs, speed and time left are null while it rests."""

    file: str
    quest_id: str
    rows_done: int
    rows_total: int
    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float | None
    learning_rate: float | None
    tokens_per_sec: float | None
    eta_seconds: float | None
    replaying: bool


class Lanes(Answer):
    """Files in each lane, and in the inbox."""

    high: int
    normal: int
    low: int
    processing: int
    awaiting_seal: int
    completed: int
    failed: int
    inbox: int


class LeftLying(Answer):
    """Something in the inbox that is not taken."""

    file: str
    """Its path from the inbox down."""
    reason: str


class InboxNow(Answer):
    """What lies in the inbox."""

    waiting: int
    """Files that will be taken by themselves."""
    left_lying: int | None
    """Files that will not: strange ones, and those that could not be taken in; null before the first look."""
    named: list[LeftLying]
    """The first ten of these."""
    blocked: str | None
    """Why nothing at all is taken at the moment, such as a full disk; null when that is not so."""


class CheckpointShown(Answer):
    """A checkpoint in short."""

    name: str
    step: int
    train_loss: float | None
    saved_at: str
    size_gb: float | None


class Checkpoints(Answer):
    """The newest checkpoint, and how many there are."""

    latest: CheckpointShown | None
    count: int


class VaultInShort(Answer):
    """What the ledger tells of checkpoints on disk."""

    checkpoint_count: int
    total_size_gb: float | None
    """null where the size of one of them is not known."""
    checkpoints: list[CheckpointShown]
    """The newest ten."""


class EventTold(Answer):
    """Something that happened."""

    id: int
    at: str
    kind: str
    message: str
    data: dict[str, Any] | None


class Mood(Answer):
    """What the hero has just lived through."""

    wound: EventTold | None
    """The last step from which nothing could be learned: the loss spiked, or was not finite."""
    rise: EventTold | None
    """The last level that was reached, of the hero or of a skill."""


class Game(Answer):
    """Everything a page starts from; the event stream tells what follows."""

    timestamp: str
    realm: RealmNow
    hero: HeroNow
    training: TrainingReport
    quest: QuestNow | None
    queue: Lanes
    inbox: InboxNow
    loss: list[tuple[int, float]]
    """Step and loss, at most 500 pairs, steps rising."""
    validation: list[tuple[int, float]]
    """The same of the validation loss."""
    checkpoint: Checkpoints
    vault: VaultInShort
    gpu: Gpu
    machine: MachineNow
    curriculum: CurriculumInShort | None
    """null before the guild has looked at it."""
    momentum: Momentum
    mood: Mood
    events: list[EventTold]
    """At most 30, oldest first."""
    last_event_id: int
    """The stream is asked for what follows it."""


class Sites(Answer):
    """The sites whose documents `/docs/{site}.json` shows."""

    sites: list[str]
