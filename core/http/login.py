"""The way in for people: a form that takes the token once and gives a cookie, which this one site believes."""

from __future__ import annotations

import html
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web

from core.errors import InvalidInput
from core.http.access import Access, TooManyAttempts, Unauthorized, cookie_name
from core.http.endpoints import Endpoint
from core.http.guards import LOGIN_PATH
from core.http.refusals import refusal_headers
from core.http.sessions import LIFETIME_SECONDS

TAG = "login"
LOGOUT_PATH = "/logout"
MESSAGE_MARK = "<!-- message -->"
"""Stands in the page where a refusal is told."""
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Login:
    """What a site shows to people who are not in yet."""

    page: Path
    files: Collection[str]
    """Paths of what the page shows, served without a token."""


def login_endpoints(login: Login, access: Access) -> list[Endpoint]:
    """The form, what it is sent to, and the way out. Where no token is wanted, all lead to the page itself."""

    async def show_form(request: web.Request) -> web.Response:
        if access.token is None or access.session(request):
            return _redirect("/")
        return _page(login, "")

    async def log_in(request: web.Request) -> web.Response:
        if access.token is None:
            return _redirect("/")
        try:
            access.check_token(await _token_of(request), request, "login")
        except (Unauthorized, TooManyAttempts) as error:
            if "text/html" not in request.headers.get("Accept", ""):
                raise
            return _page(login, str(error), status=error.http_status, headers=refusal_headers(error))
        name = cookie_name(request)
        access.sessions.end(request.cookies.get(name, ""), keep=request.transport)
        response = _redirect("/")
        response.set_cookie(
            name,
            access.sessions.begin(time.monotonic()),
            max_age=int(LIFETIME_SECONDS),
            httponly=True,
            samesite="Strict",
            # Only a proxy that adds TLS makes the page's origin https.
            secure=request.headers.get("Origin", "").startswith("https:"),
        )
        return response

    async def log_out(request: web.Request) -> web.Response:
        name = cookie_name(request)
        access.sessions.end(request.cookies.get(name, ""), keep=request.transport)
        response = _redirect("/" if access.token is None else LOGIN_PATH)
        response.del_cookie(name, httponly=True, samesite="Strict")
        return response

    async def show_session(request: web.Request) -> dict[str, bool]:
        return {"login": access.token is not None and access.session(request) is not None}

    def endpoint(method: str, path: str, *details: object, **more: object) -> Endpoint:
        return Endpoint(method, path, *details, tag=TAG, **more)  # type: ignore[arg-type]

    page = {"media": "text/html", "open": True}
    return [
        endpoint("GET", LOGIN_PATH, show_form, "The form that asks for the token.", **page),
        endpoint("POST", LOGIN_PATH, log_in, "Log in with a form that has `token`; sets a cookie for this site.",
                 statuses=(303,), raises=[InvalidInput, Unauthorized, TooManyAttempts], **page),
        endpoint("POST", LOGOUT_PATH, log_out, "Log out; open streams of the login end.",
                 statuses=(303,), media="text/html"),
        endpoint("GET", "/api/session", show_session, "Whether this browser has logged in.",
                 answer="core.http.answer_models:LoggedIn"),
    ]  # fmt: skip


async def _token_of(request: web.Request) -> str:
    if request.content_type != FORM:
        raise InvalidInput("The token comes in a form.", hint=f"Content-Type: {FORM}, with the one field `token`.")
    try:
        fields = parse_qs((await request.read()).decode(), max_num_fields=4)
        (token,) = fields["token"]
    except (ValueError, KeyError) as error:
        raise InvalidInput("The form must have the field `token`, once.") from error
    return token.strip()


def _page(login: Login, message: str, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    told = f'<p class="message" role="alert">{html.escape(message)}</p>' if message else ""
    text = login.page.read_text(encoding="utf-8").replace(MESSAGE_MARK, told)
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def _redirect(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path})
