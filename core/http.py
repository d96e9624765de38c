# ruff: noqa: A005 – the name is DESIGN's, and the module is only ever imported as `core.http`
"""What all sites of the realm share: the application with its guards, JSON in and out, and the listening site."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from core.errors import Conflict, InvalidInput, RealmError
from core.finite import finite
from core.http_guards import OWN_PORTS, check_caller, set_security_headers, tell_errors
from core.services import describe_port_holder

MAX_BODY_BYTES = 1 << 20
STOP_SECONDS = 1.0
"""How long `Site.stop` waits for requests that are still being answered."""


def json_text(data: Any) -> str:
    """`data` as one line of JSON. NaN and Infinity become null: no browser can read them (F23)."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(finite(data), allow_nan=False, separators=(",", ":"))


def json_response(data: Any, *, status: int = 200) -> web.Response:
    """An answer with `data` as its JSON body; non-finite numbers arrive as null."""
    return web.Response(text=json_text(data), status=status, content_type="application/json")


async def read_json_body(request: web.Request, *, allowed: Collection[str]) -> dict[str, Any]:
    """The JSON object in the body; raises `InvalidInput` when it is none or has a key outside `allowed`."""
    try:
        body = json.loads(await request.read(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The body is not valid JSON.", hint=f"Send an object with: {_names(allowed)}.") from error
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.", hint=f"It may have: {_names(allowed)}.")
    if unknown := sorted(set(body) - set(allowed)):
        raise InvalidInput(f"The body has keys unknown here: {_names(unknown)}.", hint=f"Known: {_names(allowed)}.")
    return body


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _names(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def make_app(
    routes: Iterable[web.AbstractRouteDef],
    *,
    service: str,
    health: Callable[[], dict[str, Any]],
    own_ports: Callable[[], Collection[int]] = tuple,
    closing: Sequence[Callable[[], Awaitable[None]]] = (),
) -> web.Application:
    """An application that serves `routes` and `/health`, `/healthz`, `/readyz` behind the guards of DESIGN section 8.

    `health` gives further fields of `/health`; a `status` in it other than `healthy` turns `/health` and `/readyz`
    to 503, while `/healthz` only says that the process answers. `own_ports` gives the ports of all sites of this
    realm (it is asked per request, as `--ports auto` knows them late). `closing` is awaited first when the site
    stops, before open requests are waited for.
    """
    app = web.Application(middlewares=[tell_errors, check_caller], client_max_size=MAX_BODY_BYTES)
    app[OWN_PORTS] = own_ports
    app.on_response_prepare.append(set_security_headers)

    async def show_health(request: web.Request) -> web.Response:
        body = {"status": "healthy", "service": service, "timestamp": datetime.now(UTC).isoformat(), **health()}
        return json_response(body, status=200 if body["status"] == "healthy" else 503)

    async def show_alive(request: web.Request) -> web.Response:
        return json_response({"status": "alive", "service": service})

    async def close_all(app: web.Application) -> None:
        await asyncio.gather(*(close() for close in closing))

    app.on_shutdown.append(close_all)
    app.add_routes(routes)
    app.add_routes([web.get("/health", show_health), web.get("/readyz", show_health), web.get("/healthz", show_alive)])
    return app


class Site:
    """One application listening on one loopback port."""

    def __init__(self, app: web.Application, host: str, port: int, name: str) -> None:
        """`port` 0 takes any free one; `name` is the key in `status/services.json`."""
        self.name = name
        self.port = port
        self._app = app
        # `localhost` may resolve to two addresses, which port 0 would give two different ports.
        self._host = "127.0.0.1" if host == "localhost" else host
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen; raises `Conflict` naming the holder when the port is taken."""
        runner = web.AppRunner(self._app, handle_signals=False, shutdown_timeout=STOP_SECONDS, access_log=None)
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
