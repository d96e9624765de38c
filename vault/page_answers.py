"""What the pages Vault and Checkpoint are told, as models for the OpenAPI document (spec 4.1).

Whatever is not known is null, never 0.
"""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer
from vault.answers import Checkpoint, TreasuryStatus
from vault.catalog.answers import StrongholdView
from vault.zone_answers import Zone


class BaseModel(Answer):
    """What the hero began with."""

    name: str
    display_name: str
    path: str | None
    """Null for a model that was made on the spot, or that lies nowhere here any more."""
    size_gb: float | None
    locked: bool
    """Whether the hero has trained: then it cannot be changed."""


class ShelfRow(Answer):
    """A checkpoint of the list."""

    name: str
    step: int
    path: str
    size_gb: float | None
    created: str | None
    age_hours: float | None
    train_loss: float | None
    is_latest: bool
    is_best: bool
    """By training loss."""
    is_champion: bool | None
    """Null as long as no championship was held."""


class VaultAssets(Answer):
    """What the Vault page begins with."""

    base_model: BaseModel | None
    checkpoints: list[ShelfRow]
    """Newest first."""
    checkpoint_count: int
    offset: int
    total_size_gb: float | None
    """Of all checkpoints, as their records tell; null where none does."""
    latest: ShelfRow | None
    best: ShelfRow | None
    head: str | None
    """Name of the present checkpoint."""
    assets_by_type: dict[str, int] | None
    """Null while the catalog is away."""


class VaultStorage(Answer):
    """How full it is."""

    looked_at: str
    """A look is told again for half a minute."""
    treasury: TreasuryStatus | None
    error: str | None
    """Why `treasury` is null."""
    strongholds: list[StrongholdView] | None


class ZoneDots(Answer):
    """The zones with their live state."""

    zones: list[Zone]
    count: int
    online: int


class Brief(Answer):
    """A checkpoint in short."""

    step: int
    name: str
    train_loss: float | None


class Available(Answer):
    """What there is."""

    count: int
    oldest_step: int | None
    latest_step: int | None
    nearest: list[Brief]
    """Those whose steps are next to the one asked for; else the newest."""


class Comparison(Answer):
    """How a checkpoint stands among all of the ledger."""

    metric: Literal["train_loss"]
    best: Brief | None
    is_best: bool
    rank: int | None
    """1 for the best."""
    of: int
    """How many have a loss."""
    behind_best: float | None
    previous: Brief | None
    """The one before it."""
    since_previous: float | None
    """Its loss less that of the one before."""
    next: Brief | None


class FileTold(Answer):
    name: str
    size_bytes: int


class Physical(Answer):
    """A checkpoint's directory."""

    path: str
    name: str
    exists: bool
    total_size_gb: float | None
    file_count: int
    files: list[FileTold]
    """At most 500, by name."""
    has_optimizer: bool
    has_scheduler: bool
    modified: str | None


class ProtectionTold(Answer):
    """How strongly something is held."""

    level: Literal["sacred", "protected", "guarded", "expendable"]
    reason: str


class Verification(Answer):
    """What is known of the health of its files."""

    verified_at: str | None
    """When all of it was last read again and found as it was saved."""
    saved_at: str | None
    problems: list[str]
    is_read_now: bool


class Deployment(Answer):
    """Where a checkpoint serves."""

    deployed: bool


class CheckpointData(Answer):
    """Everything that is told of a checkpoint without reading its weights."""

    step: int | None
    """Null where what was asked for is no step."""
    found: bool
    name: str | None
    address: str | None
    """What this directory alone is called: its name, behind `BRANCH/` where it lies on one."""
    branch: str | None
    is_head: bool
    ledger: Checkpoint | None
    comparison: Comparison | None
    """Null on a branch."""
    deployment: Deployment | None
    """Null: nothing is deployed yet."""
    physical: Physical | None
    protection: ProtectionTold | None
    verification: Verification | None
    available: Available


class Deletion(Answer):
    """A checkpoint that goes, or would."""

    dry_run: bool
    deleted: bool
    checkpoint: str
    step: int
    confirm: str
    """What has to be sent to have it done."""
    size_bytes: int
    frees_bytes: int | None
    """0 where a snapshot shares all its files; null where it stays."""
    held: ProtectionTold | None
    """What keeps it from being deleted."""
    text: str
    """All this in sentences."""
