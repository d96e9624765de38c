"""The tavern over HTTP, port 8888: the page, its snapshot, its event stream, its buttons, and the API browser.

A page is one snapshot and then the stream (DESIGN section 8). The snapshot (`GET /api/game`) is one JSON object, told
in `tavern/answers.py`; a sample lies in `tests/tavern/sample_snapshot.json`. A **progress frame** of the stream is an
object with `timestamp` and any of `realm`, `hero`, `training`, `quest`, `queue`, `inbox`, `gpu`, `machine`, `momentum`:
each key that is there replaces that key of the snapshot as a whole, the others stay as they are (F1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web
from pydantic import Field

from arena.routes import TrainingService, control_endpoint
from core.errors import NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.events import EventHub
from core.http.guards import CONTENT_SECURITY_POLICY
from core.http.inputs import Inputs, Whole
from core.http.login import Login
from core.http.shared_answers import SharedAnswer
from core.http.site import Routes, Site
from tavern.pages import PAGE_PATHS, SHELL, STATIC, parts_of

ICON_PATH = "/favicon.ico"
"""Asked for by browsers that do not take the crest as SVG, and by all that look at something else than a page."""
LOGIN = Login(STATIC / "login.html", files=("/static/login.css", "/static/tavern.css", "/static/crest.svg", ICON_PATH))
"""Given to `make_app` beside the routes; the form is wanted beyond loopback only."""
PAGE = "pages"
HTML = "text/html"


class StreamStart(Inputs):
    last_event_id: Whole | None = Field(
        default=None,
        ge=0,
        description="Id of the last event that is known; those after it come first. The header `Last-Event-ID` wins.",
    )


class SiteNamed(Inputs):
    site: str = Field(description="One of `/docs/sites`.")


def tavern_routes(
    snapshot: Callable[[], Awaitable[dict[str, Any]]],
    hub: EventHub,
    training: TrainingService,
    sites: Callable[[], Sequence[Site]] = tuple,
) -> Routes:
    """Everything the browser asks for; it talks to this port only (F15). `/docs` shows the documents of `sites`."""

    game = SharedAnswer(snapshot)

    async def stream(request: web.Request, query: StreamStart) -> web.StreamResponse:
        return await hub.serve(request, query.last_event_id)

    return [
        *face_routes(),
        Endpoint("GET", "/api/game", game.get, "Everything the page shows, as one object. Unknown values are null.",
                 tag="game", answer="tavern.answers:Game", raises=[Unavailable]),
        Endpoint("GET", "/api/events/stream", stream,
                 "What happens, as it happens. Durable events carry an id and are replayed; `progress` frames, at "
                 "most five a second, carry none and are not.",
                 tag="game", media="text/event-stream", raises=[Unavailable]),
        control_endpoint(training, "/api/daemon/control"),
        *_docs_routes(sites),
    ]  # fmt: skip


def _pages() -> list[Endpoint]:
    """Each answers with the same document, whose scripts show what its address names."""

    def shown_at(path: str) -> Endpoint:
        async def show(**_parts: Inputs) -> web.FileResponse:
            return web.FileResponse(SHELL)

        parts = parts_of(path)
        show.__annotations__ = {} if parts is None else {"path": parts}
        return Endpoint("GET", path, show, "The page for people.", tag=PAGE, media=HTML)

    return [shown_at(path) for path in PAGE_PATHS]


def face_routes() -> Routes:
    """What a tavern shows of itself, whatever realm it is of: pages, scripts, pictures."""

    async def show_icon() -> web.FileResponse:
        return web.FileResponse(STATIC / "crest.png")

    async def show_browser() -> web.FileResponse:
        # Swagger UI's style sheet holds its icons as data; nothing else on this page is looser than elsewhere.
        headers = {"Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; img-src 'self' data:"}
        return web.FileResponse(STATIC / "docs.html", headers=headers)

    return [
        *_pages(),
        web.static("/static", STATIC),
        Endpoint("GET", ICON_PATH, show_icon, "The crest, as a PNG.", tag=PAGE, media="image/png"),
        Endpoint("GET", "/docs", show_browser, "A browser for the documents of all sites.", tag=PAGE, media=HTML),
    ]


def _docs_routes(sites: Callable[[], Sequence[Site]]) -> list[Endpoint]:
    """What the API browser asks for: this site gives the documents of all, as the browser may talk to no other."""

    async def list_sites() -> dict[str, list[str]]:
        return {"sites": [site.name for site in sites()]}

    async def show_document(path: SiteNamed) -> dict[str, Any]:
        found = next((site for site in sites() if site.name == path.site), None)
        if found is None:
            raise NotFound(f"There is no site {path.site!r}.", hint="/docs/sites lists them.")
        return found.document

    return [
        Endpoint("GET", "/docs/sites", list_sites, "Names of the sites that have a document.",
                 tag=PAGE, answer="tavern.answers:Sites"),
        Endpoint("GET", "/docs/{site}.json", show_document,
                 "The OpenAPI document of one site, naming the address that it listens on.", tag=PAGE),
    ]  # fmt: skip
