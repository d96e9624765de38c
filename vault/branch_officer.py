"""The branch officer, a process of its own on a host that does not train (seed 003).

python -m vault.branch_officer --zone nas --port 8768 --base-dir /volume1/data/llm_training --host 192.168.1.12
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.ending import Ending
from core.errors import InvalidInput, RealmError
from core.hosts import HOST_VARIABLE, HostRegistry, get_registry
from core.http.access import Access
from core.http.site import Site, make_app
from core.http.tokens import client_token, ensure_token
from core.instance import InstanceLock
from core.logs import log_to_terminal
from core.own_threads import OwnThreads
from core.paths import RealmPaths, resolve_base_dir
from core.services import publish_services, remove_services
from core.setting_types import is_loopback, listen_address
from core.tasks import TaskCrew, every
from core.version import realm_version
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes, scan_threads
from vault.catalog.catalog import Catalog
from vault.transfer.standing import within_settings

logger = logging.getLogger(__name__)

PORT = 8768
CATALOG = ".branch_catalog.db"
LOCK = ".branch.lock"
STOP = ".branch.stop"
"""Ends the officer. Not `.stop`, which is that of a realm in the same directory."""
SCAN_SECONDS = 3600.0
SWEEP_SECONDS = 6 * 3600.0
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Post:
    """Where an officer stands."""

    zone_id: str
    base_dir: Path
    host: str = "127.0.0.1"
    port: int = PORT
    db_path: Path | None = None
    scan: bool = True

    @property
    def paths(self) -> RealmPaths:
        return RealmPaths(self.base_dir)

    @property
    def has_registry(self) -> bool:
        """Whether its base directory has one of its own."""
        own = self.paths.hosts_file
        return own.exists() or own.with_suffix(".json").exists()

    def registry(self) -> HostRegistry:
        """That of its base directory, else of this installation; it is the host of its own zone, if there is one."""
        paths = self.paths if self.has_registry else RealmPaths(resolve_base_dir(None))
        found = get_registry(paths, {})
        return get_registry(paths, {HOST_VARIABLE: self.zone_id}) if self.zone_id in found.hosts else found


def main(arguments: Sequence[str]) -> int:
    """Run until a signal ends it; 1 for what the user can mend, told on standard error."""
    log_to_terminal()
    try:
        asyncio.run(serve(_post(arguments)))
    except RealmError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def serve(post: Post) -> None:
    """Listen until SIGTERM, SIGINT or SIGHUP. Raises `Conflict` when another officer looks after the same directory."""
    if not post.base_dir.is_dir():
        raise InvalidInput(f"{post.base_dir} is no directory.", hint="Name what the officer is to look after.")
    lock = InstanceLock(post.base_dir / LOCK)
    lock.acquire({"what": f"branch officer {post.zone_id}", "base_dir": str(post.base_dir)})
    try:
        with Catalog.opened(post.db_path or post.base_dir / CATALOG, post.base_dir) as catalog:
            token_file = post.paths.token_file
            officer = BranchOfficer(
                post.zone_id,
                post.base_dir,
                catalog,
                post.registry,
                lambda: client_token(token_file),
                within_settings(post.paths),
            )
            token = None if is_loopback(post.host) else ensure_token(token_file)
            await _serve(post, officer, token)
    finally:
        lock.release()


async def _serve(post: Post, officer: BranchOfficer, token: str | None) -> None:
    ending = Ending(lambda said: None)
    ending.listen()
    crew = TaskCrew()
    scans, stop_file = scan_threads(), post.base_dir / STOP
    # One that was left over would end this officer at once.
    stop_file.unlink(missing_ok=True)
    registered = post.registry().hosts.get(post.zone_id)
    app = make_app(
        branch_routes(officer, scans),
        service="branch_officer",
        health=lambda: {"zone_id": post.zone_id},
        access=Access(token, [registered.host] if registered else []),
        own_ports=lambda: [site.port],
        version=realm_version(),
    )
    site = Site(app, post.host, post.port, "branch officer")
    await site.start()
    try:
        if post.has_registry:
            # Where programs of this machine find it: it may listen on one address alone (G5).
            entry = {"url": site.url, "port": site.port, "pid": os.getpid()}
            post.paths.status.mkdir(exist_ok=True)
            publish_services(post.paths, {"branch": entry}, crew)
        if post.scan:
            crew.start("scan", lambda: every(SCAN_SECONDS, lambda: _look(officer, scans), within=SCAN_SECONDS))
        crew.start("sweep", lambda: every(SWEEP_SECONDS, lambda: _sweep(officer, scans), within=SWEEP_SECONDS))
        logger.info("zone %s: %s, looking after %s", post.zone_id, site.url, post.base_dir,
                    extra={"event": "branch_open", "url": site.url})  # fmt: skip
        await ending.wait(stop_file)
        logger.info("ending: %s", ending.reason, extra={"event": "branch_ending"})
    finally:
        await site.stop()
        await asyncio.to_thread(remove_services, post.paths)
        await asyncio.to_thread(officer.arrivals.stop, STOP_SECONDS)
        await crew.stop(STOP_SECONDS)


async def _look(officer: BranchOfficer, scans: OwnThreads) -> None:
    told = await scans.run(officer.scan)
    for error in told["errors"]:
        logger.warning("not scanned: %s", error, extra={"event": "branch_skipped"})
    logger.info("scanned: %s new or changed", told["registered"], extra={"event": "branch_scanned"})


async def _sweep(officer: BranchOfficer, scans: OwnThreads) -> None:
    await scans.run(officer.sweep)


def _post(arguments: Sequence[str]) -> Post:
    parser = argparse.ArgumentParser(prog="branch_officer", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--zone", required=True, help="Id of this host in the registry, such as 3090.")
    parser.add_argument("--base-dir", required=True, type=Path, help="What it looks after.")
    parser.add_argument(
        "--host",
        type=listen_address,
        default="127.0.0.1",
        help="Address to listen on; any but loopback wants the token.",
    )
    parser.add_argument("--port", type=int, default=PORT, help="0 takes any free one.")
    parser.add_argument("--db-path", type=Path, help=f"Its catalog; else {CATALOG} in the base directory.")
    parser.add_argument("--no-scan", action="store_true", help="Believe the catalog; look at nothing by itself.")
    given = parser.parse_args(arguments)
    return Post(given.zone, given.base_dir.resolve(), given.host, given.port, given.db_path, not given.no_scan)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
