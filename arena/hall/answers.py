"""What the checkpoint desk sends, as models: they describe its answers in the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from core.http.answer_models import Answer


class Node(Answer):
    """A checkpoint that another one goes on from, or that goes on from it."""

    name: str
    address: str
    """What this directory alone is called: its name, behind `BRANCH/` where it lies on one."""
    step: int
    branch: str | None
    train_loss: float | None


class Began(Answer):
    """What the history started from."""

    hero: str
    base_model: str
    at: str
    checkpoint: str | None
    """Name of the adopted checkpoint; null for a base model."""


class LearnedSum(Answer):
    quests: int
    rows: int
    """Counted once per epoch."""
    steps: int


class QuestLearned(Answer):
    """What a checkpoint holds of one quest."""

    ordinal: int
    quest_id: str
    file: str
    claimed_at: str
    content_hash: str
    rows: int
    """Learned in the stretch asked for, counted once per epoch."""
    steps: int
    rows_total: int
    """Learned of it altogether, up to this checkpoint."""
    rows_of_file: int
    epochs: int
    outcome: str
    """learned, skipped, withdrawn, lost, rewound, or `in progress`."""


class Lineage(Answer):
    """What a checkpoint has learned, and from which checkpoint it goes on."""

    checkpoint: Node
    known: bool
    """False where nobody can tell; `problem` says why."""
    problem: str | None
    genesis: Began | None
    parent: Node | None
    """The last checkpoint before it that is still there; null where it goes on from the beginning of the history."""
    children: list[Node]
    """Those that go on from it: the next one, and what rewinds have left behind."""
    since: LearnedSum | None
    """Since `parent`."""
    total: LearnedSum | None
    scope: Literal["since", "all"]
    offset: int
    quest_count: int
    """In the stretch asked for."""
    quests: list[QuestLearned]
    """The latest first."""


class ErrandTold(Answer):
    """A long errand."""

    id: int
    kind: Literal["verify", "export", "rewind"]
    checkpoint: str
    begun_at: str
    state: Literal["running", "done", "failed"]
    done_bytes: int | None
    total_bytes: int | None
    ended_at: str | None
    text: str | None
    """How it ended, in a sentence."""
    result: dict[str, Any] | None


class Errands(Answer):
    """The errand that is under way, and the last ones that have ended, the latest first."""

    running: ErrandTold | None
    ended: list[ErrandTold]


class ExportTold(Answer):
    """An export, before it or at its begin."""

    dry_run: bool
    checkpoint: str
    confirm: str
    """What has to be sent to have it done."""
    text: str
    """What it comes to, in sentences."""
    target: str
    files: list[str]
    needed_bytes: int | None
    free_bytes: int | None
    merged: bool
    """Whether adapters are merged into their base model."""
    refusal: str | None
    """Why it cannot be made now."""
    errand: ErrandTold | None
    """Null in a dry run."""


class Undone(Answer):
    """A quest, or the last part of one, that is not learned any more."""

    quest_id: str
    file: str
    rows_undone: int
    rows_kept: int
    outcome: str
    found: bool
    queued_as: str | None


class Changes(Answer):
    """What a rewind changes."""

    checkpoint: str | None
    step: int
    from_checkpoint: str | None
    from_step: int
    undone: list[Undone]
    redone: list[str]
    left_behind: list[str]
    branch: str | None


class RewindTold(Answer):
    """A rewind, before it or at its begin."""

    dry_run: bool
    checkpoint: str
    confirm: str
    """What has to be sent to have it done."""
    requeue: bool
    changes: Changes | None
    """Null where the hero stands there, and nothing was learned since."""
    text: str
    """What it comes to, in sentences."""
    errand: ErrandTold | None
    """Null in a dry run."""
