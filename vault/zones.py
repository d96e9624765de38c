"""The zones of a realm: hosts of the registry that keep assets, asked how they are, all at once and never for long.

A zone is a host with a branch officer or a vault; its id is that of the host. One that does not answer is shown as
offline, and nobody waits for it (seed 003, Zone Federation).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, NotFound, RealmError, Unavailable, Unreached
from core.http.tokens import client_token
from core.own_threads import OwnThreads
from core.paths import RealmPaths
from vault.assets import LOCAL
from vault.transfer.byte_address import root_of
from vault.zone_calls import ZoneCalls

if TYPE_CHECKING:
    from core.hosts import Host, HostRegistry

PROBE_SECONDS = 2.0
READING_SECONDS = 3600.0
"""For a zone to read hundreds of gigabytes."""
FRESH_SECONDS = 10.0
"""So long an answer is told again, unless a new one is asked for."""
MOST_AT_ONCE, MOST_WAITING = 16, 1000

ZONE_TYPES = {"trainer": "central", "inference": "inference", "storage": "storage", "hybrid": "compute"}


class Zones:
    """Those of one registry, which is read anew each time; thread-safe. Everything here waits for the network."""

    def __init__(
        self,
        registry: Callable[[], HostRegistry],
        token: Callable[[], str | None],
        *,
        probe_seconds: float = PROBE_SECONDS,
        last_syncs: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """`last_syncs` tells by stronghold when an asset was last carried from it or to it (`Catalog.last_syncs`)."""
        self.registry = registry
        self._token = token
        self._calls = ZoneCalls(token, probe_seconds)
        self._probe_seconds = probe_seconds
        self._last_syncs = last_syncs
        self._probes = OwnThreads("questions to zones", MOST_AT_ONCE, waiting=MOST_WAITING)
        self._told: tuple[float, list[dict[str, Any]]] | None = None
        self._looking = threading.Lock()

    @classmethod
    def of(cls, paths: RealmPaths, last_syncs: Callable[[], Mapping[str, str]] = dict) -> Zones:
        """Those of a base directory, asked with its token."""

        def registry() -> HostRegistry:
            # Loaded on use: no start waits for it.
            from core.hosts import get_registry

            return get_registry(paths)

        return cls(registry, lambda: client_token(paths.token_file), last_syncs=last_syncs)

    def overview(self, *, fresh: bool = False) -> dict[str, Any]:
        """All zones with their live state (spec 1.9, `/api/zones`). Who asks while others are asked waits for that."""
        asked_at = time.monotonic()
        with self._looking:
            if self._told is None or self._told[0] < (asked_at if fresh else asked_at - FRESH_SECONDS):
                zones = self._look()
                self._told = (time.monotonic(), zones)
            zones = self._told[1]
        online = [zone for zone in zones if zone["status"] == "online"]
        return {
            "total_zones": len(zones),
            "online_zones": len(online),
            "offline_zones": len(zones) - len(online),
            "total_assets": sum(zone["asset_count"] or 0 for zone in online),
            "total_free_gb": sum(zone["disk_free_gb"] or 0.0 for zone in online),
            "zones": zones,
        }

    def zone(self, zone_id: str) -> dict[str, Any]:
        """One zone, asked now, with what it says of itself; raises `NotFound` for an unknown one."""
        registry = self.registry()
        told, said = self._probe(registry, _zone_of(registry, zone_id))
        live = {**said, "status": told["status"]}
        return {
            **self._with_sync(registry, told, self._syncs()),
            "offline": told["status"] == "offline",
            "live_status": live,
        }

    def assets(self, zone_id: str, *, asset_type: str | None, limit: int, offset: int) -> dict[str, Any]:
        """What a zone lists, page by page; raises `Unavailable` when it is away."""
        registry = self.registry()
        query = {"limit": str(limit), "offset": str(offset), **({"type": asset_type} if asset_type else {})}
        places = {"branch": "/assets", "vault": "/api/search"}
        _, told = self._ask(registry, _zone_of(registry, zone_id), places, query)
        return {**told, "zone_id": zone_id}

    def verify(self, zone_id: str, reference: str) -> dict[str, Any]:
        """Have a zone read its copies of an asset again, and tell what it found; raises `Unreached` when it is away."""
        # Loaded on use: few ask for it.
        from vault.transfer.greeting import greet
        from vault.transfer.patience import AWAY_SECONDS

        registry = self.registry()
        host = _zone_of(registry, zone_id)
        away: Unreached | None = None
        # Of a vault, what lies in its own directory: the rest lies in storages, or elsewhere.
        asked: dict[str, tuple[str, dict[str, str]]] = {
            "vault": ("/api/verify", {"stronghold": LOCAL}), "branch": ("/verify", {}),
        }  # fmt: skip
        for service, (place, more) in asked.items():
            if service in host.services:
                body = {"asset_id": reference, **more}
                root = root_of(registry.service_url(service, host.id))
                try:
                    greet(root, retry_seconds=AWAY_SECONDS)
                except Unreached as error:
                    away = away or Unreached(f"{zone_id} is away: {error.message}", hint=error.hint)
                else:
                    return ZoneCalls(self._token, READING_SECONDS).post(registry, root, place, body)
        raise away or Unreached(f"{host.id} has no service that could be asked.")

    def _look(self) -> list[dict[str, Any]]:
        registry = self.registry()
        hosts = [host for host in registry.hosts.values() if _is_zone(host)]
        asked = {self._probes.start(partial(self._probe, registry, host)): host for host in hosts}
        # Connecting and reading may each take their time.
        done, late = wait(asked, timeout=2 * self._probe_seconds)
        for asking in late:
            asking.cancel()
        away = Unavailable(f"It did not answer within {2 * self._probe_seconds:g} s.")
        told = [
            asking.result()[0] if asking in done else _told(host, "offline", error=away)
            for asking, host in asked.items()
        ]
        syncs = self._syncs()
        return [self._with_sync(registry, zone, syncs) for zone in told]

    def _syncs(self) -> Mapping[str, str]:
        try:
            return self._last_syncs()
        except Unavailable:  # the catalog is away: nobody knows
            return {}

    def _with_sync(self, registry: HostRegistry, told: dict[str, Any], syncs: Mapping[str, str]) -> dict[str, Any]:
        stronghold = LOCAL if told["zone_id"] == registry.local_id else told["zone_id"]
        return {**told, "last_sync": syncs.get(stronghold)}

    def _probe(self, registry: HostRegistry, host: Host) -> tuple[dict[str, Any], dict[str, Any]]:
        """A zone as it is now, and what it said itself."""
        try:
            service, said = self._ask(registry, host, {"branch": "/status", "vault": "/api/stats"})
            catalog = said["catalog"] if service == "branch" else said
            # A vault of an older version says nothing of its disk.
            disk = said["disk"] if service == "branch" else said.get("disk") or {}
            numbers = (catalog["total_assets"], catalog["total_size_gb"], disk.get("free_gb"), disk.get("total_gb"))
            if not all(number is None or _is_number(number) for number in numbers):
                raise TypeError
            return _told(host, "online", catalog, disk), said
        except Unavailable as error:
            return _told(host, "offline", error=error), {}
        except RealmError as error:
            return _told(host, "degraded", error=error), {}
        except (KeyError, TypeError, AttributeError):
            return _told(host, "degraded", error=Conflict("It does not answer like a vault or a branch officer.")), {}

    def _ask(
        self, registry: HostRegistry, host: Host, places: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """What a zone says at the place of the first of its services that answers, and which one that is.

        The trainer may name an officer that nobody has started: its vault answers all the same (F21).
        """
        away: Unavailable | None = None
        for service in (name for name in places if name in host.services):
            root = root_of(registry.service_url(service, host.id))
            try:
                return service, self._calls.get(registry, root, places[service], query)
            except Unavailable as error:
                away = away or error
        raise away or Unavailable(f"{host.id} has no service that could be asked.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18


def _zone_of(registry: HostRegistry, zone_id: str) -> Host:
    host = registry.find(zone_id)
    if not _is_zone(host):
        raise NotFound(f"{zone_id} is no zone: it has neither a vault nor a branch officer.")
    return host


def _is_zone(host: Host) -> bool:
    return bool({"branch", "vault"} & host.services.keys())


def _told(
    host: Host,
    status: str,
    catalog: Mapping[str, Any] | None = None,
    disk: Mapping[str, Any] | None = None,
    error: RealmError | None = None,
) -> dict[str, Any]:
    """A zone as the API sends it; what nobody knows is null."""
    service = host.services.get("branch") or host.services["vault"]
    catalog, disk = catalog or {}, disk or {}
    return {
        "zone_id": host.id,
        "name": host.name or host.id,
        "zone_type": ZONE_TYPES[host.role],
        "host": host.host,
        "port": service.port,
        "ssh_user": host.ssh_user,
        "base_path": host.base_dir,
        "checkpoint_path": host.checkpoints_dir,
        "model_path": host.models_dir,
        "status": status,
        "error": str(error) if error else None,
        "last_checked": datetime.now(UTC).isoformat(),
        "can_train": host.role in ("trainer", "hybrid"),
        "can_infer": host.role in ("inference", "hybrid") or "inference" in host.services,
        "can_store": True,
        "asset_count": catalog.get("total_assets"),
        "total_size_gb": catalog.get("total_size_gb"),
        "disk_free_gb": disk.get("free_gb"),
        "disk_total_gb": disk.get("total_gb"),
    }
