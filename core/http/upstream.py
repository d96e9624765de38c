"""Passing requests on to one other site, and its answers back as they come: what a lone tavern is made of.

Only that site is ever called, whatever a request says. What is between two ends of one connection stays there
(hop-by-hop headers), and so do cookies and tokens: the upstream is shown our own token and nothing of the caller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from core.errors import Conflict, InvalidInput, RealmError, Unavailable
from core.http.answers import error_response
from core.http.refusals import is_by_people
from core.http.tokens import bearer
from core.http.uploads import Upload

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
SILENT_SECONDS = 120.0
"""An event stream says something every 15 s."""
WORK_SECONDS = 1800.0
"""Of all else nothing is heard until the work is done, such as a look at all rows of a large file."""
RETRY_SECONDS = 5
LONGEST_ERROR = 64 << 10
ANY_SIZE = 1 << 62
MARK = "1.1 realm-tavern"
"""Shows where a request has been, so that two taverns that name each other do not ask for ever."""

HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})  # fmt: skip
OURS_ALONE = HOP_BY_HOP | {"authorization", "content-length", "cookie", "expect", "host", "origin", "referer", "via"}
"""Headers of a request that are not passed on; nor is what begins as one of the next."""
OURS_BY_BEGINNING = ("sec-", "x-forwarded-", "x-real-ip", "forwarded", "proxy-")
THEIRS_ALONE = HOP_BY_HOP | {
    "content-length", "date", "location", "refresh", "server", "set-cookie", "set-cookie2", "www-authenticate",
    "strict-transport-security", "clear-site-data", "alt-svc", "link", "access-control-allow-origin",
}  # fmt: skip
"""Headers of an answer that are not passed on."""


class BadGateway(RealmError):
    """The realm behind this tavern answers in a way that cannot be passed on."""

    code = "bad_gateway"
    http_status = 502


class Upstream:
    """The one site that is asked."""

    def __init__(self, url: str, token: Callable[[], str | None]) -> None:
        """`token` looks up what is shown to it; asked at the start, and again after a refusal."""
        self.url = checked_url(url)
        self._look_up = token
        self._token = token()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Requests can be passed on inside of the block."""
        # Compressed answers pass through as they are; no cookies are kept.
        session = aiohttp.ClientSession(
            auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
            connector=aiohttp.TCPConnector(limit=0), skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )  # fmt: skip
        async with session:
            self._session = session
            yield

    async def forward(self, request: web.Request, *, body: AsyncIterator[bytes] | None = None) -> web.StreamResponse:
        """Ask the upstream what we are asked, and answer what it answers. Raises `Unavailable` when it is away.

        A `body` that comes in pieces is passed on as it comes, within limits that are the upstream's.
        """
        if self._session is None or not request.raw_path.startswith("/"):
            raise BadGateway
        if MARK in request.headers.get("Via", ""):
            raise Conflict("This tavern was told to ask itself.", hint="Its --api-url must name a realm.")
        # As it came: an address that is made from text alone is written anew, %2F as a slash.
        target = type(request.rel_url)(f"{self.url}{request.raw_path}", encoded=True)
        try:
            answer = await self._ask(request, target, body or await request.read() or None)
        except TimeoutError as error:
            raise self._away(f"{self.url} does not answer in time.") from error
        except aiohttp.ClientConnectorError as error:
            raise self._away(f"Nothing answers at {self.url}: {error.strerror or error.os_error}.") from error
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, RealmError):  # of the body that was passed on: the caller's, not the realm's
                raise error.__cause__ from None
            raise self._away(f"{self.url} does not answer as it should ({type(error).__name__}).") from error
        try:
            return await self._pass_back(request, answer)
        finally:
            answer.release()

    async def _ask(self, request: web.Request, target: Any, body: Any) -> aiohttp.ClientResponse:
        assert self._session is not None
        headers = _asked(request.headers)
        comes_once = isinstance(body, AsyncIterator)
        if comes_once and request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        is_stream = "text/event-stream" in request.headers.get("Accept", "")
        silence = SILENT_SECONDS if is_stream else WORK_SECONDS
        for _ in (1, 2):
            answer = await self._session.request(
                request.method,
                target,
                headers={**headers, **bearer(self._token)},
                data=body or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence),
            )
            if answer.status != 401 or comes_once:
                break
            # The token may have been put in its place since we looked.
            before, self._token = self._token, await asyncio.to_thread(self._look_up)
            if before == self._token:
                break
            answer.release()
        return answer

    async def _pass_back(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        if answer.status == 401 or (300 <= answer.status < 400 and answer.status != 304):
            # Sent on, a browser would show our own login, which has nothing to do with it.
            raise BadGateway(
                f"The realm at {self.url} wants another token than this tavern shows.",
                hint="Set REALM_TOKEN, or put the realm's .realm.token into ~/.config/realm/token.",
            )
        if answer.status >= 400 and answer.content_type != "application/json":
            return await self._retold(request, answer)
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_answered(answer.headers))
        length = answer.headers.get("Content-Length")
        if length is not None and length.isdecimal():
            response.content_length = int(length)
        await response.prepare(request)
        if request.method != "HEAD":
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError) as error:
                # Half an answer must not look like a whole one.
                raise ConnectionAbortedError(f"{self.url} broke off") from error
        await response.write_eof()
        return response

    async def _retold(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.Response:
        """What stands between us and the realm may answer in HTML (F16)."""
        await answer.content.read(LONGEST_ERROR)
        if answer.status == HTTPStatus.NOT_FOUND and is_by_people(request):
            # The realm shows people a page there; ours is the same, and its scripts are ours.
            raise web.HTTPNotFound
        message = f"{self.url} answers with status {answer.status} and no readable message."
        return error_response(answer.status, "upstream", message)

    def _away(self, message: str) -> Unavailable:
        return Unavailable(message, retry_after_seconds=RETRY_SECONDS)


class UploadCarrier:
    """Passes on bodies of any size, piece by piece."""

    takes_upload = True
    """The site leaves the body to us (`core.http.limits`)."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def forward(self, request: web.Request) -> web.StreamResponse:
        return await self._upstream.forward(request, body=Upload(request).pieces(ANY_SIZE))


def checked_url(text: str) -> str:
    """`http://host:port`, without a slash at its end; raises `InvalidInput` for anything else."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no address: {error}.", hint="Such as http://trainer:8888.") from error
    bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
        raise InvalidInput(f"{text!r} is no address of a realm.", hint="Such as http://trainer:8888.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _asked(headers: Any) -> dict[str, str]:
    return {
        **{
            name: value
            for name, value in _joined(headers, OURS_ALONE).items()
            if not name.lower().startswith(OURS_BY_BEGINNING)
        },
        "Via": MARK,
    }


def _answered(headers: Any) -> dict[str, str]:
    return _joined(headers, THEIRS_ALONE)


def _joined(headers: Any, left_out: Iterable[str]) -> dict[str, str]:
    """The headers but for those; one that is there several times is a list."""
    # What a connection names is between its two ends.
    between = ",".join(headers.getall("Connection", []))
    without = {*left_out, *(name.strip().lower() for name in between.split(","))}
    return {name: ", ".join(headers.getall(name)) for name in headers if name.lower() not in without}
