"""What lands is written where it belongs and nowhere else, is durable before it counts, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, Unavailable
from core.files import DISK, Files
from tests.vault.transfer.byte_service import ByteService, described, same_tree
from tests.vault.transfer.conftest import ASSET
from tests.vault.transfer.test_listing import signed
from vault.transfer.landing import Chunk, Landing, landing, sweep_below
from vault.transfer.listing import Listing, read_listing
from vault.transfer.pull import PullOptions, pull_asset

QUICK = PullOptions(stall_seconds=0.5, retry_seconds=20, reserve_bytes=0)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def listing(source: Path) -> Listing:
    return read_listing(ASSET, described(source / ASSET))


def keep(place: Landing, chunk: Chunk, source: Path) -> None:
    data = (source / ASSET / chunk.file.name).read_bytes()[chunk.start : chunk.end]
    place.keep(chunk, data)


class CutOff(Exception):
    """How a transfer ends that does not finish."""


@contextmanager
def cut_off(into: Path, listing: Listing, files: Files = DISK) -> Iterator[Landing]:
    """A landing that is not finished: its staging stays."""
    with suppress(CutOff), landing(into, ASSET, listing, files) as place:
        yield place
        raise CutOff


class HungDisk(Files):
    """A write that does not return until it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()

    def write_at(self, fd: int, data: memoryview, offset: int) -> None:
        self.entered.set()
        assert self.let_go.wait(20)
        super().write_at(fd, data, offset)


def test_who_hangs_in_a_write_touches_no_other_file_and_keeps_the_staging_locked(
    source: Path, here: Path, listing: Listing
) -> None:
    """A transfer that had failed wrote 32 bytes into whatever was opened next, such as a database."""
    disk = HungDisk()
    ends: list[str] = []

    def hang(place: Landing, chunk: Chunk) -> None:
        try:
            keep(place, chunk, source)
        except Unavailable as error:
            ends.append(error.message)

    with cut_off(here, listing, disk) as place:
        chunk = place.missing()[0]
        hung = threading.Thread(target=hang, args=(place, chunk))
        hung.start()
        assert disk.entered.wait(20)
        place.outlast([hung])
    others = [os.open(here / f"other-{n}", os.O_RDWR | os.O_CREAT) for n in range(8)]
    with pytest.raises(Conflict, match="is being fetched"), landing(here, ASSET, listing):
        pass
    disk.let_go.set()
    hung.join(20)
    assert "has ended" in ends[0]
    for other in others:
        assert os.fstat(other).st_size == 0
        os.close(other)
    pull_after(here, listing, chunk)


def pull_after(here: Path, listing: Listing, chunk: Chunk) -> None:
    """The lock is free in a moment, and the chunk that was never noted is missing."""
    for _ in range(500):
        try:
            with landing(here, ASSET, listing) as place:
                assert chunk in place.missing()
                return
        except Conflict:
            threading.Event().wait(0.01)
    pytest.fail("the staging stayed locked")


class FailingDisk(Files):
    """Tells once that it could not write back, as Linux does: the next fsync succeeds."""

    def __init__(self) -> None:
        self.fails = True

    def fsync(self, fd: int) -> None:
        if self.fails:
            self.fails = False
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fsync(fd)


def test_what_could_not_be_made_durable_is_fetched_again(source: Path, here: Path, listing: Listing) -> None:
    """Law 2: the page cache has it, the disk has not; read back, it looked whole."""
    disk = FailingDisk()
    model = next(file for file in listing.files if file.name == "model.safetensors")
    with cut_off(here, listing, disk) as place:
        for chunk in place.missing():
            keep(place, chunk, source)
        with pytest.raises(OSError, match="Input/output error"):
            place.is_whole(model)
    with cut_off(here, listing, disk) as place:
        assert [chunk.file.name for chunk in place.missing()] == [model.name] * model.chunks


def test_an_asset_larger_than_the_disk_makes_nothing_there(service: ByteService, source: Path, here: Path) -> None:
    """Law 9: a petabyte that a manifest tells of made records and lists of its chunks before anybody asked for room."""
    answer = described(source / ASSET)
    answer["manifest"]["files"]["huge"] = {"size": 1 << 50, "blake3": "0" * 64}
    answer["manifest"]["total_bytes"] += 1 << 50
    service.manifests[ASSET] = signed(answer)
    with pytest.raises(Unavailable, match="but the whole disk has only"):
        pull_asset(service.url, ASSET, here, options=QUICK)
    assert not here.exists()


class MeanwhileDisk(Files):
    """While somebody asks for room, another transfer of the same ends."""

    def __init__(self, meanwhile: Any) -> None:
        self.meanwhile = meanwhile

    def statvfs(self, folder: Path) -> os.statvfs_result:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().statvfs(folder)


def test_what_another_transfer_has_just_brought_is_not_fetched_again(
    service: ByteService, source: Path, here: Path
) -> None:
    disk = MeanwhileDisk(lambda: pull_asset(service.url, ASSET, here, options=QUICK))
    report = pull_asset(service.url, ASSET, here, options=QUICK, files=disk)
    assert (report.already_there, report.bytes_fetched) == (True, 0)
    assert same_tree(source / ASSET, here / ASSET)
    assert [path.name for path in here.iterdir()] == [ASSET]


class Stubborn(Files):
    """Does not let one file go."""

    def unlink(self, path: Path) -> None:
        if path.name == "optimizer.pt":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        super().unlink(path)


def test_a_staging_that_was_half_removed_is_removed_by_the_next_sweep(here: Path, listing: Listing) -> None:
    """Law 9: without its record nobody knew how old it was, and it stayed for ever."""
    now = LONG_AGO + timedelta(days=30)
    for folder in (here, here / "deep" / "er"):
        with cut_off(folder, listing):
            pass
        (staging,) = folder.glob(".pull-*")
        os.utime(staging / "chunks", (LONG_AGO.timestamp(),) * 2)
    assert sweep_below(here, now=now, files=Stubborn()) == []
    assert (staging / "chunks").exists()
    (staging / "chunks").unlink()
    os.utime(staging, (LONG_AGO.timestamp(),) * 2)
    assert len(sweep_below(here, now=now)) == 2
    assert [path for path in here.rglob("*") if path.is_file()] == []
