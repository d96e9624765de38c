"""`/` of a site without a page of its own: what is served there, as JSON for programs, as a bare page for people."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from core.http.endpoints import Endpoint
from core.http.guards import CONTENT_SECURITY_POLICY

PAGE_HEADERS = {"Vary": "Accept", "Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; img-src data:"}
"""The page has an empty icon: without one, browsers ask for one that is not there."""


def index_endpoint(
    service: str, endpoints: Callable[[], Sequence[Endpoint]], docs_port: Callable[[], int] | None
) -> Endpoint:
    """Lists `endpoints` but for itself; `docs_port` gives the port of the site that shows `/docs`."""

    async def show_index(request: web.Request) -> web.Response | dict[str, Any]:
        # The name under which the caller reached us: ours may be one that only this machine knows.
        host = urlsplit(f"//{request.host}").hostname or "localhost"
        docs = f"http://{f'[{host}]' if ':' in host else host}:{docs_port()}/docs" if docs_port else None
        listed = [endpoint for endpoint in endpoints() if endpoint.path != "/"]
        if "text/html" in request.headers.get("Accept", ""):
            text = _page(service, listed, docs)
            return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)
        routes = [
            {"method": endpoint.method, "path": endpoint.path, "summary": endpoint.summary} for endpoint in listed
        ]
        return {"service": service, "endpoints": routes, "docs": docs}

    return Endpoint("GET", "/", show_index, "What this site serves: JSON, or a bare page for browsers.",
                    tag="index", answer="core.http.answer_models:Index")  # fmt: skip


def _page(service: str, endpoints: Sequence[Endpoint], docs: str | None) -> str:
    title = html.escape(f"Realm of Training: {service}")
    more = f'<p>With all fields of what goes in and out: <a href="{html.escape(docs)}">/docs</a>.</p>' if docs else ""
    rows = "".join(
        f"<dt>{endpoint.method} {_link(endpoint)}</dt><dd>{html.escape(endpoint.summary)}</dd>\n"
        for endpoint in endpoints
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n<p>This port is for programs; the page of the realm is the Tavern’s.</p>\n{more}\n"
        f"<dl>\n{rows}</dl>\n</body>\n</html>\n"
    )


def _link(endpoint: Endpoint) -> str:
    path = html.escape(endpoint.path)
    can_be_opened = endpoint.method == "GET" and "{" not in endpoint.path
    return f'<a href="{path}">{path}</a>' if can_be_opened else path
