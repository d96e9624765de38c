"""The byte service: manifests and files of assets over HTTP, with ranges; of the vault and of branch officers."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from aiohttp import web
from pydantic import Field

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs
from core.http.limits import LIMITS
from core.own_threads import OwnThreads
from vault.benches import Benches
from vault.bytes.sending import send_file
from vault.bytes.source import AssetSource, Held, OpenFile
from vault.chunks import CHUNK_HEADER, in_one_chunk

SETTINGS = "realm.yaml"
BINARY = "application/octet-stream"
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


class AssetPath(Inputs):
    asset_id: str = Field(max_length=300, description="The id of an asset, or a canonical directory name.")


class FilePath(AssetPath):
    file: str = Field(max_length=2048, description="A name from the manifest, slashes and all.")


class NoSuchRange(RealmError):
    """The file has no such bytes."""

    code = "range_not_satisfiable"
    http_status = 416


class Bytes(web.Response):
    """Goes out as it is: packed, a range would be no range any more."""


def byte_routes(source: AssetSource, benches: Benches | None = None) -> list[Endpoint]:
    """`/api/assets/{asset_id}/…` of whatever lies on this host."""
    benches = benches or Benches()
    # A manifest that has to be made takes as long as reading the asset, and must not keep the files of others waiting.
    read, make = benches.bytes.run, benches.manifests.run

    async def manifest(path: AssetPath) -> dict[str, Any]:
        held = await make(_held, source, path.asset_id)
        return {
            "asset_id": held.asset.asset_id,
            "asset_type": held.asset.asset_type,
            "name": held.asset.name,
            "kind": "directory" if held.is_directory else "file",
            "manifest": held.manifest,
        }

    async def file(path: FilePath, request: web.Request) -> web.StreamResponse:
        opened = await read(_open, source, path)
        try:
            return await _send(request, opened, benches.bytes)
        finally:
            # Not on a bench, where it might be refused: to close what was only read waits for no disk.
            opened.close()

    tag = "bytes"
    troubles = [NotFound, Conflict, Unavailable]
    return [
        Endpoint("GET", "/api/assets/{asset_id}/manifest", manifest,
                 "What an asset is made of: names, sizes and BLAKE3 of its files. One that has no manifest of its own "
                 "gets it now, which takes as long as reading it.",
                 tag=tag, answer="vault.bytes.answers:HeldManifest", raises=troubles),
        Endpoint("GET", "/api/assets/{asset_id}/files/{file}", file,
                 "The bytes of one file, or one range of them. The ETag is its BLAKE3; the answer to a range within "
                 f"one aligned MiB carries the BLAKE3 of that MiB as {CHUNK_HEADER}.",
                 tag=tag, media=BINARY, statuses=(200, 206, 304), tail="file",
                 raises=[*troubles, InvalidInput, NoSuchRange]),
    ]  # fmt: skip


def _held(source: AssetSource, asset_id: str) -> Held:
    held = source.held(asset_id)
    _refuse_settings(held.asset.name, held.place.name)
    return held


def _open(source: AssetSource, path: FilePath) -> OpenFile:
    # They may lie in a directory too: in a snapshot of an earlier version, or a model that somebody put together.
    _refuse_settings(PurePosixPath(path.file).name)
    return OpenFile(_held(source, path.asset_id), path.file)


def _refuse_settings(*names: str) -> None:
    if SETTINGS in names:
        raise NotFound("Settings are not handed out: they may hold secrets.", hint="`GET /config` shows them without.")


async def _send(request: web.Request, opened: OpenFile, bench: OwnThreads) -> web.StreamResponse:
    etag = f'"{opened.blake3}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes", "Content-Type": BINARY}
    if etag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
        return web.Response(status=304, headers={"ETag": etag})
    asked = request.headers.get("Range")
    if asked is None or request.headers.get("If-Range", etag) != etag:
        return await _stream(request, opened, web.StreamResponse(headers=headers), 0, opened.size, bench)
    start, end = _range(asked, opened.size)
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"
    if not in_one_chunk(start, end):
        return await _stream(request, opened, web.StreamResponse(status=206, headers=headers), start, end, bench)
    body, digest = await bench.run(opened.read_in_chunk, start, end)
    if len(body) < end - start:
        raise Conflict("The file has become shorter.")
    headers[CHUNK_HEADER] = digest
    return Bytes(status=206, headers=headers, body=body)


async def _stream(
    request: web.Request, opened: OpenFile, response: web.StreamResponse, start: int, end: int, bench: OwnThreads
) -> web.StreamResponse:
    """Send so many bytes; a file that becomes shorter meanwhile cuts the answer off, as its length is told already."""
    response.content_length = end - start
    if request.method == "HEAD" or start == end:
        await response.prepare(request)
        return response
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the caller is gone")
    # The head has to have left the buffer before anything goes beside it.
    transport.set_write_buffer_limits(0)
    writer = await response.prepare(request)
    if writer is not None:
        await writer.drain()
    transport.set_write_buffer_limits()
    unread_seconds = request.app[LIMITS].unread_seconds
    if await send_file(transport, opened.fd, start, end, unread_seconds=unread_seconds, threads=bench) < end:
        raise ConnectionAbortedError("the file has become shorter")
    await response.write_eof()
    return response


def _range(asked: str, size: int) -> tuple[int, int]:
    """First byte and the one behind the last of a single range; raises `InvalidInput` or `NoSuchRange`."""
    found = _RANGE.fullmatch(asked.replace(" ", ""))
    if found is None or not (found["first"] or found["last"]):
        raise InvalidInput("One range of bytes can be asked for, such as `bytes=0-1048575`.")
    if not found["first"]:
        start, end = max(size - int(found["last"]), 0), size
    else:
        start = int(found["first"])
        end = min(int(found["last"]) + 1, size) if found["last"] else size
    if start >= end:
        raise NoSuchRange(f"The file has {size} bytes.", size_bytes=size)
    return start, end
