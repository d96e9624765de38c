"""Requests that no honest program sends, as the bytes that go over the wire, each with the answers that are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

CLOSED = 0
"""Instead of a status: the connection ends without an answer, where HTTP has ended before."""
TAVERN, VAULT, WATCHTOWER = "tavern", "vault", "watchtower"
CONTROL = "/api/training/control"
QUESTS = "/api/training/quests"
TOKEN = "the-token-of-a-realm-under-fire"
COOKIE, COOKIE_NAME = "{COOKIE}", "{COOKIE_NAME}"
"""Stand for the cookie of somebody who has logged in, and for its name alone."""
PAUSE = b'{"action": "pause"}'


@dataclass(frozen=True)
class Hostile:
    name: str
    site: str
    data: bytes
    statuses: tuple[int, ...]
    guarded: bool = False
    """Sent to a realm beyond loopback instead of one on loopback."""


def head(method: str, path: str, *lines: str, host: str | None = "127.0.0.1") -> bytes:
    all_lines = [f"{method} {path} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *lines]
    return "\r\n".join([*all_lines, "", ""]).encode("utf-8", "surrogateescape")


def get(path: str, *lines: str, host: str | None = "127.0.0.1") -> bytes:
    return head("GET", path, *lines, host=host)


def post(path: str, body: bytes, *lines: str, content_type: str = "application/json", **more: Any) -> bytes:
    size = f"Content-Length: {len(body)}"
    return head("POST", path, f"Content-Type: {content_type}", size, *lines, **more) + body


def send(path: str, **fields: Any) -> bytes:
    return post(path, json.dumps(fields).encode())


def all_hostile() -> list[Hostile]:
    return [*paths(), *hosts_and_origins(), *heads(), *framing(), *bodies(), *queries(), *wrong_types(), *intruders()]


def paths() -> Iterator[Hostile]:
    up = "../../../../../../etc/passwd"
    ways = {
        "plain": up,
        "with encoded dots": up.replace(".", "%2e"),
        "with encoded slashes": quote(up, safe=""),
        "doubly encoded": quote(quote(up, safe="")),
        "with backslashes": up.replace("/", "\\"),
        "with encoded backslashes": up.replace("/", "%5c"),
        "with overlong UTF-8": up.replace("..", "%c0%ae%c0%ae"),
        "with a NUL at the end": "crest.svg%00.js",
        "with CR and LF": "x%0d%0aSet-Cookie:%20evil=1",
        "with bytes that are no UTF-8": "%ff%fe",
        "with a name that no disk can hold": "x" * 4000,
        "with a path that no disk can hold": "x/" * 3000,
    }
    for way, path in ways.items():
        yield Hostile(f"a static file {way}", TAVERN, get(f"/static/{path}"), (400, 403, 404))
        yield Hostile(f"a checkpoint {way}", VAULT, get(f"/api/ledger/{path}"), (400, 404))
        yield Hostile(f"a document {way}", TAVERN, get(f"/docs/{path}.json"), (400, 404))
    yield Hostile("an absolute static file", TAVERN, get("/static//etc/passwd"), (403, 404))
    yield Hostile("the static folder itself", TAVERN, get("/static/"), (403, 404))
    yield Hostile("out of the root", WATCHTOWER, get("/../../../etc/passwd"), (400, 404))
    yield Hostile("the token by its path", TAVERN, get("/static/../../.realm.token"), (403, 404))
    yield Hostile("a raw CR in the path", TAVERN, get("/\rapi/game"), (400,))
    yield Hostile("a raw NUL in the path", TAVERN, get("/\0"), (400, 404))
    yield Hostile("raw bytes in the path", TAVERN, get("/\udcff\udcfe"), (400, 404))
    yield Hostile("a range beyond the file", TAVERN, get("/static/crest.svg", "Range: bytes=99999999-"), (416,))


def hosts_and_origins() -> Iterator[Hostile]:
    hosts = {
        "a foreign name": "evil.example",
        "a name that begins like loopback": "127.0.0.1.evil.example",
        "a name below localhost": "localhost.evil.example",
        "a name with our port": "evil.example:8888",
        "a number for an address": "2130706433",
        "an octal address": "0177.0.0.1",
        "a short address": "127.1",
        "the address of everywhere": "0.0.0.0",
        "a user in front": "127.0.0.1@evil.example",
        "a path behind": "127.0.0.1/evil.example",
        "no port number": "127.0.0.1:http",
        "a port beyond all ports": "127.0.0.1:99999",
        "two names": "127.0.0.1, evil.example",
        "nothing": "",
    }
    for what, host in hosts.items():
        yield Hostile(f"a Host of {what}", TAVERN, get("/api/game", host=host), (400, 403))
    yield Hostile("no Host", TAVERN, get("/api/game", host=None), (400, 403))
    yield Hostile("no Host in HTTP/1.0", TAVERN, b"GET /api/game HTTP/1.0\r\n\r\n", (400, 403))
    yield Hostile("two Hosts", TAVERN, get("/api/game", "Host: evil.example"), (400, 403))
    yield Hostile("a foreign address as target", TAVERN, get("http://evil.example/api/game"), (400, 403))
    origins = [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "https://localhost",
        "http://127.0.0.1.evil.example",
    ]
    for origin in [*origins, "file://", "http://127.0.0.1/path", "chrome-extension://x", ""]:
        data = post(CONTROL, PAUSE, f"Origin: {origin}")
        yield Hostile(f"a change from the origin {origin or 'nowhere'}", VAULT, data, (403,))
    two = post(CONTROL, PAUSE, "Origin: http://127.0.0.1", "Origin: http://evil.example")
    yield Hostile("a change from two origins", VAULT, two, (403,))
    yield Hostile("a form of a foreign page", TAVERN, post(
        "/api/daemon/control", PAUSE, "Origin: http://evil.example", content_type="text/plain"), (403,))  # fmt: skip


def heads() -> Iterator[Hostile]:
    for method in ("BREW", "TRACE", "PROPFIND", "DELETE", "PUT", "PATCH", "POST", "OPTIONS"):
        yield Hostile(f"{method} where only GET is possible", VAULT, head(method, "/api/ledger"), (400, 405))
    yield Hostile("CONNECT to another host", TAVERN, head("CONNECT", "evil.example:443"), (400, 403, 404, 405))
    yield Hostile("a method in small letters", TAVERN, head("get", "/"), (400, 405))
    yield Hostile("a method of 5000 letters", TAVERN, head("A" * 5000, "/"), (400, 405, 431))
    yield Hostile("a request line of 9000 bytes", TAVERN, get("/" + "x" * 9000), (400, 414, 431))
    yield Hostile("a header of 9000 bytes", TAVERN, get("/", "X: " + "x" * 9000), (400, 431))
    yield Hostile("a thousand headers", TAVERN, get("/", *["X: y"] * 1000), (400, 431))
    yield Hostile("a header without a colon", TAVERN, get("/", "evil"), (400,))
    yield Hostile("a header with a blank before the colon", TAVERN, get("/", "X : y"), (400,))
    yield Hostile("a header on two lines", TAVERN, get("/", "X: y\r\n evil: z"), (400,))
    yield Hostile("a NUL in a header", TAVERN, get("/", "X: a\0b"), (400,))
    yield Hostile("a bare CR in a header", TAVERN, get("/", "X: a\rSet-Cookie: evil=1"), (400,))
    yield Hostile("HTTP/0.9", TAVERN, b"GET /\r\n\r\n", (400, 403))
    yield Hostile("HTTP/2 without having asked", TAVERN, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 403, 404, 405))
    yield Hostile("an HTTP of the future", TAVERN, b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", (400,))
    yield Hostile("TLS on the plain port", TAVERN, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32), (400,))
    yield Hostile("bytes without any sense", TAVERN, bytes(range(256)), (400,))
    yield Hostile("a head that never ends", TAVERN, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", (408,))
    yield Hostile("an expectation that nobody can meet", TAVERN, get("/", "Expect: miracles"), (417,))
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eDogeHg=")
    for path in ("/", "/api/events/stream"):
        yield Hostile(f"a websocket at {path}", TAVERN, get(path, *upgrade), (400,))


def framing() -> Iterator[Hostile]:
    chunked = head("POST", CONTROL, "Transfer-Encoding: chunked")
    yield Hostile("a body announced as too large", VAULT, head("POST", CONTROL, "Content-Length: 99999999999"), (413,))
    yield Hostile("an endless body", VAULT, chunked + (b"40000\r\n" + b"x" * 0x40000 + b"\r\n") * 5, (413,))
    yield Hostile("an endless form", TAVERN, head(
        "POST", "/login", "Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked"
        ) + (b"40000\r\n" + b"x" * 0x40000 + b"\r\n") * 5, (413,))  # fmt: skip
    yield Hostile("a body that stops half way", VAULT, head("POST", CONTROL, "Content-Length: 19") + PAUSE[:9], (408,))
    yield Hostile("a chunk that stops half way", VAULT, chunked + b"13\r\n" + PAUSE[:9], (408,))
    yield Hostile("a chunk longer than it says", VAULT, chunked + b"3\r\n" + PAUSE + b"\r\n0\r\n\r\n", (400,))
    yield Hostile("a chunk of no number", VAULT, chunked + b"evil\r\n" + PAUSE + b"\r\n0\r\n\r\n", (400,))
    yield Hostile("a chunk of a negative size", VAULT, chunked + b"-13\r\n" + PAUSE + b"\r\n0\r\n\r\n", (400,))
    yield Hostile("a chunk larger than any number", VAULT, chunked + b"f" * 40 + b"\r\n" + PAUSE, (400,))
    for what, size in {"negative": "-1", "signed": "+19", "no number": "x", "hexadecimal": "0x13"}.items():
        yield Hostile(f"a {what} Content-Length", VAULT, head("POST", CONTROL, f"Content-Length: {size}"), (400,))
    twice = head("POST", CONTROL, "Content-Length: 19", "Content-Length: 5") + PAUSE
    yield Hostile("two Content-Lengths", VAULT, twice, (400,))
    both = (
        head("POST", CONTROL, "Content-Length: 4", "Transfer-Encoding: chunked") + b"13\r\n" + PAUSE + b"\r\n0\r\n\r\n"
    )
    yield Hostile("a length and chunks (request smuggling)", VAULT, both, (400,))
    odd = head("POST", CONTROL, "Transfer-Encoding: xchunked") + PAUSE
    yield Hostile("an unknown transfer encoding", VAULT, odd, (400,))
    yield Hostile("a compressed body", VAULT, post(CONTROL, b"\x1f\x8b\x08\x00", "Content-Encoding: gzip"), (415,))


def bodies() -> Iterator[Hostile]:
    texts = {
        "nothing": b"",
        "no JSON": b"pause",
        "half an object": b'{"action": "pau',
        "two objects": PAUSE * 2,
        "a list": b'["pause"]',
        "a text": b'"pause"',
        "null": b"null",
        "NaN": b'{"action": NaN}',
        "Infinity": b'{"action": -Infinity}',
        "a number of 5000 digits": b'{"action": ' + b"9" * 5000 + b"}",
        "100 000 brackets": b"[" * 100_000,
        "lists 500 deep": b'{"reason": ' + b"[" * 500 + b"]" * 500 + b', "action": "pause"}',
        "objects 500 deep": b'{"action":' * 500 + b"1" + b"}" * 500,
        "a key twice": b'{"action": "pause", "action": "stop"}',
        "an unknown key": b'{"action": "pause", "__proto__": {}}',
        "a comment": b'{"action": "pause" /* evil */}',
        "a BOM": b"\xef\xbb\xbf" + PAUSE,
        "UTF-16": PAUSE.decode().encode("utf-16"),
        "bytes that are no UTF-8": b'{"action": "pause", "reason": "\xff"}',
        "half a surrogate pair": rb'{"action": "pause", "reason": "\ud800"}',
        "a raw newline in a text": b'{"action": "pause", "reason": "a\nb"}',
        "a form": b"action=pause",
    }
    for what, body in texts.items():
        yield Hostile(f"a body that is {what}", VAULT, post(CONTROL, body), (400,))
    yield Hostile("no JSON on the page's own control", TAVERN, post("/api/daemon/control", b"pause"), (400,))


def queries() -> Iterator[Hostile]:
    ledger = ["limit=-1", "limit=x", "limit=1e3", "limit=NaN", "limit=%D9%A3", "limit=" + "9" * 30, "limit=1&limit=2"]
    for query in [*ledger, "offset=-1", "offset=1.5", "limit[]=1", "evil=1", "limit=%00"]:
        yield Hostile(f"the ledger with {query}", VAULT, get(f"/api/ledger?{query}"), (400,))
    for query in ("metric=__class__", "metric=", "lower=maybe", "lower=true&lower=false"):
        yield Hostile(f"the best checkpoint by {query}", VAULT, get(f"/api/ledger/best?{query}"), (400, 404))
    for query in ("x", "-1", "9" * 30, "%00", "1&last_event_id=2"):
        path = f"/api/events/stream?last_event_id={query}"
        yield Hostile(f"events after {query}", TAVERN, get(path), (400,))
    yield Hostile("events after a header of letters", TAVERN, get("/api/events/stream", "Last-Event-ID: x"), (400,))


def wrong_types() -> Iterator[Hostile]:
    for value in (None, 7, True, [], {}, "dance", "PAUSE", "", "../pause", "pause\0"):
        yield Hostile(f"the action {value!r}", VAULT, send(CONTROL, action=value), (400,))
    for value in (7, True, ["x"], {"x": 1}, "x" * 501):
        told = value if not isinstance(value, str) else "a text of 501 characters"
        yield Hostile(f"the reason {told!r}", VAULT, send(CONTROL, action="pause", reason=value), (400,))
    names = [None, 7, True, [], {}, "", ".", "..", "a/b", "../../control/.stop", "/etc/passwd", "x\0.jsonl", "x" * 256]
    for value in names:
        told = value if value != "x" * 256 else "a name of 256 characters"
        yield Hostile(f"removing the quest {told!r}", VAULT, send(f"{QUESTS}/remove", quest=value), (400,))
    for value in (None, 7, [], "urgent", "../high", "processing"):
        data = send(f"{QUESTS}/move", quest="waiting.jsonl", priority=value)
        yield Hostile(f"moving a quest to {value!r}", VAULT, data, (400,))
    yield Hostile("moving a quest nowhere", VAULT, send(f"{QUESTS}/move", quest="waiting.jsonl"), (400,))
    yield Hostile("removing with a priority", VAULT, send(f"{QUESTS}/remove", quest="x", priority="high"), (400,))
    yield Hostile("retrying what waits", VAULT, send(f"{QUESTS}/retry", quest="waiting.jsonl"), (404, 409))
    yield Hostile("removing half a surrogate pair", VAULT, post(f"{QUESTS}/remove", rb'{"quest": "\ud800"}'), (400,))
    yield Hostile("an action on quests that is none", VAULT, send(f"{QUESTS}/burn", quest="waiting.jsonl"), (404, 405))


def intruders() -> Iterator[Hostile]:
    """At a realm beyond loopback."""
    shown = {
        "nothing": [],
        "a wrong token": ["Authorization: Bearer x"],
        "an empty token": ["Authorization: Bearer "],
        "the token under another scheme": [f"Authorization: Basic {TOKEN}"],
        "the token without a scheme": [f"Authorization: {TOKEN}"],
        "two tokens": [f"Authorization: Bearer {TOKEN}", "Authorization: Bearer x"],
        "a token of 8000 characters": ["Authorization: Bearer " + "x" * 8000],
        "a token of odd bytes": ["Authorization: Bearer \udcff\udcfe"],
        "the token as a cookie": [f"Cookie: realm_session={TOKEN}; token={TOKEN}"],
        "a cookie that was never given out": [f"Cookie: {COOKIE_NAME}=" + "x" * 43],
        "a cookie that is none": [f"Cookie: ;;;=\udcff; {COOKIE_NAME}"],
        "the Host as proof": ["X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"],
    }
    for what, lines in shown.items():
        yield Hostile(f"entering with {what}", TAVERN, get("/api/game", *lines), (401, 429), guarded=True)
    yield Hostile("the token in the query", TAVERN, get(f"/api/game?token={TOKEN}"), (401,), guarded=True)
    yield Hostile("a login's cookie on 8767", VAULT, get("/api/ledger", f"Cookie: {COOKIE}"), (401,), guarded=True)
    yield Hostile("a login's cookie on 8081", WATCHTOWER, get("/", f"Cookie: {COOKIE}"), (401,), guarded=True)
    control = post("/api/daemon/control", PAUSE, f"Cookie: {COOKIE}")
    yield Hostile("a login's cookie without an Origin", TAVERN, control, (403,), guarded=True)
    foreign = post("/api/daemon/control", PAUSE, f"Cookie: {COOKIE}", "Origin: http://evil.example")
    yield Hostile("a login's cookie from a foreign page", TAVERN, foreign, (403,), guarded=True)
    right = f"Authorization: Bearer {TOKEN}"
    yield Hostile("the token under a foreign Host", VAULT, get("/api/ledger", right, host="evil.example"), (403,), True)
    around = (
        "/health/../api/game",
        "/health%2f..%2fapi%2fgame",
        "//health",
        "/health/",
        "/HEALTH",
        "/health;/api/game",
    )
    for path in (*around, "/login/../api/game", "/static/login.css/../tavern.js", "/static/tavern.js", "/metrics"):
        yield Hostile(f"around the token by {path}", TAVERN, get(path), (400, 401), guarded=True)
    yield Hostile("stopping without the token", VAULT, send(CONTROL, action="stop"), (401,), guarded=True)
    form = "application/x-www-form-urlencoded"
    yield Hostile(
        "a login with a guess", TAVERN, post("/login", b"token=x", content_type=form), (401, 429), guarded=True
    )
    yield Hostile("a login in JSON", TAVERN, post("/login", b'{"token": "x"}'), (400,), guarded=True)
    yield Hostile("a login with two tokens", TAVERN, post(
        "/login", f"token=x&token={TOKEN}".encode(), content_type=form), (400,), guarded=True)  # fmt: skip
    strange = post("/login", f"token={TOKEN}".encode(), "Origin: http://evil.example", content_type=form)
    yield Hostile("a login from a foreign page", TAVERN, strange, (403,), guarded=True)
    yield Hostile("logging somebody out", TAVERN, post("/logout", b"", f"Cookie: {COOKIE}"), (403,), guarded=True)
