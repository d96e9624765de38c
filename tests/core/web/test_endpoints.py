"""An endpoint over a real socket: what it takes is parsed by its models, what it refuses is named, HEAD and streams."""

from __future__ import annotations

from typing import Any, Literal

import aiohttp
import pytest
from aiohttp import web
from pydantic import Field

from core.errors import Conflict, NotFound
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Truth, Whole
from core.http.openapi import build_document
from tests.serving import Visitor, serving


class Place(Inputs):
    room: Literal["hall", "cellar"]
    shelf: Whole


class Wanted(Inputs):
    limit: Whole = Field(default=10, ge=0, le=99, description="How many.")
    lower: Truth | None = None


class Parcel(Inputs):
    name: str
    weight: float = 1.0
    size: int = 1


async def show(path: Place, query: Wanted) -> dict[str, Any]:
    return {**path.model_dump(), **query.model_dump()}


async def send(body: Parcel) -> dict[str, Any]:
    return body.model_dump()


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    return response


ENDPOINTS = [
    Endpoint("GET", "/show/{room}/{shelf}", show, "Show it.", tag="x", raises=[Conflict, NotFound]),
    Endpoint("POST", "/send", send, "Send it. It takes a while.", tag="x"),
    Endpoint("GET", "/stream", stream, "Stream it.", tag="x", media="text/event-stream"),
]


async def test_a_handler_gets_what_its_models_made_of_the_request() -> None:
    async with serving(ENDPOINTS) as visitor:
        shown = await visitor.get("/show/hall/7?limit=5&lower=false")
        sent = await visitor.post("/send", {"name": "x", "weight": 2})
    assert shown.body == {"room": "hall", "shelf": 7, "limit": 5, "lower": False}
    assert sent.body == {"name": "x", "weight": 2.0, "size": 1}


async def refused(visitor: Visitor, query: str) -> str:
    answer = await visitor.get(f"/show/hall/7?{query}")
    assert (answer.status, answer.body["error"]) == (400, "invalid_input")
    return str(answer.body["message"])


async def test_a_query_that_is_wrong_is_refused_by_name() -> None:
    async with serving(ENDPOINTS) as visitor:
        for text in ("x", "", "-1", "1.0", "1e1", "+1", "1_0", "%201", "%D9%A1", "9" * 5000):
            assert await refused(visitor, f"limit={text}") != ""
        assert await refused(visitor, "limit=x") == "limit must be a whole number, not 'x'."
        assert await refused(visitor, "limit=100") == "limit should be less than or equal to 99, not 100."
        assert await refused(visitor, "lower=1") == "lower must be true or false, not '1'."
        assert await refused(visitor, "limt=1") == "'limt' is unknown in this query. Did you mean limit?"
        assert await refused(visitor, "xyz=1") == "'xyz' is unknown in this query. It may have: limit, lower."
        assert await refused(visitor, "limit=1&limit=2") == "The query has limit more than once."


async def test_all_that_is_wrong_is_told_at_once() -> None:
    async with serving(ENDPOINTS) as visitor:
        answer = await visitor.post("/send", {"nam": "x", "weight": "2", "size": True})
    assert answer.body["details"]["errors"] == [
        "name is missing in the body.",
        "weight should be a valid number, not '2'.",
        "size must be a whole number, not True.",
        "'nam' is unknown in this body. Did you mean name?",
    ]
    assert answer.body["message"] == " ".join(answer.body["details"]["errors"])


@pytest.mark.parametrize("path", ["/show/attic/7", "/show/hall/x", "/show/hall/-1", "/show/hall"])
async def test_nothing_lies_at_a_path_that_is_not_valid(path: str) -> None:
    async with serving(ENDPOINTS) as visitor:
        answer = await visitor.get(path)
    assert (answer.status, answer.body["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b"null", b'{"name": NaN}', b'{"name": 1e999}', b'{"name": "a", "name": "b"}']
)
async def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    async with serving(ENDPOINTS) as visitor:
        answer = await visitor.ask("POST", "/send", data=body)
    assert (answer.status, answer.body["error"]) == (400, "invalid_input")


async def test_a_value_that_is_refused_is_not_repeated_at_length() -> None:
    async with serving(ENDPOINTS) as visitor:
        answer = await visitor.post("/send", {"name": "x", "size": "y" * 100_000, "z" * 100_000: 1})
    assert answer.status == 400
    assert len(answer.text) < 1000


async def test_what_can_be_got_can_be_asked_for_its_head_unless_it_streams() -> None:
    async with serving(ENDPOINTS) as visitor:
        assert (await visitor.ask("HEAD", "/show/hall/7")).status == 200
        assert (await visitor.ask("HEAD", "/stream")).status == 405
        async with aiohttp.ClientSession() as session, session.get(visitor.site.url + "/stream") as response:
            assert await response.read() == b"data: 1\n\n"


def test_the_document_is_made_of_the_same_models() -> None:
    """G20: what a handler takes and what is written about it cannot differ."""
    document = build_document(ENDPOINTS, title="x", version="1")
    shown = document["paths"]["/show/{room}/{shelf}"]["get"]
    assert [(entry["name"], entry["in"], entry["required"]) for entry in shown["parameters"]] == [
        ("room", "path", True),
        ("shelf", "path", True),
        ("limit", "query", False),
        ("lower", "query", False),
    ]
    assert shown["parameters"][2] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "How many.",
        "schema": {"type": "integer", "default": 10, "minimum": 0, "maximum": 99},
    }
    assert shown["parameters"][3]["schema"] == {"type": "boolean"}
    assert list(shown["responses"]) == ["200", "400", "403", "404", "409"]
    sent = document["paths"]["/send"]["post"]
    assert (sent["summary"], sent["description"]) == ("Send it", "It takes a while.")
    body = sent["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Parcel"}
    assert document["components"]["schemas"]["Parcel"]["additionalProperties"] is False
    assert "Wanted" not in document["components"]["schemas"]
