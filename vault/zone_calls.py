"""Calls to the vaults and branch officers of other hosts: only to hosts of the registry, each within a time.

Nobody is believed to answer shortly or soon: a name server may be dead, an answer may come byte by byte or never end.
So each call has a thread, which ends with the process, and whoever asked waits for it no longer than was said.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable, Unreached
from core.http.tokens import bearer
from core.own_threads import OwnThreads

if TYPE_CHECKING:
    import httpx

    from core.hosts import HostRegistry

ANSWER_BYTES = 32 << 20
AT_ONCE = 64
CONNECT_SECONDS = 5.0
"""For a host to take a connection, at most: it does nothing else for that."""
LONGEST_TIMES = 5.0
"""So many times the silence that is allowed may a whole call take."""

_calls = OwnThreads("calls to other hosts", AT_ONCE, waiting=AT_ONCE)


class ZoneCalls:
    """`token` is asked for with each call; it goes to hosts of the registry alone."""

    def __init__(self, token: Callable[[], str | None], timeout_seconds: float) -> None:
        self._token = token
        self._timeout = timeout_seconds

    def get(
        self, registry: HostRegistry, root: str, path: str, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object at `root + path`; raises what an error says, and `Unavailable` when there is no answer."""
        return self._ask(registry, "GET", root, path, params=dict(query or {}))

    def post(self, registry: HostRegistry, root: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The same of a POST."""
        return self._ask(registry, "POST", root, path, json=dict(body))

    def _ask(self, registry: HostRegistry, method: str, root: str, path: str, **sent: Any) -> dict[str, Any]:
        if not registry.is_known_url(root):
            raise InvalidInput(f"{root} is no service of a host in {registry.source}.")
        status, told = answer_of(method, root, path, self._token(), self._timeout, **sent)
        return _body(root, status, told)


def answer_of(
    method: str, root: str, path: str, token: str | None, timeout_seconds: float, **sent: Any
) -> tuple[int, Any]:
    """Status and JSON of an answer, None for what is none or too long; raises `Unavailable` when none comes in time.

    `timeout_seconds` is how long nothing may come; all of it may take `LONGEST_TIMES` that.
    """
    # Loaded on use: it takes a tenth of a second.
    import httpx

    deadline = time.monotonic() + LONGEST_TIMES * timeout_seconds
    # A proxy named in the environment is not the way to a host at home, and none of the token's business.
    headers = {**bearer(token), "Accept-Encoding": "identity"}
    # Closed at the end: whoever still reads from it gets an error at the next byte.
    patience = httpx.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS))
    with httpx.Client(timeout=patience, trust_env=False, follow_redirects=False, headers=headers) as client:
        call = _calls.start(lambda: _read(client, deadline, method, root + path, **sent))
        try:
            return call.result(LONGEST_TIMES * timeout_seconds)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            said = str(error) or ("it takes too long" if isinstance(error, TimeoutError) else type(error).__name__)
            kind = Unreached if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else Unavailable
            raise kind(f"{root} does not answer: {said}.", hint="Is the realm, or its officer, up there?") from error
        finally:
            call.cancel()


def _read(client: httpx.Client, deadline: float, method: str, url: str, **sent: Any) -> tuple[int, Any]:
    body = bytearray()
    with client.stream(method, url, **sent) as answer:
        for piece in answer.iter_raw():
            body += piece
            if len(body) > ANSWER_BYTES:
                return answer.status_code, None
            if time.monotonic() > deadline:
                raise TimeoutError
    try:
        return answer.status_code, json.loads(body)
    except (ValueError, RecursionError):
        return answer.status_code, None


def _body(root: str, status: int, told: Any) -> dict[str, Any]:
    if status == HTTPStatus.OK and isinstance(told, dict):
        return told
    message = told.get("message") if isinstance(told, dict) else None
    if not isinstance(message, str):
        raise Conflict(f"{root} does not answer like a vault or a branch officer: HTTP {status}.")
    if status == HTTPStatus.UNAUTHORIZED:
        raise Conflict(
            f"{root} wants another token.",
            hint="Set REALM_TOKEN to that of its realm, or write it to ~/.config/realm/token.",
        )
    kinds = {kind.http_status: kind for kind in (InvalidInput, NotFound, Conflict, Unavailable)}
    kind: type[RealmError] = kinds.get(status, RealmError)
    raise kind(f"{root}: {message[:1000]}")
