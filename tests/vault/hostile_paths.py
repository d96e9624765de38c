"""Paths, ids and heads by which somebody tries to get out of a vault's roots, and the requests that carry them.

`{base}` stands for the base directory of the service that is asked, `{outside}` for what is none of its business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

VAULT, BRANCH = "vault", "branch"
CHECKPOINT = "checkpoint_1000"


@dataclass(frozen=True)
class Attempt:
    """A request that has to get a 4xx."""

    site: str
    method: str
    path: str
    """As it goes over the wire."""
    body: dict[str, Any] = field(default_factory=dict)


OUT = {
    "parents": "../outside/key.jsonl",
    "parents in the middle": "models/../../outside/key.jsonl",
    "parents of everything": "../" * 40 + "etc/passwd",
    "an absolute path": "{outside}/key.jsonl",
    "a checkpoint outside": "{outside}/checkpoint-666-20261121-0900",
    "a path that begins like a root": "{base}-of-another/key.jsonl",
    "a path back out of the root": "{base}/../outside/key.jsonl",
    "the disk itself": "/",
    "the system's files": "/etc/passwd",
    "what the kernel shows": "/proc/self/environ",
    "a link to a directory": "models/way-out/key.jsonl",
    "a link in a link": "models/way-out/../outside/key.jsonl",
    "the token": ".realm.token",
    "something hidden": "models/.hidden/x",
    "the token by a detour": "models/../.realm.token",
    "a NUL": "models/x\0.jsonl",
    "a NUL alone": "\0",
    "a long name": "models/" + "x" * 300,
    "a long path": "models/" + "x/" * 1025 + "x",
}
"""Led nowhere, whatever they are for."""

ODD = {
    "encoded dots": "%2e%2e/%2e%2e/outside/key.jsonl",
    "double encoded dots": "%252e%252e/outside/key.jsonl",
    "backslashes": "..\\..\\outside\\key.jsonl",
    "a share": "\\\\evil.example\\share\\key.jsonl",
    "another drive": "C:\\Windows\\win.ini",
    "a URL": "file:///etc/passwd",
    "a URL of a host": "http://evil.example/key.jsonl",
    "lines of their own": "models/x\r\nSet-Cookie: evil=1",
    "a shell's words": "models/$(touch {outside}/touched)",
    "a home": "~/key.jsonl",
    "a wildcard": "models/*",
    "SQL": "models/'; DROP TABLE assets; --",
    "an option": "--help",
}
"""Of these there is nothing at all, where something is to be read."""

ODD_PLACES = ("backslashes", "a share", "another drive", "lines of their own")
"""Of these, what nothing may be called."""

IDS = {
    "parents": "..", "here": ".", "encoded parents": "%2e%2e", "a path": "..%2f..%2foutside%2fkey.jsonl",
    "doubly encoded": "%252e%252e%252foutside", "an absolute path": "%2fetc%2fpasswd", "a NUL": "%00",
    "a NUL behind": f"{CHECKPOINT}%00", "no UTF-8": "%ff%fe", "a long one": "x" * 400,
    "every asset": "%25", "any letter": "checkpoint_100_", "SQL": quote("' OR '1'='1", safe=""),
    "more SQL": quote("x'; DROP TABLE assets; --", safe=""), "lines": "x%0d%0aSet-Cookie:%20evil=1",
    "a share": quote("\\\\evil.example\\x", safe=""), "a link": "way-out", "overlong dots": "%c0%ae%c0%ae",
}  # fmt: skip

FILES = {
    "parents": "../../../outside/key.jsonl", "encoded parents": "%2e%2e/%2e%2e/outside/key.jsonl",
    "encoded slashes": "..%2f..%2foutside%2fkey.jsonl", "an absolute path": "%2fetc%2fpasswd",
    "a double slash": "/etc/passwd", "its manifest": "MANIFEST.json", "its lock": ".lock",
    "a NUL": "model.safetensors%00", "a dot behind": "model.safetensors/.", "a long name": "x" * 300,
    "a long path": "x/" * 1025, "backslashes": "..%5c..%5coutside%5ckey.jsonl", "a link": "link.jsonl",
    "lines": "model.safetensors%0d%0aX:%20y", "a directory": "tokenizer",
}  # fmt: skip

READS = {VAULT: ("/api/asset/{}", "/api/assets/{}/manifest", "/api/assets/{}/files/model.safetensors",
                 "/api/ledger/{}", "/api/zones/{}", "/api/zones/{}/assets"),
         BRANCH: ("/assets/{}", "/fetch/{}", "/api/assets/{}/manifest", "/api/assets/{}/files/model.safetensors",
                  "/transfers/{}")}  # fmt: skip
"""Routes with an id in their path."""


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for name, path in {**OUT, **ODD}.items():
        yield Attempt(VAULT, "POST", "/api/register", {"path": path})
        yield Attempt(VAULT, "POST", "/api/scan", {"path": path})
        yield Attempt(VAULT, "POST", "/api/transfer", {"asset_path": path, "target_zone": "nas"})
        yield Attempt(BRANCH, "POST", "/register", {"path": path})
        if name in OUT:
            yield Attempt(BRANCH, "POST", "/scan", {"paths": ["models", path]})
        if name in OUT or name in ODD_PLACES:
            carried = {"asset_id": CHECKPOINT, "source_zone": "nas", "dest_path": path}
            yield Attempt(VAULT, "POST", "/api/fetch", {"asset_id": CHECKPOINT, "destination": path})
            yield Attempt(VAULT, "POST", "/api/transfer", carried)
            yield Attempt(BRANCH, "POST", "/receive", {"asset_id": "checkpoint_5", "destination": path})
    for site, routes in READS.items():
        for route in routes:
            yield from (Attempt(site, "GET", route.format(asset_id)) for asset_id in IDS.values())
    for site in (VAULT, BRANCH):
        yield from (Attempt(site, "GET", f"/api/assets/{CHECKPOINT}/files/{name}") for name in FILES.values())
    for asset_id in ("../outside/key.jsonl", "/etc/passwd", "..", "\0", "' OR '1'='1", "%", "x" * 400, "a\r\nb"):
        yield Attempt(VAULT, "POST", "/api/fetch", {"asset_id": asset_id, "destination": "models/x"})
        yield Attempt(VAULT, "POST", "/api/verify", {"asset_id": asset_id})
        yield Attempt(VAULT, "POST", "/api/push", {"asset_id": asset_id, "to_stronghold": "nas"})
        if asset_id not in ("' OR '1'='1", "%"):  # plain names, where only a place is asked for
            yield Attempt(BRANCH, "POST", "/receive", {"asset_id": asset_id})
    for place in ("queue/high/x.jsonl", "inbox", "inbox/x.jsonl", "current_model/x", "configs/x.yaml", "status/x", "."):
        yield Attempt(VAULT, "POST", "/api/fetch", {"asset_id": CHECKPOINT, "destination": place})
    for stronghold in ("../outside", "nas'; --", "%", "", "local_vault\0"):
        yield Attempt(VAULT, "POST", "/api/register", {"path": "models/Qwen3-0.6B", "stronghold": stronghold})


HEADS = (
    "Range: bytes=0-1\rSet-Cookie: evil=1", "Range: bytes=0-1\0", "Range: bytes=0-1\r\n Set-Cookie: evil=1",
    "If-Range: \"x\rSet-Cookie: evil=1\"", "If-None-Match: \"x\0\"", "X-Chunk-BLAKE3 : x", "Range bytes=0-1",
    "Range: bytes=-1-2", "Range: bytes=" + "9" * 40 + "-", "Range: bytes=0-1, 2-3", "Range: " + "x" * 9000,
)  # fmt: skip
"""Lines of a request for a file that no honest program sends."""

SEARCHES = (
    "name=%25", "name=%25%25", "name=%27%20OR%201%3D1%20--", "name=%5C", "name=*", "name=" + "x" * 255,
    "name=%22%3B%20DROP%20TABLE%20assets%3B", "stronghold=%25", "stronghold=%27%20OR%20%27%27%3D%27",
)  # fmt: skip
"""Queries that name nothing; where wildcards were wildcards, they would name everything."""
