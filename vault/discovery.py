"""`VaultDiscovery`: brings a realm's catalog in line with its directory and counts what is there (seed 003)."""

from __future__ import annotations

import os
from collections import Counter

from core.paths import RealmPaths, resolve_base_dir
from vault.assets import AssetType
from vault.catalog.finding import discover
from vault.keeper import VaultKeeper

COUNTED = {
    "checkpoints": AssetType.CHECKPOINT,
    "models": AssetType.MODEL,
    "training_data": AssetType.TRAINING_DATA,
    "validation_data": AssetType.VALIDATION_DATA,
    "configs": AssetType.CONFIG,
    "snapshots": AssetType.SNAPSHOT,
    "backups": AssetType.BACKUP,
}


class VaultDiscovery:
    """Looks through the base directory of one realm."""

    def __init__(self, base_dir: str | os.PathLike[str] | None = None) -> None:
        self.paths = RealmPaths(resolve_base_dir(base_dir))

    def scan_all(self) -> dict[str, int]:
        """Enter everything that is there into the catalog, strike out what is not; how many there are of each kind."""
        with VaultKeeper(self.paths.base) as keeper:
            keeper.reconcile()
        kinds = Counter(asset.asset_type for asset in discover(self.paths))
        return {name: kinds[kind] for name, kind in COUNTED.items()}
