"""What a keeper has to know of the hosts of its registry: how near they are, and how an asset comes from them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from core.errors import RealmError
from core.paths import RealmPaths
from vault.assets import LOCAL, Asset, Location, StrongholdType, Transfer
from vault.catalog.catalog import Catalog

logger = logging.getLogger(__name__)

Signature = tuple[tuple[int, int, int] | None, ...]


class ZoneWays:
    """Those of one realm; the registry is read again whenever its file has changed."""

    def __init__(
        self,
        paths: RealmPaths,
        catalog: Catalog | None = None,
        ending: threading.Event | None = None,
        on_carried: Callable[[Transfer], object] | None = None,
    ) -> None:
        """`catalog` is the one to enter into; once it is `ending`, nothing is brought any more."""
        self._paths = paths
        self._catalog = catalog
        self._ending = ending or threading.Event()
        self._on_carried = on_carried
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
        """Fetch it to a path here, whole and verified, and in the catalog in the same act.

        Raises `Conflict`, before anything comes, where another one has its id there by now.
        """
        # Loaded on use: no start waits for an engine that few need.
        from vault.carrying import Carrier

        begun = datetime.now(UTC).isoformat()
        carrier = Carrier.of(self._paths, catalog=self._catalog, cancelled=self._ending, on_carried=self._on_carried)
        report = carrier.fetch(asset.asset_id, location.stronghold, target, digest=location.checksum)
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
