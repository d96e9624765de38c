"""A body that is taken in piece by piece, as it may be larger than memory: files that people upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from core.errors import InvalidInput, RealmError
from core.http.limits import LIMITS, RequestTimeout

PIECE_BYTES = 1 << 20


class TooLarge(RealmError):
    """The file is larger than what is taken."""

    code = "request_entity_too_large"
    http_status = 413


class Upload:
    """The body of one request. An `Endpoint` whose handler takes an `upload` gets it unread."""

    def __init__(self, request: web.Request) -> None:
        self._request = request

    @property
    def size(self) -> int | None:
        """Bytes, as the request says; None when it does not."""
        return self._request.content_length

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        """The body in order, about a megabyte each; ends only with its last byte.

        Raises `InvalidInput` for no byte at all, `TooLarge` for more than `most`, before the first one where the
        request tells its size, and `RequestTimeout` when nothing comes for as long as a whole small body may take.
        """
        if (self.size or 0) > most:
            raise _too_large(most)
        taken = 0
        while piece := await self._piece():
            taken += len(piece)
            if taken > most:
                raise _too_large(most)
            yield piece
        if not taken:
            raise InvalidInput("The body is empty: there is no file in it.")

    async def _piece(self) -> bytes:
        seconds = self._request.app[LIMITS].body_seconds
        piece = bytearray()
        while len(piece) < PIECE_BYTES:
            try:
                async with asyncio.timeout(seconds):
                    part = await self._request.content.read(PIECE_BYTES - len(piece))
            except TimeoutError as error:
                raise RequestTimeout(f"Nothing more of the body came for {seconds:g} s.") from error
            if not part:
                break
            piece += part
        return bytes(piece)


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"Files of at most {most:,} bytes are taken here.", hint="Cut it into several.", most_bytes=most)
