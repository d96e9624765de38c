"""The application that every site of the realm is, with its guards and health, and the site that listens."""

from __future__ import annotations

import asyncio
import errno
import functools
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from core.errors import Conflict, RealmError
from core.http.access import Access
from core.http.connections import LimitedRunner
from core.http.endpoints import Endpoint
from core.http.guards import DOOR, Door, check_caller, find_file, set_security_headers
from core.http.index import index_endpoint
from core.http.limits import LIMITS, Limits, take_body
from core.http.login import Login, login_endpoints
from core.http.metrics import Meters, counting
from core.http.packing import pack
from core.http.refusals import MISSING_PAGE, tell_errors
from core.http.standard import standard_endpoints
from core.services import describe_port_holder

DOCUMENT: web.AppKey[Callable[[], dict[str, Any]]] = web.AppKey("document")
"""Gives the OpenAPI document of an application; made once, when it is first asked for."""
ENDPOINTS: web.AppKey[Sequence[Endpoint]] = web.AppKey("endpoints")
METERS: web.AppKey[Meters] = web.AppKey("meters")

TOKEN_SCHEME: dict[str, dict[str, str]] = {
    "token": {"type": "http", "scheme": "bearer", "description": "The token of the realm; `realm` reads REALM_TOKEN."}
}
SESSION_SCHEME = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "realm_session_8888",
        "description": "Set by `POST /login` in the browser; the number is that of the port.",
    }
}
STOP_SECONDS = 1.0
"""How long `Site.stop` waits for requests that are still being answered."""


Routes = Iterable[web.AbstractRouteDef]
"""What a site serves."""


def make_app(
    routes: Routes,
    *,
    service: str,
    health: Callable[[], dict[str, Any]],
    access: Access | None = None,
    login: Login | None = None,
    limits: Limits = Limits(),  # noqa: B008 – frozen
    own_ports: Callable[[], Collection[int]] = tuple,
    closing: Sequence[Callable[[], Awaitable[None]]] = (),
    meters: Meters | None = None,
    docs_port: Callable[[], int] | None = None,
    missing_page: Path | None = None,
    version: str = "unknown",
) -> web.Application:
    """An application that serves `routes` and what every site answers, behind the guards of DESIGN section 8.

    `health` gives further fields of `/health`; a `status` in it other than `healthy` or `ok` turns `/health` and
    `/readyz` to 503, while `/healthz` only says that the process answers. `access` says who may enter (default:
    whoever gets through to the port), `login` lets people in by a form, `limits` are those of one caller. `own_ports`
    gives the ports of all sites of this realm (it is asked per request, as `--ports auto` knows them late). `closing`
    is awaited first when the site stops, before open requests are waited for. A site without a page of its own at `/`
    shows an index there; `docs_port` gives the port of the site that has `/docs`. `missing_page` is what a browser gets
    at an address where there is nothing.
    """
    meters = meters or Meters(version=version)
    access = access or Access()
    app = web.Application(
        middlewares=[counting(meters, service), tell_errors, check_caller, find_file, pack, take_body],
        client_max_size=limits.body_bytes,
    )
    app[LIMITS] = limits
    if missing_page is not None:
        app[MISSING_PAGE] = missing_page
    app.on_response_prepare.append(set_security_headers)

    async def close_all(app: web.Application) -> None:
        await asyncio.gather(*(close() for close in closing))

    app.on_shutdown.append(close_all)
    own = list(routes)
    if login is not None:
        own += login_endpoints(login, access)
    standard = standard_endpoints(service, health, meters, lambda: app[DOCUMENT]())
    if not any(isinstance(route, Endpoint) and route.path == "/" for route in own):
        standard.append(index_endpoint(service, lambda: app[ENDPOINTS], docs_port))
    app.add_routes([*own, *standard])
    endpoints = [*(route for route in own if isinstance(route, Endpoint)), *standard]
    open_paths = {*(endpoint.path for endpoint in endpoints if endpoint.open), *(login.files if login else ())}
    app[DOOR] = Door(access, own_ports, open_paths, has_login=login is not None)
    app[ENDPOINTS] = endpoints
    app[METERS] = meters
    security = TOKEN_SCHEME | (SESSION_SCHEME if login else {})
    document: Callable[[], dict[str, Any]] = functools.cache(
        lambda: _document(endpoints, title=f"Realm of Training: {service}", version=version, security=security)
    )
    app[DOCUMENT] = document
    return app


def _document(endpoints: Sequence[Endpoint], **about: Any) -> dict[str, Any]:
    # Loaded when somebody asks for a document: making schemas takes more code than serving.
    from core.http.openapi import build_document

    return build_document(endpoints, **about)


class Site:
    """One application listening on one port."""

    def __init__(self, app: web.Application, host: str, port: int, name: str) -> None:
        """`port` 0 takes any free one; `name` is the key in `status/services.json`."""
        self.name = name
        self.port = port
        self.app = app
        # `localhost` may resolve to two addresses, which port 0 would give two different ports.
        self._host = "127.0.0.1" if host == "localhost" else host
        self._runner: web.AppRunner | None = None

    @property
    def wants_token(self) -> bool:
        """True when it listens beyond loopback."""
        return self.app[DOOR].access.token is not None

    @property
    def url(self) -> str:
        """Where programs of this machine reach it; a site that listens everywhere does so on loopback too."""
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        host = f"[{reached}]" if ":" in reached else reached
        return f"http://{host}:{self.port}"

    @property
    def document(self) -> dict[str, Any]:
        """The OpenAPI document of the application, naming the address that this site listens on."""
        return {**self.app[DOCUMENT](), "servers": [{"url": self.url}]}

    async def start(self) -> None:
        """Listen; raises `Conflict` naming the holder when the port is taken."""
        runner = LimitedRunner(self.app, handle_signals=False, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except OSError as error:
            await runner.cleanup()
            raise self._refusal(error) from error
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; requests still open after `STOP_SECONDS` are cancelled. Harmless when not started."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _refusal(self, error: OSError) -> RealmError:
        if error.errno != errno.EADDRINUSE:
            return RealmError(f"The {self.name} cannot listen on {self.url}: {error.strerror}.", port=self.port)
        holder = describe_port_holder(self.port)
        return Conflict(
            f"Port {self.port} of the {self.name} is taken by {holder}.",
            hint="Stop that program, set another port under `services` in configs/realm.yaml, or use --ports auto.",
            port=self.port,
            holder=holder,
        )
