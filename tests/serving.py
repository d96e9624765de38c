"""Serve routes on a real socket for as long as a `with` lasts, and talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from core.http.site import Site, make_app
from tests.conformance import hold_to_models


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    text: str
    body: Any
    """The JSON of the answer; None when it is no JSON."""


class Visitor:
    """A client of one site."""

    def __init__(self, site: Site, session: aiohttp.ClientSession) -> None:
        self.site = site
        self.session = session

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.ask("POST", path, **({"json": body} if body is not None else {}), **options)

    async def ask(self, method: str, path: str, **options: Any) -> Answer:
        async with self.session.request(method, self.site.url + path, **options) as response:
            is_json = response.content_type == "application/json"
            return Answer(
                response.status, response.headers, await response.text(), await response.json() if is_json else None
            )


@asynccontextmanager
async def serving(
    routes: Iterable[web.AbstractRouteDef], host: str = "127.0.0.1", *, held_to_models: bool = True, **options: Any
) -> AsyncIterator[Visitor]:
    """`async with serving(routes) as visitor`; `options` go to `make_app`.

    At the end no answer may have been another one than its endpoint declares (G20), unless `held_to_models` is False.
    """
    app = make_app(routes, **{"service": "test", "health": dict, **options})
    wrong = hold_to_models(app) if held_to_models else []
    site = Site(app, host, 0, "test")
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Visitor(site, session)
    finally:
        await site.stop()
    assert not wrong, wrong
