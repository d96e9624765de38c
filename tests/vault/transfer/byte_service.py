"""A small byte service as `vault_interfaces` has it: assets are the directories and files below one folder.

In this process (`serving_bytes`), or as a process of its own that can be killed (`byte_process`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from core.http.access import Access
from core.http.site import Site, make_app
from core.paths import CHECKOUT
from tests.vault.transfer.loops import running
from tests.waiting import wait_until
from vault.chunks import CHUNK_HEADER, in_one_chunk, read_range
from vault.manifest import MANIFEST, write_manifest


@dataclass
class ByteService:
    """What is served, and what a test wants of it."""

    folder: Path
    url: str = ""
    tells_chunks: bool = True
    manifests: dict[str, Any] = field(default_factory=dict)
    """Told instead of the true ones."""
    etags: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    refusals: list[web.Response] = field(default_factory=list)
    """Answered first, one by one, to questions for files."""

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/api/assets/{asset_id}/manifest", self.manifest),
            web.get("/api/assets/{asset_id}/files/{path:.+}", self.file),
        ]

    async def manifest(self, request: web.Request) -> web.StreamResponse:
        asset_id = request.match_info["asset_id"]
        place = self.folder / asset_id
        self.asked["manifest"] += 1
        if asset_id in self.manifests:
            return web.json_response(self.manifests[asset_id])
        if not place.exists():
            raise web.HTTPNotFound
        return web.json_response(described(place))

    async def file(self, request: web.Request) -> web.StreamResponse:
        self.asked["file"] += 1
        if self.refusals:
            return self.refusals.pop(0)
        asset_id, name = request.match_info["asset_id"], request.match_info["path"]
        place = self.folder / asset_id
        path = place if place.is_file() else place / name
        entry = described(place)["manifest"]["files"][name]
        etag = self.etags.get(name, f'"{entry["blake3"]}"')
        if request.headers.get("If-Range") not in (None, etag):
            return web.Response(body=path.read_bytes(), headers={"ETag": etag})
        start, stop = request.http_range.start, request.http_range.stop
        headers = {"ETag": etag, "Content-Range": f"bytes {start}-{stop - 1}/{entry['size']}"}
        if not in_one_chunk(start, stop):
            self.asked["run"] += 1
            return web.Response(status=206, body=path.read_bytes()[start:stop], headers=headers)
        body, digest = read_range(path, start, stop)
        if self.tells_chunks:
            headers[CHUNK_HEADER] = digest
        return web.Response(status=206, body=body, headers=headers)


def described(place: Path) -> dict[str, Any]:
    """The answer to a question for the manifest of an asset."""
    if place.is_dir():
        kind, manifest = "directory", json.loads((place / MANIFEST).read_bytes())
    else:
        folder = place.parent / f".manifest-{place.name}"
        if not folder.exists():
            folder.mkdir()
            os.link(place, folder / place.name)
            write_manifest(folder)
        kind, manifest = "file", json.loads((folder / MANIFEST).read_bytes())
    told = {"asset_id": place.name, "asset_type": "checkpoint", "name": place.name, "kind": kind}
    return {**told, "manifest": manifest}


@contextmanager
def serving_bytes(folder: Path, token: str | None = None, port: int = 0) -> Iterator[ByteService]:
    """A site of the realm with the byte service, on a thread of its own."""
    service = ByteService(folder)
    app = make_app(service.routes(), service="bytes", health=dict, access=Access(token))
    site = Site(app, "127.0.0.1", port, "bytes")
    with running(site.start, site.stop):
        service.url = site.url
        yield service


def byte_process(folder: Path, port: int, ready: Path) -> subprocess.Popen[bytes]:
    """The byte service as a process, once it listens."""
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.vault.transfer.byte_service", str(folder), str(port), str(ready)]
    process = subprocess.Popen(command, cwd=CHECKOUT)
    wait_until(ready.exists, 20, "the byte service never listened")
    return process


def same_tree(first: Path, second: Path) -> bool:
    """Whether two directories hold the same files with the same bytes."""

    def tree(top: Path) -> dict[str, bytes]:
        return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}

    return tree(first) == tree(second)


if __name__ == "__main__":
    with serving_bytes(Path(sys.argv[1]), port=int(sys.argv[2])) as served:
        Path(sys.argv[3]).write_text(served.url)
        threading.Event().wait()
