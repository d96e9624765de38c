"""gzip and zstd data as a stream of the bytes inside, in bounded memory however well the data are compressed.

Both formats may hold several parts one after the other (`cat a.gz b.gz`, `pigz`, `pzstd`); they are read as one.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod

from arena.gatekeepers.scrolls.json_lines import ByteSource

PACKED_BYTES = 16 * 1024
"""Compressed bytes that are read at once."""

GZIP_OUTPUT_BYTES = 64 * 1024
"""Bytes that a gzip decoder makes at once."""

ZSTD_INPUT_BYTES = 1024
"""Compressed bytes given to a zstd decoder at once. Four may stand for 128 KiB, and it cannot be told to stop."""

ZSTD_WINDOW_BYTES = 1 << 27
"""Largest window, the memory that a zstd decoder needs; the zstd program asks for `--long` beyond the same limit."""

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE_MAGIC = tuple(bytes([0x50 + number, 0x2A, 0x4D, 0x18]) for number in range(16))
"""Files of pzstd begin with a part that holds no data."""


class ContainerFault(Exception):
    """A container cannot be read on; the message says why, for people."""

    def __init__(
        self, message: str, *, line: int | None = None, item: int | None = None, incomplete: bool = False
    ) -> None:
        super().__init__(message)
        self.line = line
        """Line of the dropped file, from 1, where that means something."""
        self.item = item
        """Item of a JSON list, from 1."""
        self.kind: str | None = None
        """Kind of the container, where it is known."""
        self.incomplete = incomplete
        """The data end too early, as those of a file that is still being copied do."""


def compression_of(start: bytes) -> str | None:
    """`gzip` or `zstd`, by the first four bytes of a file; None for anything else."""
    if start.startswith(GZIP_MAGIC):
        return "gzip"
    return "zstd" if start.startswith((ZSTD_MAGIC, *ZSTD_SKIPPABLE_MAGIC)) else None


def decompressed(source: ByteSource, compression: str) -> ByteSource:
    """The bytes inside `source`, compressed as `compression_of` says; reading raises `ContainerFault`."""
    return _GzipStream(source) if compression == "gzip" else _ZstdStream(source)


class _CompressedStream(ABC):
    """Reads one compressed part after the other."""

    kind = ""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._packed = b""
        """Compressed bytes that were read and not decoded yet."""
        self._ready = memoryview(b"")
        """Bytes that were decoded and not asked for yet."""
        self._parts = 0
        self._inside = False
        """Between the beginning and the end of a part."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        while not self._ready:
            self._packed = self._packed or self._source.read(PACKED_BYTES)
            ended = not self._packed
            if ended and not self._inside:
                return b""
            self._ready = memoryview(self._decode_some())
            # At the end of its input, a decoder may still hold back bytes for want of room.
            if ended and self._inside and not self._ready:
                raise ContainerFault(f"the {self.kind} data end in the middle: the file was cut off", incomplete=True)
        data, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return data

    def _decode_some(self) -> bytes:
        begins = not self._inside
        if begins:
            self._packed = self._after_padding(self._packed)
            if not self._packed:
                return b""
            self._begin()
            self._inside, self._parts = True, self._parts + 1
        try:
            data, ended = self._decode()
        except self._errors() as error:
            if begins and self._parts > 1:
                raise ContainerFault(
                    f"bytes that are no {self.kind} data follow the {self.kind} data: cut them off, or pack it again"
                ) from error
            raise ContainerFault(self._explain(str(error))) from error
        self._inside = not ended
        return data

    def _after_padding(self, packed: bytes) -> bytes:
        return packed

    @abstractmethod
    def _begin(self) -> None:
        """Make a decoder for the part that begins."""

    @abstractmethod
    def _decode(self) -> tuple[bytes, bool]:
        """Decode some of `_packed` and leave the rest there; also says whether the part has ended."""

    @abstractmethod
    def _errors(self) -> type[Exception]:
        """What `_decode` raises for broken data."""

    def _explain(self, error: str) -> str:
        if "check" in error:
            return f"the checksum inside the {self.kind} data does not match: the file was damaged on its way"
        return f"the {self.kind} data are damaged ({error.rpartition(': ')[2]}): copy or pack the file again"


class _GzipStream(_CompressedStream):
    kind = "gzip"

    def _begin(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def _decode(self) -> tuple[bytes, bool]:
        data = self._decoder.decompress(self._packed, GZIP_OUTPUT_BYTES)
        self._packed = self._decoder.unused_data if self._decoder.eof else self._decoder.unconsumed_tail
        return data, self._decoder.eof

    def _after_padding(self, packed: bytes) -> bytes:
        # Tapes and block devices fill the last block with zeros, which gzip itself ignores.
        return packed.lstrip(b"\0") if self._parts else packed

    def _errors(self) -> type[Exception]:
        return zlib.error


class _ZstdStream(_CompressedStream):
    kind = "zstd"

    def __init__(self, source: ByteSource) -> None:
        super().__init__(source)
        # Loaded on use: whoever only asks for `compression_of` needs no decoder.
        import zstandard

        self._library = zstandard
        self._maker = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)

    def _begin(self) -> None:
        self._decoder = self._maker.decompressobj()

    def _decode(self) -> tuple[bytes, bool]:
        given, self._packed = self._packed[:ZSTD_INPUT_BYTES], self._packed[ZSTD_INPUT_BYTES:]
        data = self._decoder.decompress(given)
        if self._decoder.eof:
            self._packed = self._decoder.unused_data + self._packed
        return data, self._decoder.eof

    def _errors(self) -> type[Exception]:
        return self._library.ZstdError

    def _explain(self, error: str) -> str:
        if "too much memory" in error:
            limit = ZSTD_WINDOW_BYTES >> 20
            return f"the zstd data need a window of more than {limit} MB: pack the file again without --long"
        if "ictionary" in error:
            return "the zstd data need a dictionary, which is not here: pack the file again without one"
        return super()._explain(error)
