"""The byte service of another host, as a transfer reads it: the manifest of an asset, and its files chunk by chunk.

A connection of its own for each thread, over the standard library: bytes go into memory in large pieces, and every
wait for the network has an end. No redirect is followed and no proxy of the environment is used: only the host that was
named is called, and only it gets to see the token.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.http.tokens import bearer
from vault.bytes.making import BeingMade
from vault.chunks import CHUNK_HEADER
from vault.transfer.listing import Listing, read_listing
from vault.transfer.pace import PIECE_BYTES

MANIFEST_BYTES = 64 << 20
"""Longest answer that is read as a manifest: a hundred thousand files have 20 MB."""
ERROR_BYTES = 64 << 10
CONNECT_SECONDS = 5.0
SLOW_SECONDS = 120.0
"""A chunk that takes longer, waiting for the network alone, is asked for anew from where it stands."""


class Sink(Protocol):
    """Takes bytes in as they come."""

    def room(self) -> memoryview:
        """Where the next ones belong; room for one at least."""
        ...

    def took(self, count: int) -> None:
        """So many were put there."""
        ...


class LinkCut(Exception):
    """The connection failed or stalled; what came before it is good, and asking again may help."""


class Busy(LinkCut):
    """The host asks for patience."""

    def __init__(self, message: str, seconds: float, *, is_working: bool = False) -> None:
        super().__init__(message)
        self.seconds = seconds
        self.is_working = is_working
        """Whether it reads what it was asked for: a sign of life."""


class Garbled(LinkCut):
    """The answer makes no sense: its head was cut off, which nobody can tell from a host that is no vault."""


class ByteSource:
    """One connection to the byte service at `base_url`, as `http://192.168.1.10:8767`; for one thread at a time."""

    def __init__(self, base_url: str, token: str | None = None, *, stall_seconds: float = 30.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._prefix, self._connect = _address(self.base_url)
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "realm", **bearer(token)}
        self._stall_seconds = stall_seconds
        self._open: http.client.HTTPConnection | None = None
        self._is_interrupted = False
        self.waiting_since: float | None = None
        """When it began to wait for the network; None while it does not."""

    def greet(self) -> None:
        """Raises `LinkCut` unless somebody answers over HTTP, whatever it says."""
        with self._asked("/health", {}) as answer:
            answer.read(ERROR_BYTES)
        # The rest of a longer answer is none of ours.
        self.hang_up()

    def listing(self, asset_id: str) -> Listing:
        """What the asset is made of; raises `NotFound`, `InvalidInput` for what cannot be believed, and `LinkCut`."""
        with self._asked(f"/api/assets/{quote(asset_id, safe='')}/manifest", {}) as answer:
            self._refuse_unless(answer, HTTPStatus.OK, f"the asset {asset_id}")
            pieces: list[bytes] = []

            def take(most: int) -> int:
                pieces.append(answer.read1(min(most, PIECE_BYTES)))
                return len(pieces[-1])

            room = self._receive(MANIFEST_BYTES, take)
            if room and answer.length:
                raise LinkCut("the connection ended early")
            if not room:
                raise InvalidInput(f"The manifest of {asset_id} at {self.base_url} is longer than anybody's.")
        try:
            told = json.loads(b"".join(pieces))
        except (ValueError, RecursionError) as error:
            raise Garbled("its answer is no JSON") from error
        return read_listing(asset_id, told)

    def read(self, asset_id: str, name: str, etag: str, start: int, end: int, sink: Sink, piece: int) -> str | None:
        """Put the bytes of a file from `start` to before `end` into `sink`, at most `piece` at once, as they come;
        returns the hash that the host tells of their whole chunk, if it does. Raises `LinkCut` when not all of them
        come, and `Conflict` when the file there is another one by now.
        """
        path = f"/api/assets/{quote(asset_id, safe='')}/files/{quote(name, errors='surrogateescape')}"
        headers = {"Range": f"bytes={start}-{end - 1}", "If-Range": f'"{etag}"'}
        with self._asked(path, headers) as answer:
            self._refuse_unless(answer, HTTPStatus.PARTIAL_CONTENT, f"{name} of {asset_id}")
            found = answer.getheader("ETag") or ""
            # One without its end is none: the head was cut off there.
            if len(found) > 1 and found.endswith('"') and found != f'"{etag}"':
                raise self._is_another(f"{name} of {asset_id}")
            if not (answer.getheader("Content-Range") or "").startswith(f"bytes {start}-{end - 1}/"):
                raise Garbled(f"it sends another part of {name} than was asked for")
            if answer.length != end - start:
                raise Garbled(f"it sends {answer.length} bytes for {end - start}")
            if self._receive(end - start, lambda most: self._put(answer, sink, min(most, piece))):
                raise LinkCut("the connection ended early")
            # The end of the answer has to be met, or the connection is not free for the next question.
            answer.read()
            return answer.getheader(CHUNK_HEADER)

    def hang_up(self) -> None:
        """Close the connection; asked again, it is made anew."""
        connection, self._open = self._open, None
        if connection is not None:
            connection.close()

    def interrupt(self) -> None:
        """From another thread: whoever reads here is not to wait any longer, and nothing more is asked."""
        self._is_interrupted = True
        sock: socket.socket | None = self._open.sock if self._open is not None else None
        if sock is not None:
            # Not closed: that is for the thread that reads from it.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _put(self, answer: http.client.HTTPResponse, sink: Sink, most: int) -> int:
        """Read what has come, into its place; how much that was.

        `HTTPResponse.readinto` waits until the place is full, and when the link is cut before, all of it is lost.
        """
        if not answer.length:
            return 0
        place = sink.room()[: min(most, answer.length)]
        with self._waiting():
            count = answer.fp.readinto1(place)
        answer.length -= count
        sink.took(count)
        return count

    def _receive(self, count: int, read: Callable[[int], int]) -> int:
        """Have `read` take up to `count` bytes in, and not for ever; returns how many have not come.

        It is told how many are wanted at most, and says how many came.
        """
        waited = 0.0
        while count:
            begun = time.monotonic()
            came = read(count)
            waited += time.monotonic() - begun
            if not came:
                break
            count -= came
            if waited > SLOW_SECONDS and count:
                raise LinkCut(f"an answer took longer than {SLOW_SECONDS:g} s")
        return count

    @contextmanager
    def _asked(self, path: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        connection = self._open = self._open or self._connect()
        try:
            with self._waiting():
                if connection.sock is None:
                    _dial(connection, self._stall_seconds)
                if self._is_interrupted:
                    raise LinkCut("it was interrupted")
                connection.request("GET", self._prefix + path, headers={**self._headers, **headers})
                answer = connection.getresponse()
            yield answer
        except ssl.SSLCertVerificationError as error:
            self.hang_up()
            raise Conflict(
                f"{self.base_url} shows a certificate that is not believed: {error.verify_message}.",
                hint="Have this machine trust whoever signed it (SSL_CERT_FILE), or name it by http in the registry.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.hang_up()
            raise LinkCut(_said(error)) from error
        except BaseException:  # also what the other side's answer means: half of it may still be on its way
            self.hang_up()
            raise

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self.waiting_since = time.monotonic()
        try:
            yield
        finally:
            self.waiting_since = None

    def _is_another(self, what: str) -> Conflict:
        return Conflict(f"At {self.base_url}, {what} has become another one meanwhile.", hint="Fetch it again.")

    def _refuse_unless(self, answer: http.client.HTTPResponse, wanted: HTTPStatus, what: str) -> None:
        """Raises what an answer of another status means."""
        if answer.status == wanted:
            return
        if answer.status == HTTPStatus.OK:
            raise self._is_another(what)
        said, code = _error_in(answer.read(ERROR_BYTES))
        told = f"{self.base_url} refuses {what}: {said or f'HTTP {answer.status}'}"
        if answer.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            raise Busy(told, _seconds(answer.getheader("Retry-After")), is_working=code == BeingMade.code)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise LinkCut(told)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            raise Unavailable(
                f"{self.base_url} wants a token.",
                hint="Set REALM_TOKEN to that of its realm, or write it to ~/.config/realm/token.",
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"{self.base_url} has not got {what}: {said or 'not found'}")
        if answer.status in (HTTPStatus.CONFLICT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise Conflict(told)
        raise Unavailable(told)


def _address(base_url: str) -> tuple[str, Callable[[], http.client.HTTPConnection]]:
    """The path before all paths, and how to make a connection."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInput(f"{base_url} is no address: {error}.") from error
    plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise InvalidInput(f"{base_url} is no address of a vault.", hint="It looks like http://192.168.1.10:8767.")
    if parts.scheme == "http":
        return parts.path, lambda: http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    context = ssl.create_default_context()
    return parts.path, lambda: http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)


def _dial(connection: http.client.HTTPConnection, stall_seconds: float) -> None:
    connection.connect()
    # What typeshed does not know: it is there now.
    sock: socket.socket = connection.sock
    sock.settimeout(stall_seconds)
    # A host that was unplugged is noticed in half a minute, however long an answer may take.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _error_in(body: bytes) -> tuple[str | None, str | None]:
    """Message and code of an error answer."""
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None, None
    message, code = (told.get("message"), told.get("error")) if isinstance(told, dict) else (None, None)
    return message[:500] if isinstance(message, str) else None, code if isinstance(code, str) else None


def _seconds(text: str | None) -> float:
    return min(60.0, float(text)) if text and text.isascii() and text.isdecimal() else 1.0


def _said(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came for too long"
    return str(error) or type(error).__name__


def unreachable(base_url: str, why: object) -> RealmError:
    """What is told when a host was asked for long enough."""
    return Unavailable(f"{base_url} cannot be reached: {why}.", hint="What has come is kept; fetch it again to go on.")
