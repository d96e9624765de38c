"""The VaultKeeper API alone, as a process of its own on a host where no realm runs (seed 003).

    realm serve vault --port 8767 --base-dir /volume1/realm
    python3 vault/server.py --port 8767 --base-dir /volume1/realm

It keeps the catalog of its base directory, and hands out what lies there. Where a realm is up, that one serves the API.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from core.checkpoint_ledger import CheckpointLedger
from core.ending import Ending
from core.errors import RealmError
from core.http.access import Access
from core.http.site import Site, make_app
from core.http.tokens import ensure_token
from core.instance import VAULT_ALONE, InstanceLock
from core.logs import log_to_terminal
from core.paths import RealmPaths, resolve_base_dir
from core.scribe import Scribe
from core.services import publish_services, remove_services
from core.setting_types import is_loopback, listen_address
from core.settings import Settings
from core.settings_reading import load_settings
from core.tasks import TaskCrew
from core.version import realm_version
from vault.catalog.catalog import Catalog
from vault.front_routes import vault_routes
from vault.keeper import VaultKeeper
from vault.rounds import CatalogRounds
from vault.zones import Zones

if TYPE_CHECKING:
    from core.saga import News

logger = logging.getLogger(__name__)

STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Desk:
    """Where the vault is asked."""

    paths: RealmPaths
    settings: Settings
    host: str
    port: int


def main(arguments: Sequence[str]) -> int:
    """Run until a signal ends it; 1 for what the user can mend, told on standard error."""
    log_to_terminal()
    try:
        asyncio.run(serve(_desk(arguments)))
    except RealmError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def serve(desk: Desk) -> None:
    """Listen until SIGTERM, SIGINT or SIGHUP. Raises `Conflict` when a realm is up in the base directory."""
    paths = desk.paths
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": VAULT_ALONE, "base_dir": str(paths.base)})
    scribe = Scribe()
    try:
        with Catalog.opened(paths.catalog_db, paths.base) as catalog:
            roots = [Path(root) for root in desk.settings.vault.roots]
            keeper = VaultKeeper(paths.base, catalog=catalog, heavy=scribe.caller(), roots=roots)
            await _serve(desk, keeper)
    finally:
        await scribe.close()
        lock.release()


async def _serve(desk: Desk, keeper: VaultKeeper) -> None:
    paths = desk.paths
    ending = Ending(lambda said: None)
    ending.listen()
    crew = TaskCrew()
    rounds = CatalogRounds(keeper, Zones.of(paths), _log)
    token = None if is_loopback(desk.host) else ensure_token(paths.token_file)
    app = make_app(
        vault_routes(paths, keeper, CheckpointLedger.of(paths), desk.settings.vault.roots),
        service="vault_keeper",
        health=lambda: {"version": realm_version()},
        access=Access(token, desk.settings.services.allowed_hosts),
        own_ports=lambda: [site.port],
        version=realm_version(),
    )
    site = Site(app, desk.host, desk.port, "vault")
    await site.start()
    try:
        paths.status.mkdir(parents=True, exist_ok=True)
        publish_services(paths, {"vault": {"url": site.url, "port": site.port, "pid": os.getpid()}}, crew)
        crew.start("catalog", rounds.run)
        crew.start("zones", rounds.run_zones)
        logger.info("the vault of %s: %s", paths.base, site.url, extra={"event": "vault_open", "url": site.url})
        await ending.wait(paths.stop_file)
        logger.info("ending: %s", ending.reason, extra={"event": "vault_ending"})
    finally:
        keeper.ending.set()
        await site.stop()
        await asyncio.to_thread(remove_services, paths)
        await crew.stop(STOP_SECONDS)


def _log(news: list[News], now: datetime) -> None:
    for each in news:
        logger.warning("%s", each.message, extra={"event": each.kind})


def desk_at(paths: RealmPaths, host: str | None = None, port: int | None = None) -> Desk:
    """The desk of a base directory; host and port are those of its settings where they are not given."""
    settings = load_settings(paths.config_file)
    services = settings.services
    return Desk(paths, settings, host or services.host, services.vault if port is None else port)


def _desk(arguments: Sequence[str]) -> Desk:
    parser = argparse.ArgumentParser(prog="server", description="The VaultKeeper API alone.")
    parser.add_argument("--base-dir", type=Path, help="Data of the realm; else REALM_BASE_DIR, else the checkout.")
    parser.add_argument("--port", type=int, help="Else that of the settings; 0 takes any free one.")
    parser.add_argument("--host", type=listen_address, help="Address to listen on; any but loopback wants the token.")
    given = parser.parse_args(arguments)
    return desk_at(RealmPaths(resolve_base_dir(given.base_dir)), given.host, given.port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
