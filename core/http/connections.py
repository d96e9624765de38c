"""The connections of a site: how many there may be, how slow one may be, and what becomes of what is no HTTP.

aiohttp bounds lines, headers and pipelines and closes idle connections. What is here comes on top: a number of
connections, in all and per caller; a time and a size for the head of a request; an end for callers that do not read;
and the shape of errors for what never became a request.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from core.http.answers import error_response, error_text
from core.http.attempts import caller_address
from core.http.guards import CONTENT_SECURITY_POLICY, SECURITY_HEADERS
from core.http.limits import LIMITS, Limits
from core.http.refusals import tell_errors

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
BARE_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "Connection": "close",
}
"""Of answers to what never became a request; all others get theirs from the application."""


class LimitedRunner(web.AppRunner):
    """Runs an application on connections that keep its `LIMITS`."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made, self.app[LIMITS])


class _Server(web.Server):
    """Makes the connections of a site and counts the open ones."""

    def __init__(self, made: web.Server, limits: Limits) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            # Some errors come before the middlewares, as of a strange `Expect`.
            return await tell_errors(request, made.request_handler)  # type: ignore[arg-type]

        super().__init__(answer, request_factory=made.request_factory)
        self.limits = limits
        self._open: Counter[str] = Counter()
        self._is_full = False

    def __call__(self) -> web.RequestHandler:
        limits = self.limits
        options: dict[str, Any] = {
            "access_log": None,
            "auto_decompress": False,
            "keepalive_timeout": limits.idle_seconds,
            "lingering_time": limits.linger_seconds,
            "max_line_size": limits.line_bytes,
            "max_field_size": limits.line_bytes,
            "max_headers": limits.headers,
        }
        return _Connection(self, limits, asyncio.get_running_loop(), options)

    def admit(self, caller: str) -> bool:
        """Count a connection of `caller`; False, and not counted, when that is one too many."""
        limits = self.limits
        full = self._open.total() >= limits.connections or self._open[caller] >= limits.connections_per_caller
        if full and not self._is_full:
            logger.warning("no more connections are taken from %s", caller, extra={"event": "connections_full"})
        self._is_full = full
        if not full:
            self._open[caller] += 1
        return not full

    def release(self, caller: str) -> None:
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]


class _Connection(web.RequestHandler):
    """One connection; refused ones never reach aiohttp."""

    def __init__(self, server: _Server, limits: Limits, loop: asyncio.AbstractEventLoop, options: Any) -> None:
        super().__init__(server, loop=loop, **options)
        self._server = server
        self._limits = limits
        self._caller: str | None = None
        """Who is at the other end; None until the connection was admitted."""
        self._is_refused = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        caller = caller_address(transport.get_extra_info("peername"))
        if not self._server.admit(caller):
            message = f"Too many connections are open. Try again in {RETRY_SECONDS} s."
            transport.write(_bare(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", message))
            transport.close()
            return
        self._caller = caller
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._caller is None:
            return
        self._server.release(self._caller)
        self._end_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._caller is None or self._is_refused:
            return
        super().data_received(data)
        # aiohttp waits for a request still: what came is the beginning of a head.
        if self._waiter is None or self._waiter.done():
            self._end_head_timer()
            return
        self._head_bytes += len(data)
        if self._head_bytes > self._limits.head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers of the request are too large.")
        elif self._head_timer is None:
            self._head_timer = self._loop.call_later(self._limits.head_seconds, self._head_is_late)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread_timer is None and self.transport is not None:
            self._unread_timer = self._loop.call_later(self._limits.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP gets the error shape and no traceback in the log; anything else is a bug of ours."""
        if isinstance(exc, ConnectionError):
            # Half an answer is out, or nobody is there to read one; aiohttp closes the connection.
            raise exc
        if status == HTTPStatus.BAD_REQUEST:
            if isinstance(exc, LineTooLong):
                status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            response = error_response(status, "bad_request", "This is no HTTP request that can be understood.")
        else:
            logger.error("a request failed outside of its handler", exc_info=exc, extra={"event": "http_failed"})
            response = error_response(status, "internal", "The realm failed to answer; its log says why.")
        response.headers.update(BARE_HEADERS)
        response.force_close()
        return response

    def _head_is_late(self) -> None:
        seconds = self._limits.head_seconds
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The head of the request did not come within {seconds:g} s.")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._end_head_timer()
        self._is_refused = True
        if self.transport is not None:
            self.transport.write(_bare(status, status.name.lower(), message))
            self.transport.write_eof()
        # Closed at once, what is still coming would reset the connection, and the refusal would not be read.
        self._loop.call_later(self._limits.linger_seconds, self.force_close)

    def _end_head_timer(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_timers(self) -> None:
        self._end_head_timer()
        if self._unread_timer is not None:
            self._unread_timer.cancel()


def _bare(status: HTTPStatus, code: str, message: str) -> bytes:
    """A whole answer as it goes over the wire, for callers without a request."""
    body = error_text(code, message).encode()
    headers = {
        **BARE_HEADERS,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": str(len(body)),
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_SECONDS)
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
