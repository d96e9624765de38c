"""gzip and zstd data: whole, in several parts, cut off, damaged, and swollen."""

from __future__ import annotations

import gzip
import io
import random
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from arena.gatekeepers.scrolls.compressed_streams import ContainerFault, compression_of, decompressed

NOISE = random.Random(7).randbytes(100_000) * 3
"""More than any window or chunk, and it does not compress to nothing."""


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_of_unknown_size(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


PACKERS = pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])


def unpack(packed: bytes, size: int = 5000) -> bytes:
    compression = compression_of(packed)
    assert compression is not None
    stream, data = decompressed(io.BytesIO(packed), compression), b""
    while piece := stream.read(size):
        assert len(piece) <= size
        data += piece
    return data


@pytest.mark.parametrize("pack", [gzip.compress, zstd, zstd_of_unknown_size])
@pytest.mark.parametrize("size", [0, 1, 100, 65_536, 131_072, 131_073])
def test_what_was_packed_comes_out(pack: Callable[[bytes], bytes], size: int) -> None:
    assert unpack(pack(NOISE[:size])) == NOISE[:size]
    assert unpack(pack(bytes(size))) == bytes(size)


@PACKERS
def test_parts_one_after_the_other_are_one_file(pack: Callable[[bytes], bytes]) -> None:
    """`cat a.gz b.gz`, pigz, bgzip and pzstd write such files; an empty part and one of a byte are parts too."""
    assert unpack(pack(NOISE) + pack(b"") + pack(b"x") + pack(NOISE)) == NOISE + b"x" + NOISE


def test_what_tools_put_around_the_data_is_skipped() -> None:
    """Tapes pad gzip data with zeros; pzstd begins with a frame without data."""
    assert unpack(gzip.compress(NOISE) + bytes(10_000)) == NOISE
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"size"
    assert unpack(skippable + zstd(NOISE) + skippable) == NOISE


@PACKERS
@pytest.mark.parametrize("kept", [-1, -10, 3000, 12, 5])
def test_data_that_were_cut_off_are_told_and_known_as_incomplete(pack: Callable[[bytes], bytes], kept: int) -> None:
    with pytest.raises(ContainerFault, match="end in the middle: the file was cut off") as caught:
        unpack(pack(NOISE)[:kept])
    assert caught.value.incomplete
    with pytest.raises(ContainerFault, match="cut off"):
        unpack(pack(NOISE) + pack(NOISE)[:kept])


@PACKERS
def test_data_that_were_changed_are_told(pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(NOISE))
    packed[-6 if pack is gzip.compress else -2] ^= 1
    with pytest.raises(ContainerFault, match=r"the checksum inside the .* data does not match") as caught:
        unpack(bytes(packed))
    assert not caught.value.incomplete


@pytest.mark.parametrize(
    "packed", [b"\x1f\x8b\x07" + bytes(100), zstd(NOISE)[:20] + b"\xff" * 300_000], ids=["gzip", "zstd"]
)
def test_data_that_make_no_sense_are_told(packed: bytes) -> None:
    with pytest.raises(ContainerFault, match="data are damaged"):
        unpack(packed)


@PACKERS
def test_what_follows_the_data_is_told(pack: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ContainerFault, match=r"bytes that are no .* data follow"):
        unpack(pack(NOISE) + b'{"text": "appended by hand"}\n')


def test_a_window_that_needs_too_much_memory_is_refused() -> None:
    """`zstd --long=31` makes files that cost 2 GB of memory to read."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(ContainerFault, match=r"a window of more than 128 MB.*without --long"):
        unpack(packer.compress(NOISE) + packer.flush())


def test_a_dictionary_that_is_not_here_is_named() -> None:
    samples = [f"row number {number} of many".encode() * 9 for number in range(1000)]
    dictionary = zstandard.train_dictionary(2000, samples)
    with pytest.raises(ContainerFault, match="need a dictionary"):
        unpack(zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[0]))


@PACKERS
def test_memory_is_bounded_however_well_the_data_are_packed(pack: Callable[[bytes], bytes]) -> None:
    """A decompression bomb: 64 MB from a few kilobytes (zstd) or hundreds (gzip)."""
    packed = pack(bytes(1 << 26))
    stream = decompressed(io.BytesIO(packed), compression_of(packed) or "")
    stream.read(1)
    tracemalloc.start()
    try:
        for _ in range(1000):
            assert stream.read(16_384)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What zstd makes of one kilobyte at most.
    assert peak < 80_000_000
