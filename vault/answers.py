"""What `/api/ledger` sends, as models: they describe the answers in the OpenAPI document (spec 1.8, 1.9)."""

from __future__ import annotations

from typing import Literal

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
    """Kept within the limits of `retention`; all others share the rolling slot."""
    code_version: str | None
    seed: int | None
    steps_left_out: int | None
    """Steps that were counted and taught nothing: not finite, spikes, taken back, or too large for the memory."""
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
    """Newest first, or as it was asked for."""
    count: int
    """On this page."""
    total: int
    """In the whole list, as filtered."""
    offset: int
    head: str | None
    """Name of the present checkpoint; null before the first one."""
    metric: str
    best: str | None
    """Name of the checkpoint that is best by `metric`, whether or not it is on this page; null where none has any."""


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


class TreasuryStatus(Answer):
    """Room on the disk, and what the vault takes of it (spec 1.13)."""

    total_gb: float
    """Of the disk that the checkpoints lie on; 10⁹ bytes."""
    used_gb: float
    free_gb: float
    usage_percent: float
    health: Literal["healthy", "warning", "critical"]
    """`warning` from above 80 % in use, `critical` from above 90 %."""
    checkpoint_count: int
    checkpoint_size_gb: float
    branch_count: int
    """Checkpoints that rewinds and adoptions have left behind."""
    branch_size_gb: float
    archive_count: int
    """Models of earlier heroes, and of the present one before he began anew."""
    archive_size_gb: float
    snapshot_count: int
    snapshot_size_gb: float
    """A snapshot shares its files with its checkpoint as long as that is there."""
    kept_gb: float
    """All of these together, shared files counted once."""
    copy_count: int
    """Checkpoints in `models/` that were fetched from other hosts."""
    copy_size_gb: float
    backup_count: int
    """Backups in the base directory itself; `/api/storage` on 8081 tells of strongholds."""
    backup_size_gb: float
    limit_gb: int
    """`retention.total_gigabytes`."""


class Holding(Answer):
    """One thing in the vault."""

    kind: Literal["resumable", "weights_only", "branch", "archive", "snapshot", "copy", "backup"]
    name: str
    stronghold: str
    """Where it lies; `local_vault` is the realm's own directory."""
    step: int | None
    size_bytes: int


class Deleted(Holding):
    """One thing that goes."""

    frees_bytes: int
    """0 where all its files are also those of something that is still there."""
    reason: str


class Kept(Holding):
    """One thing that stays."""

    protection: Literal["sacred", "protected", "guarded", "expendable"]
    reason: str | None
    """What holds it; null where it is merely within all limits."""


class Pruned(Answer):
    """A round of pruning."""

    dry_run: bool
    """True when nothing was deleted yet."""
    freed_bytes: int
    deleted: list[Deleted]
    """In their order."""
    kept: list[Kept]


class Testimony(Answer):
    """What a witness says of a copy."""

    name: str
    checksum: str
    holds: bool
    """Whether a whole copy with this checksum lies on the disks of this host, and nobody here is about to delete it."""
    verified_at: str | None
    """When all of it was last read."""
    place: str | None
    """Which directory of which running machine it is, whatever it is called."""
    reason: str | None
    """Why it does not hold it."""


class PinTold(Answer):
    """An asset that a realm cannot do without."""

    name: str
    checksum: str | None
    protection: Literal["sacred", "protected", "guarded", "expendable"]
    reason: str


class Pins(Answer):
    """All of them that other hosts can know again by their checksums."""

    count: int
    pins: list[PinTold]


class Backup(Answer):
    """One asset in a backup."""

    name: str
    stronghold: str
    path: str
    asset_id: str
    asset_type: str
    asset_name: str
    size_bytes: int
    checksum: str
    sealed_at: str
    verified_at: str
    """When all of it was last read and found whole."""
    reason: str | None
    host: str
    base_dir: str
    """The realm that has made it; only that one's limits apply to it."""
    came_from: str


class Backups(Answer):
    """The backups in reach, oldest first in each stronghold."""

    count: int
    backups: list[Backup]
    unreachable: dict[str, str]
    """Strongholds that do not answer, and why."""
