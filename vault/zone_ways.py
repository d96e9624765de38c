"""What a keeper has to know of the hosts of its registry: how near they are, and how an asset comes from them."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

from core.errors import RealmError
from core.paths import RealmPaths
from vault.assets import LOCAL, Asset, Location, StrongholdType, Transfer

logger = logging.getLogger(__name__)

Signature = tuple[tuple[int, int, int] | None, ...]


class ZoneWays:
    """Those of one realm; the registry is read again whenever its file has changed."""

    def __init__(self, paths: RealmPaths) -> None:
        self._paths = paths
        self._files = (paths.hosts_file, paths.hosts_file.with_suffix(".json"))
        self._known: tuple[Signature, dict[str, StrongholdType]] | None = None

    def kind_of(self, stronghold: str) -> StrongholdType | None:
        """Hosts that only store count as NAS; None for what is no host."""
        # Asked with every look-up of what lies elsewhere: two looks at files, no more.
        signature = tuple(_signature(file) for file in self._files)
        if self._known is None or self._known[0] != signature:
            self._known = (signature, self._kinds())
        return self._known[1].get(stronghold)

    def bring(self, asset: Asset, location: Location, target: Path) -> Transfer:
        """Fetch it to a path here, whole and verified, and in the catalog in the same act."""
        # Loaded on use: no start waits for an engine that few need.
        from vault.carrying import Carrier

        begun = datetime.now(UTC).isoformat()
        report = Carrier.of(self._paths).fetch(asset.asset_id, location.stronghold, target)
        return Transfer(
            asset.asset_id, location.stronghold, LOCAL, location.path, str(report.path), success=True, created_at=begun,
            bytes_transferred=report.bytes_fetched, duration_seconds=report.seconds,
        )  # fmt: skip

    def _kinds(self) -> dict[str, StrongholdType]:
        from core.hosts import get_registry

        try:
            hosts = get_registry(self._paths).hosts
        except RealmError as error:
            logger.warning("the host registry is not read: %s", error, extra={"event": "hosts_unread"})
            return {}
        return {
            host_id: StrongholdType.NAS if host.role == "storage" else StrongholdType.REMOTE
            for host_id, host in hosts.items()
        }


def _signature(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
