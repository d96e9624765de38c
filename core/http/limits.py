"""What one caller may cost a site, and the limits of a request's body; `core.http.connections` holds the others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from core.errors import RealmError
from core.http.refusals import Malformed

MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Of one site. Three sites at their full number of connections stay below the usual 1024 open files."""

    connections: int = 256
    connections_per_caller: int = 128
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    head_bytes: int = 32 << 10
    line_bytes: int = 8190
    """Of the request line, and of each header."""
    headers: int = 64
    body_seconds: float = 30.0
    body_bytes: int = MAX_BODY_BYTES
    idle_seconds: float = 30.0
    """An open connection without a request."""
    unread_seconds: float = 30.0
    """How long an answer may lie in full buffers before the caller counts as gone."""
    linger_seconds: float = 2.0
    """How long the rest of a refused body is swallowed, so that its sender gets to read the refusal."""


LIMITS: web.AppKey[Limits] = web.AppKey("limits")


class RequestTimeout(RealmError):
    """The request came too slowly."""

    code = "request_timeout"
    http_status = 408


class UnsupportedBody(RealmError):
    """A body must come as it is, without Content-Encoding."""

    code = "unsupported_media_type"
    http_status = 415


@web.middleware
async def take_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take the whole body in, within its size and time, before the handler is called: none waits for a caller."""
    limits = request.app[LIMITS]
    if "websocket" in request.headers.get("Upgrade", "").lower():
        raise Malformed("There are no websockets here.", hint="Live updates are at /api/events/stream of the tavern.")
    if request.can_read_body and request.match_info.http_exception is None:
        if "Content-Encoding" in request.headers:
            raise UnsupportedBody
        # Taken in piece by piece, by a handler that has limits of its own (`core.http.uploads`).
        if getattr(getattr(request.match_info.handler, "__self__", None), "takes_upload", False):
            return await handler(request)
        if (request.content_length or 0) > limits.body_bytes:
            raise web.HTTPRequestEntityTooLarge(limits.body_bytes, request.content_length or 0)
        try:
            async with asyncio.timeout(limits.body_seconds):
                await request.read()
        except TimeoutError as error:
            raise RequestTimeout(f"The body did not come within {limits.body_seconds:g} s.") from error
    return await handler(request)
