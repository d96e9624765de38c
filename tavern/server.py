"""The Tavern alone, as a process of its own on a host where no realm runs (seed 003): pages, and a proxy to a realm.

    realm serve tavern --port 8888 --api-url http://trainer:8888
    python3 tavern/server.py --port 8888 --api-url http://trainer:8888

It opens no database and holds no lock. While the realm is away, its pages still load and say so.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from core.ending import Ending
from core.errors import InvalidInput, RealmError
from core.http.access import Access
from core.http.login import Login
from core.http.site import Routes, Site, make_app
from core.http.tokens import client_token, ensure_token
from core.http.upstream import UploadCarrier, Upstream
from core.logs import log_to_terminal
from core.paths import RealmPaths, resolve_base_dir
from core.services import service_url
from core.setting_types import is_loopback, listen_address
from core.settings_reading import load_settings
from core.version import realm_version
from tavern.pages import SHELL
from tavern.routes import LOGIN, face_routes

logger = logging.getLogger(__name__)

PORT = 8888
UPLOADS = ("/api/quests/upload", "/api/quests/validate")
"""Files may be larger than other bodies; the realm itself limits them."""
PASSED_ON = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class House:
    """Where a lone tavern stands, and whose it is."""

    paths: RealmPaths
    api_url: str
    host: str = "127.0.0.1"
    port: int = PORT


def main(arguments: Sequence[str]) -> int:
    """Run until a signal ends it; 1 for what the user can mend, told on standard error."""
    log_to_terminal()
    try:
        asyncio.run(serve(_house(arguments)))
    except RealmError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def serve(house: House) -> None:
    """Listen until SIGTERM, SIGINT or SIGHUP. Raises `Conflict` naming the holder of a port that is taken."""
    ending = Ending(lambda said: None)
    ending.listen()
    upstream = Upstream(house.api_url, client_token)
    site = lone_site(house, upstream)
    async with upstream.open():
        await site.start()
        try:
            told = {"event": "tavern_open", "url": site.url, "api_url": upstream.url}
            logger.info("the tavern of %s: %s", upstream.url, site.url, extra=told)
            await ending.wait(None)
            logger.info("ending: %s", ending.reason, extra={"event": "tavern_ending"})
        finally:
            await site.stop()


def lone_site(house: House, upstream: Upstream) -> Site:
    """The site, not started. Beyond loopback people log in with the realm's token, where this host has it."""
    token = None
    if not is_loopback(house.host):
        token = client_token() or ensure_token(house.paths.token_file)
    app = make_app(
        _routes(upstream),
        service="tavern",
        health=lambda: {"version": realm_version()},
        access=Access(token, load_settings(house.paths.config_file).services.allowed_hosts),
        login=Login(LOGIN.page, LOGIN.files),
        own_ports=lambda: [site.port],
        missing_page=SHELL,
        version=realm_version(),
    )
    site = Site(app, house.host, house.port, "tavern")
    return site


def _routes(upstream: Upstream) -> Routes:
    # Whatever is not ours is the realm's; what is ours stands at longer paths, which are looked at first.
    rest = [web.route(method, "/{path:.*}", upstream.forward) for method in PASSED_ON]
    uploads = UploadCarrier(upstream)
    return [*face_routes(), *(web.post(path, uploads.forward) for path in UPLOADS), *rest]


def house_at(
    paths: RealmPaths,
    api_url: str | None = None,
    host: str | None = None,
    port: int | None = None,
) -> House:
    """A tavern for the realm at `api_url`; where none is given, for the one that is up in the base directory."""
    url = api_url or service_url(paths, "tavern")
    if url is None:
        raise InvalidInput(
            "Whose tavern it is to be is not known.", hint="Name the realm: --api-url http://trainer:8888."
        )
    return House(paths, url, host or "127.0.0.1", PORT if port is None else port)


def _house(arguments: Sequence[str]) -> House:
    parser = argparse.ArgumentParser(prog="server", description="The Tavern alone.")
    parser.add_argument("--api-url", help="The tavern of the realm, such as http://trainer:8888.")
    parser.add_argument("--api-host", help="The same in two parts, as the seed has them.")
    parser.add_argument("--api-port", type=int, default=PORT, help="With --api-host.")
    parser.add_argument("--port", type=int, default=PORT, help="0 takes any free one.")
    parser.add_argument("--host", type=listen_address, help="Address to listen on; any but loopback wants the token.")
    parser.add_argument("--base-dir", type=Path, help="For settings and token; else REALM_BASE_DIR, else the checkout.")
    given = parser.parse_args(arguments)
    url = given.api_url or (f"http://{given.api_host}:{given.api_port}" if given.api_host else None)
    return house_at(RealmPaths(resolve_base_dir(given.base_dir)), url, given.host, given.port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
