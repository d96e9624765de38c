"""In front of every handler: who may talk to a site, and what every answer carries.

On loopback the strangers are web pages in the user's own browser: a page that rebinds its name to 127.0.0.1 shows
itself by its Host, one that posts across origins by its Origin. Beyond loopback the token comes on top of that.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from core.errors import RealmError
from core.http.access import Access, Unauthorized
from core.http.refusals import is_by_people
from core.http.sessions import Session

LOGIN_PATH = "/login"
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
AUTHORITY = re.compile(r"(?P<host>[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?P<port>:[0-9]{1,5})?", re.IGNORECASE)
LAST_PORT = 65535
LONGEST_NAME = 255
LONGEST_PATH = 2048
CHANGING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with that, browsers hide the origin of a plain form, and the login would be refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "realm",
}


@dataclass(frozen=True)
class Door:
    """How one site is entered."""

    access: Access
    own_ports: Callable[[], Collection[int]]
    """Gives the ports of all sites of this realm; asked per request, as `--ports auto` knows them late."""
    open_paths: Collection[str]
    """Served without a token, exactly as written here."""
    has_login: bool
    """Whether people log in here: only then is a cookie believed."""


DOOR: web.AppKey[Door] = web.AppKey("door")


class Forbidden(RealmError):
    """This caller may not do that."""

    code = "forbidden"
    http_status = 403


@web.middleware
async def check_caller(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a Host that is not ours, a change asked for by a page that is not ours, and whoever lacks the token."""
    door = request.app[DOOR]
    hosts = request.headers.getall("Host", [])
    # A target with an address of its own (`GET http://evil.example/`) overrules the header.
    if len(hosts) != 1 or request.host != hosts[0] or not _is_served(hosts[0], request, door.access):
        raise Forbidden(
            "This Host is not served.",
            hint="Use the address that the realm listens on, or name the host in `services.allowed_hosts`.",
        )
    origins = request.headers.getall("Origin", [])
    if request.method in CHANGING_METHODS:
        for origin in origins:
            if not _is_ours(origin, hosts[0], request, door):
                raise Forbidden("A page of another origin may not change the realm.", origin=origin)
    if door.access.token is None or request.rel_url.raw_path in door.open_paths:
        return await handler(request)
    try:
        session = _entered(request, door)
    except Unauthorized:
        if door.has_login and is_by_people(request):
            return web.Response(status=303, headers={"Location": LOGIN_PATH})
        raise
    if session and request.method in CHANGING_METHODS and not origins:
        raise Forbidden("A change that is asked for with a cookie has to name its Origin.")
    with session.serving(request.transport) if session else nullcontext():
        return await handler(request)


def _entered(request: web.Request, door: Door) -> Session | None:
    """The session by which this caller enters, None when it is the token itself; raises `Unauthorized`."""
    shown = request.headers.getall("Authorization", [])
    if not shown:
        session = door.access.session(request) if door.has_login else None
        if session is None:
            raise Unauthorized(hint="Send `Authorization: Bearer TOKEN`; `realm` commands read it from REALM_TOKEN.")
        return session
    scheme, _, token = shown[0].partition(" ")
    if len(shown) > 1 or scheme.lower() != "bearer":
        raise Unauthorized(hint="Send one header, `Authorization: Bearer TOKEN`.")
    door.access.check_token(token.strip(), request, "bearer")
    return None


def _is_served(authority: str, request: web.Request, access: Access) -> bool:
    """True for loopback, for names that were allowed, and for the address at which this connection came in: no name
    that somebody points at us is among these."""
    found = AUTHORITY.fullmatch(authority)
    if found is None or int((found["port"] or ":0")[1:]) > LAST_PORT:
        return False
    host = _plain(found["host"])
    sockname = request.transport and request.transport.get_extra_info("sockname")
    return host in LOOPBACK_NAMES | access.allowed_hosts or bool(sockname and host == _plain(sockname[0]))


def _plain(host: str) -> str:
    """A host for comparing: lower case, IPv6 without brackets, in its short form and without its interface."""
    name = host.lower().strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _is_ours(origin: str, host: str, request: web.Request, door: Door) -> bool:
    """True for the page's own origin (also through an SSH tunnel, where ports differ, and a proxy that adds TLS) and
    for our other sites."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
        return False
    if parts.netloc.lower() == host.lower():
        return True
    served = _is_served(parts.netloc, request, door.access)
    return parts.scheme == "http" and served and (port or 80) in door.own_ports()


@web.middleware
async def find_file(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A static file that is not there gets the error shape: aiohttp, which guards the folder, says nothing at all."""
    names = [len(name.encode("utf-8", "replace")) for name in request.path.split("/")]
    if max(names) > LONGEST_NAME or sum(names) + len(names) > LONGEST_PATH:
        # No disk can hold such a name or path; asked for it, it answers with an error of its own.
        raise web.HTTPNotFound
    resource = request.match_info.route.resource
    if isinstance(resource, web.StaticResource):
        folder: Path = resource.get_info()["directory"]
        if not (folder / request.match_info["filename"]).is_file():
            raise web.HTTPNotFound
    return await handler(request)


async def set_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)
    # A page that needs something more says so itself.
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    # Files are revalidated (a page must never run last version's script); answers are never kept.
    response.headers.setdefault("Cache-Control", "no-cache" if isinstance(response, web.FileResponse) else "no-store")
