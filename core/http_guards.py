"""Who may talk to a site and what every answer carries: error shape, Host and Origin checks, security headers.

All sites listen on loopback only, where the remaining strangers are web pages in the user's own browser: a page
that rebinds its name to 127.0.0.1 shows itself by its Host, one that posts across origins by its Origin.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from core.errors import RealmError

logger = logging.getLogger(__name__)

OWN_PORTS: web.AppKey[Callable[[], Collection[int]]] = web.AppKey("own_ports")
"""Gives the ports of all sites of this realm."""

LOOPBACK_HOST = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
CHANGING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "realm",
}


class Forbidden(RealmError):
    """This caller may not do that."""

    code = "forbidden"
    http_status = 403


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into `{"error", "message", "details"}` with the right status."""
    try:
        return await handler(request)
    except RealmError as error:
        return web.json_response(error.to_json(), status=error.http_status)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _told(request, error)
    except ConnectionError:
        # The caller hung up in mid-request: there is nobody left to answer, aiohttp closes the connection.
        raise
    except Exception:  # any bug of a handler: the traceback belongs into the log, never into the answer
        logger.exception("%s %s failed", request.method, request.path, extra={"event": "http_handler_failed"})
        body = {"error": "internal", "message": "The realm failed to answer; its log says why.", "details": None}
        return web.json_response(body, status=500)


def _told(request: web.Request, error: web.HTTPException) -> web.Response:
    status = HTTPStatus(error.status)
    messages = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.path}.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at {request.path}.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this site takes (1 MiB).",
    }
    body = {"error": status.name.lower(), "message": messages.get(status, f"{status.phrase}."), "details": None}
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    return web.json_response(body, status=error.status, headers=headers)


@web.middleware
async def check_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a Host that is not loopback, and a change asked for by a page that is not ours."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1 or not LOOPBACK_HOST.fullmatch(hosts[0]):
        raise Forbidden("This Host is not served.", hint="Use http://127.0.0.1 or http://localhost with the port.")
    if request.method in CHANGING_METHODS:
        for origin in request.headers.getall("Origin", []):
            if not _is_ours(origin, hosts[0], request.app[OWN_PORTS]()):
                raise Forbidden("A page of another origin may not change the realm.", origin=origin)
    return await handler(request)


def _is_ours(origin: str, host: str, own_ports: Collection[int]) -> bool:
    """True for the page's own origin (also through an SSH tunnel, where ports differ) and for our other sites."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme != "http" or not LOOPBACK_HOST.fullmatch(parts.netloc):
        return False
    return parts.netloc.lower() == host.lower() or (port or 80) in own_ports


async def set_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    # Files are revalidated (a page must never run last version's script); answers are never kept.
    response.headers.setdefault("Cache-Control", "no-cache" if isinstance(response, web.FileResponse) else "no-store")
