"""Everything that the vault serves on 8767: of a realm, and of `vault/server.py`."""

from __future__ import annotations

from collections.abc import Iterable

from core.checkpoint_ledger import CheckpointLedger
from core.http.endpoints import Endpoint
from core.paths import RealmPaths
from vault.benches import Benches
from vault.bytes.routes import byte_routes
from vault.bytes.source import KeeperSource
from vault.catalog.routes import catalog_routes
from vault.keeper import VaultKeeper
from vault.roots import Roots
from vault.routes import ledger_routes
from vault.transfer_routes import transfer_routes
from vault.whole_copies import WholeCopies
from vault.witness import Witness
from vault.witness_routes import witness_routes
from vault.zone_routes import zone_routes
from vault.zones import Zones


def vault_routes(
    paths: RealmPaths, keeper: VaultKeeper, ledger: CheckpointLedger, outside: Iterable[str]
) -> list[Endpoint]:
    """The endpoints of one base directory; `outside` are the roots beside it (`vault.roots` of the settings)."""
    roots, benches = Roots.of(paths, outside), Benches()
    return [
        *catalog_routes(keeper, roots, benches),
        *byte_routes(KeeperSource(keeper), benches),
        *zone_routes(Zones.of(paths, keeper.catalog.last_syncs)),
        *transfer_routes(paths, keeper, roots, benches),
        *ledger_routes(ledger),
        *witness_routes(Witness(keeper.find, paths.base, WholeCopies(keeper.heavy))),
    ]
