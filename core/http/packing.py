"""Large answers go out gzipped to callers that take it: metrics, snapshots, documents."""

from __future__ import annotations

import re

from aiohttp import web
from aiohttp.typedefs import Handler

SMALLEST = 4096
"""Bytes of a body; a smaller one fits into three packets anyway."""
TAKES_GZIP = re.compile(r"(^|[ ,])(gzip|\*)(?!\s*;\s*q=0(\.0*)?(\s|,|$))\s*(;|,|$)", re.IGNORECASE)


@web.middleware
async def pack(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Gzip whole bodies; streams and files stay as they are. aiohttp does the work in a thread."""
    response = await handler(request)
    if type(response) is web.Response and isinstance(response.body, bytes) and len(response.body) >= SMALLEST:
        response.headers["Vary"] = ", ".join(filter(None, [response.headers.get("Vary"), "Accept-Encoding"]))
        if TAKES_GZIP.search(request.headers.get("Accept-Encoding", "")):
            response.enable_compression(web.ContentCoding.gzip)
    return response
