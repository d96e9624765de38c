"""What `/api/storage` sends, as models: they describe the answers in the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer

Health = Literal["healthy", "warning", "critical", "unreachable", "unknown"]


class StrongholdInShort(Answer):
    """One place in which assets lie; unknown is null."""

    name: str
    """`local_vault` is the realm's own directory."""
    type: Literal["local", "nas", "cloud", "remote"]
    status: Literal["active", "offline", "degraded", "maintenance", "unknown"]
    health: Health
    """`warning` from above `threshold_percent` in use, `critical` from above 95 %; `unreachable` does not answer."""
    reachable: bool | None
    usage_percent: float | None
    free_gb: float | None
    """10⁹ bytes."""
    error: str | None


class StrongholdTold(StrongholdInShort):
    """Everything that is known of one."""

    host: str | None
    share: str | None
    base_path: str | None
    """Where it is mounted on the realm's host."""
    total_gb: float | None
    used_gb: float | None
    file_system: str | None
    """Of the mount; that of a local disk where a share should be means that the share is not mounted."""
    last_seen_at: str | None
    """When it last answered, since the realm was started."""
    threshold_percent: float
    backup_count: int | None
    backup_gb: float | None
    backup_budget_gb: float | None
    """How much its backups may take; null where it is not mounted here."""
    newest_backup_at: str | None


class Storage(Answer):
    """The strongholds in short; the worst of them says how they are together."""

    status: Health
    stale: bool
    """True when nobody vouches for the report any more; what was momentary in it is null then."""
    reason: str | None
    updated_at: str | None
    stronghold_count: int
    reachable_count: int
    total_gb: float | None
    """Of those that answer."""
    free_gb: float | None
    strongholds: list[StrongholdInShort]


class StorageDetails(Answer):
    """The strongholds with everything that is known of each."""

    status: Health
    stale: bool
    reason: str | None
    updated_at: str | None
    strongholds: list[StrongholdTold]
