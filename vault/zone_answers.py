"""What `/api/zones` and `/api/hosts` send, as models: they describe the answers in the OpenAPI document (spec 1.9)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from core.http.answer_models import Answer


class Zone(Answer):
    """A host that keeps assets; what nobody knows is null."""

    zone_id: str
    name: str
    zone_type: Literal["central", "inference", "storage", "compute"]
    host: str
    port: int
    ssh_user: str | None
    base_path: str | None
    checkpoint_path: str | None
    model_path: str | None
    status: Literal["online", "offline", "degraded"]
    error: str | None
    """Why it is not online."""
    last_checked: str
    last_sync: str | None
    """When the last asset had come whole from there or gone there, as far as this vault was told."""
    can_train: bool
    can_infer: bool
    can_store: bool
    asset_count: int | None
    total_size_gb: float | None
    disk_free_gb: float | None
    disk_total_gb: float | None


class LiveStatus(Answer):
    """What a zone says of itself: that of its officer (`/status` there), else the numbers of its vault."""

    model_config = ConfigDict(extra="allow")

    status: Literal["online", "offline", "degraded"]
    """Alone, where it says nothing."""


class ZoneNow(Zone):
    """A zone that was asked just now."""

    offline: bool
    """Whether it does not answer."""
    live_status: LiveStatus


class Zones(Answer):
    """All zones, and the sums over those that are online."""

    total_zones: int
    online_zones: int
    offline_zones: int
    """Those that are not online."""
    total_assets: int
    total_free_gb: float
    zones: list[Zone]


class ZoneAssets(Answer):
    """A page of what a zone lists, as it tells it."""

    model_config = ConfigDict(extra="allow")

    zone_id: str
    count: int
    assets: list[dict[str, Any]]


class Service(Answer):
    """A service of a host."""

    port: int
    path: str
    protocol: Literal["http", "https"]
    auth_required: bool


class Host(Answer):
    """A machine of the realm."""

    name: str
    host: str
    role: Literal["trainer", "inference", "storage", "hybrid"]
    ssh_user: str | None
    services: dict[str, Service]
    base_dir: str | None
    models_dir: str | None
    checkpoints_dir: str | None
    capabilities: list[str]


class Hosts(Answer):
    """The host registry."""

    hosts: dict[str, Host]
    local_host: str | None
    """The one that answers; null where it does not know."""
    default_trainer: str | None
    default_inference: str | None


class Carried(Answer):
    """An asset that was carried between two zones."""

    success: bool
    source: str
    """Its path, or what the other zone was asked for."""
    destination: str
    """Its path where it is now."""
    duration_seconds: float
    source_zone: str | None
    """Null where this host does not know which one it is."""
    target_zone: str | None
