"""Who may enter the sites of one realm: local programs on loopback; beyond it, who shows the token or has logged in."""

from __future__ import annotations

import hmac
import logging
import math
import time
from collections.abc import Iterable

from aiohttp import web

from core.errors import RealmError
from core.http.attempts import Attempts, caller_address
from core.http.sessions import Session, Sessions

logger = logging.getLogger(__name__)


class Unauthorized(RealmError):
    """This realm is reached over the network and wants its token."""

    code = "unauthorized"
    http_status = 401


class TooManyAttempts(RealmError):
    """Too many wrong tokens came from this address."""

    code = "too_many_attempts"
    http_status = 429


class Access:
    """Shared by the sites of one realm, as they share its token.

    Without a `token` everybody who gets through to the port may enter: the sites listen on loopback. `allowed_hosts`
    are names under which the sites are reached, beside loopback and the addresses that they listen on.
    """

    def __init__(self, token: str | None = None, allowed_hosts: Iterable[str] = ()) -> None:
        self.token = token
        self.allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self.sessions = Sessions()
        self.attempts = Attempts()

    def check_token(self, shown: str, request: web.Request, way: str) -> None:
        """Raises `Unauthorized` for a wrong token, and `TooManyAttempts` after too many of them, whatever is shown.

        Each `way` of showing it counts by itself: a forgotten script must not keep its owner from logging in.
        """
        address = caller_address(request.transport and request.transport.get_extra_info("peername"))
        caller, now = f"{way} {address}", time.monotonic()
        if wait := math.ceil(self.attempts.wait(caller, now)):
            raise TooManyAttempts(hint=f"Try again in {wait} s.", retry_after_seconds=wait)
        if self.token is not None and hmac.compare_digest(_bytes(shown), _bytes(self.token)):
            self.attempts.succeeded(caller)
            return
        self.attempts.failed(caller, now)
        logger.warning("a wrong token came from %s", address, extra={"event": "wrong_token", "way": way})
        raise Unauthorized("That is not the token of this realm.")

    def session(self, request: web.Request) -> Session | None:
        """The session whose cookie came with the request."""
        return self.sessions.find(request.cookies.get(cookie_name(request), ""), time.monotonic())


def cookie_name(request: web.Request) -> str:
    """Browsers send cookies to every port of a host: each site has a name of its own, so that two realms on one host
    do not log each other out."""
    sockname = request.transport and request.transport.get_extra_info("sockname")
    return f"realm_session_{sockname[1] if sockname else 0}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
