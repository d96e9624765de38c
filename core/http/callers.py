"""Who asks, in words for people: what a change that came over HTTP is put down to."""

from __future__ import annotations

from aiohttp import web

from core.http.attempts import caller_address
from core.http.guards import DOOR
from core.setting_types import is_loopback


def told_caller(request: web.Request) -> str:
    """`a page on this machine`, `a page that has logged in, from 10.0.0.5`, `a program with the token, from …`."""
    address = caller_address(request.transport and request.transport.get_extra_info("peername"))
    try:
        where = "on this machine" if is_loopback(address) else f"from {address}"
    except ValueError:  # a connection without an address
        where = "from an unknown address"
    if "Authorization" in request.headers:
        return f"a program with the token, {where}"
    if request.app[DOOR].access.token is not None:
        return f"a page that has logged in, {where}"
    return f"a {'page' if 'Origin' in request.headers else 'program'} {where}"
