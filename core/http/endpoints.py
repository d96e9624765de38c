"""What a site offers: one declaration per endpoint, from which its route and its part of the OpenAPI document come.

    Endpoint("GET", "/api/ledger/best", best, "The best checkpoint.", tag="ledger", answer="vault.answers:Best")

The handler says by its annotations what it takes: `path`, `query` and `body` are models below `Inputs`, parsed before
it is called; `request` is the bare request, for those that stream; `upload` is a body that is not read yet. It returns
data for a JSON answer, or a response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_type_hints

from aiohttp import hdrs, web

from core.errors import InvalidInput, NotFound, RealmError
from core.http.answers import json_response
from core.http.inputs import Inputs, read_body, read_path, read_query
from core.http.uploads import Upload

JSON = "application/json"
PLACES = ("path", "query", "body")


@dataclass(frozen=True)
class Endpoint(web.AbstractRouteDef):
    """One method at one path of one site."""

    method: str
    path: str
    handler: Callable[..., Awaitable[Any]]
    summary: str
    """One sentence, or a few, for people."""
    tag: str = field(kw_only=True)
    """Heading under which the documents list it."""
    answer: str | None = field(default=None, kw_only=True)
    """`package.module:Model` of a JSON answer. A name, as the document alone needs the models, and nobody's start
    should wait for them."""
    media: str = field(default=JSON, kw_only=True)
    statuses: Sequence[int] = field(default=(200,), kw_only=True)
    """Statuses that carry the answer; all others carry the error shape."""
    raises: Sequence[type[RealmError]] = field(default=(), kw_only=True)
    """Errors beside those that unreadable paths, queries and bodies have by themselves."""
    tail: str | None = field(default=None, kw_only=True)
    """The last part of the path, if it may hold slashes."""
    looks: str | None = field(default=None, kw_only=True)
    """What the one variable part of the path looks like (a regular expression), where fixed paths lie beside it."""
    open: bool = field(default=False, kw_only=True)
    """Answered without a token, whatever the site listens on."""

    @cached_property
    def inputs(self) -> dict[str, type[Inputs]]:
        """The models of path, query and body, as far as the handler takes them."""
        hints = get_type_hints(self.handler)
        return {place: hints[place] for place in PLACES if place in hints}

    @cached_property
    def takes_request(self) -> bool:
        return "request" in get_type_hints(self.handler)

    @cached_property
    def takes_upload(self) -> bool:
        return "upload" in get_type_hints(self.handler)

    @property
    def errors(self) -> list[type[RealmError]]:
        """Every error of its own, in the order of their statuses."""
        implied: dict[str, type[RealmError]] = {"path": NotFound, "query": InvalidInput, "body": InvalidInput}
        found = {*self.raises, *(implied[place] for place in self.inputs)}
        return sorted(found, key=lambda kind: (kind.http_status, kind.code))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Parse, call the handler, answer with what it returns."""
        given: dict[str, Any] = {"request": request} if self.takes_request else {}
        if self.takes_upload:
            given["upload"] = Upload(request)
        readers: dict[str, Any] = {"path": read_path, "query": read_query}
        for place, model in self.inputs.items():
            given[place] = await read_body(request, model) if place == "body" else readers[place](request, model)
        answer = await self.handler(**given)
        return answer if isinstance(answer, web.StreamResponse) else json_response(answer)

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        """Add the route; a GET also answers HEAD, unless it streams."""
        path = self.path.replace(f"{{{self.tail}}}", f"{{{self.tail}:.+}}") if self.tail else self.path
        if self.looks is not None:
            path = path.replace("}", f":{self.looks}}}")
        if self.method == hdrs.METH_GET:
            route = router.add_get(path, self.serve, allow_head=self.media != "text/event-stream")
            return [route]
        return [router.add_route(self.method, path, self.serve)]
