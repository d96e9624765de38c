"""A transfer ends with the same hashes whatever the link does, and leaves nothing that only looks whole."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.errors import Conflict, InvalidInput, NotFound, Unavailable, Unreached
from core.files import Files
from tests.vault.transfer.byte_service import ByteService, byte_process, described, same_tree, serving_bytes
from tests.vault.transfer.conftest import ASSET, SIZES
from tests.vault.transfer.meddler import meddling
from tests.waiting import wait_until
from vault.chunks import CHUNK_BYTES
from vault.client import VaultKeeperClient
from vault.manifest import MANIFEST, check_manifest
from vault.transfer import greeting, patience
from vault.transfer.landing import landing
from vault.transfer.listing import read_listing
from vault.transfer.pull import Progress, PullOptions, pull_asset

TOTAL = sum(SIZES.values())
MODEL_CHUNKS = -(-SIZES["model.safetensors"] // CHUNK_BYTES)
QUICK = PullOptions(stall_seconds=0.5, retry_seconds=20, reserve_bytes=0)


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked again is asked again soon."""
    monkeypatch.setattr("vault.transfer.patience.LONGEST_DELAY", 0.2)


def leftovers(folder: Path) -> list[str]:
    """Everything that lies in `folder`, hidden or not."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_an_asset_arrives_whole_with_its_manifest_byte_for_byte(service: ByteService, source: Path, here: Path) -> None:
    """G6: the bytes come to the caller's disk. A30: a copy is compared hash by hash, not by its existence."""
    told: list[Progress] = []
    report = pull_asset(service.url, ASSET, here, options=QUICK, on_progress=told.append)
    assert report.path == here / ASSET
    assert same_tree(source / ASSET, here / ASSET)
    assert check_manifest(here / ASSET) == []
    assert (report.bytes_total, report.bytes_fetched, report.bytes_resumed) == (TOTAL, TOTAL, 0)
    assert (report.cuts, report.chunks_refetched, report.already_there) == (0, 0, False)
    assert leftovers(here) == [ASSET]
    assert (told[-1].bytes_done, told[-1].files_done, told[-1].files_total) == (TOTAL, len(SIZES), len(SIZES))
    assert [each.bytes_done for each in told] == sorted(each.bytes_done for each in told)


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_cuts_at_random_bytes_change_nothing(service: ByteService, source: Path, here: Path, seed: int) -> None:
    """A30: an interrupted copy left half a checkpoint."""
    with meddling(service.url, seed) as meddler:
        meddler.cut(50, mean_bytes=TOTAL // 70)
        report = pull_asset(meddler.url, ASSET, here, options=QUICK)
        assert meddler.cuts_made == 50
    assert report.cuts >= 50
    assert same_tree(source / ASSET, here / ASSET)
    assert leftovers(here) == [ASSET]
    # The link is taken up again where it broke: what had come is not asked for twice.
    assert meddler.relayed < TOTAL * 1.1


def test_a_cut_in_the_middle_of_the_manifest_is_one_like_any_other(
    service: ByteService, source: Path, here: Path
) -> None:
    with meddling(service.url) as meddler:
        meddler.cut(8, mean_bytes=300)
        pull_asset(meddler.url, ASSET, here, options=QUICK)
        assert meddler.cuts_made == 8
    assert service.asked["manifest"] > 2
    assert same_tree(source / ASSET, here / ASSET)


def test_a_corrupted_byte_is_caught_and_only_its_chunk_comes_again(
    service: ByteService, source: Path, here: Path
) -> None:
    with meddling(service.url) as meddler:
        meddler.flips_left = 2
        report = pull_asset(meddler.url, ASSET, here, options=QUICK)
    assert meddler.flips_left == 0
    assert 1 <= report.chunks_refetched <= 2
    assert same_tree(source / ASSET, here / ASSET)
    assert meddler.relayed < TOTAL + 2 * CHUNK_BYTES + 50_000


def test_without_hashes_of_chunks_a_corrupted_byte_is_caught_by_that_of_the_file(
    service: ByteService, source: Path, here: Path
) -> None:
    service.tells_chunks = False
    with meddling(service.url) as meddler:
        meddler.flips_left = 1
        report = pull_asset(meddler.url, ASSET, here, options=QUICK)
    assert report.chunks_refetched >= 1
    assert same_tree(source / ASSET, here / ASSET)


RUNS = PullOptions(connections=1, stall_seconds=0.5, retry_seconds=20, reserve_bytes=0)
"""Over one connection even so few chunks come in runs."""


def test_neighbours_are_asked_for_at_once_and_cut_anywhere_they_come_whole(
    service: ByteService, source: Path, here: Path
) -> None:
    """A30: an interrupted copy left half a checkpoint."""
    with meddling(service.url, 3) as meddler:
        meddler.cut(30, mean_bytes=TOTAL // 50)
        report = pull_asset(meddler.url, ASSET, here, options=RUNS)
        assert meddler.cuts_made == 30
    assert service.asked["run"] >= 2
    assert report.chunks_refetched == 0
    assert same_tree(source / ASSET, here / ASSET)
    assert meddler.relayed < TOTAL * 1.1


def test_a_corrupted_byte_in_a_run_is_found_and_only_its_chunk_comes_again(
    service: ByteService, source: Path, here: Path
) -> None:
    """A run has no hash of its own: that of the file tells, and those of its chunks tell where."""
    with meddling(service.url) as meddler:
        meddler.flips_left = 1
        report = pull_asset(meddler.url, ASSET, here, options=RUNS)
    assert (meddler.flips_left, report.chunks_refetched, report.bytes_fetched) == (0, 1, TOTAL)
    assert same_tree(source / ASSET, here / ASSET)
    assert meddler.relayed < TOTAL + CHUNK_BYTES + 50_000


def test_a_link_that_never_gets_better_ends_in_words(service: ByteService, here: Path) -> None:
    with meddling(service.url) as meddler:
        meddler.flips_left = 10_000
        with pytest.raises(Unavailable, match="with wrong bytes 5 times"):
            pull_asset(meddler.url, ASSET, here, options=QUICK)
    assert not (here / ASSET).exists()


def test_a_silent_link_is_given_up_and_made_anew(service: ByteService, source: Path, here: Path) -> None:
    with meddling(service.url) as meddler:
        fallen: list[int] = []

        def fall_silent(progress: Progress) -> None:
            # Not amid the manifest, for which one waits longer: it may have to be made.
            if not fallen:
                fallen.append(progress.bytes_done)
                meddler.stalls_left = 3

        slow = PullOptions(stall_seconds=0.5, retry_seconds=20, reserve_bytes=0, bytes_per_second=8_000_000)
        report = pull_asset(meddler.url, ASSET, here, options=slow, on_progress=fall_silent)
        assert meddler.stalls_left == 0
    assert report.cuts >= 3
    assert same_tree(source / ASSET, here / ASSET)


def test_whoever_waits_for_a_silent_link_is_told_so(
    service: ByteService, source: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "NOTICE_SECONDS", 0.2)
    told: list[str] = []
    with meddling(service.url) as meddler:
        fallen: list[int] = []

        def fall_silent(progress: Progress) -> None:
            if not fallen:
                fallen.append(progress.bytes_done)
                meddler.stalls_left = 1

        slow = replace(QUICK, connections=1, stall_seconds=1, bytes_per_second=8_000_000)
        pull_asset(meddler.url, ASSET, here, options=slow, on_progress=fall_silent, on_waiting=told.append)
    assert "(it says nothing). It is asked again for 20 s; what has come is kept." in told[0]
    assert told[1:] == [f"{meddler.url} answers again."]
    assert same_tree(source / ASSET, here / ASSET)


def test_a_host_that_stays_away_is_told_of_after_a_while(here: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(Unavailable, match="cannot be reached"):
        pull_asset("http://127.0.0.1:9", ASSET, here, options=PullOptions(retry_seconds=0.5))
    assert time.monotonic() - begun < 30


def test_a_host_that_takes_connections_and_says_nothing_is_away_too(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was waited for ten minutes, as one is that makes a manifest."""
    for module in (greeting, patience):
        monkeypatch.setattr(module, "AWAY_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(Unreached, match="cannot be reached: nothing came for too long"):
            VaultKeeperClient(url).ensure_local(ASSET, here)
        assert time.monotonic() - begun < 30


def test_a_host_that_is_killed_and_comes_back_is_gone_on_with(source: Path, here: Path, tmp_path: Path) -> None:
    """The other side dies by SIGKILL in mid-transfer, and starts anew on its port."""
    with serving_bytes(source) as free:
        port = int(free.url.rpartition(":")[2])
    first = byte_process(source, port, tmp_path / "ready")
    reports: list[Any] = []
    options = PullOptions(retry_seconds=60, bytes_per_second=4_000_000, reserve_bytes=0)
    staged = lambda: any(size for size in _recorded(here))  # noqa: E731
    thread = threading.Thread(
        target=lambda: reports.append(pull_asset(f"http://127.0.0.1:{port}", ASSET, here, options=options))
    )
    thread.start()
    try:
        wait_until(staged, 20, "nothing came")
    finally:
        first.kill()
        first.wait()
    assert not (here / ASSET).exists()
    second = byte_process(source, port, tmp_path / "ready")
    try:
        thread.join(60)
    finally:
        second.kill()
        second.wait()
    assert reports[0].cuts >= 1
    assert same_tree(source / ASSET, here / ASSET)


def _recorded(here: Path) -> list[int]:
    """How many chunks the stagings have noted."""
    return [sum(record.read_bytes()) for record in here.glob(".pull-*/chunks")]


def test_what_has_come_is_kept_for_the_next_transfer(service: ByteService, source: Path, here: Path) -> None:
    cancelled = threading.Event()

    def cancel(progress: Progress) -> None:
        if progress.bytes_done > CHUNK_BYTES:
            cancelled.set()

    with pytest.raises(Unavailable, match="was cancelled"):
        pull_asset(service.url, ASSET, here, options=PullOptions(bytes_per_second=8_000_000, reserve_bytes=0),
                   on_progress=cancel, cancelled=cancelled)  # fmt: skip
    assert not (here / ASSET).exists()
    report = pull_asset(service.url, ASSET, here, options=QUICK)
    assert report.bytes_resumed >= CHUNK_BYTES
    assert report.bytes_resumed + report.bytes_fetched == TOTAL
    assert same_tree(source / ASSET, here / ASSET)
    assert leftovers(here) == [ASSET]


def test_what_a_power_cut_took_of_a_staging_comes_again(service: ByteService, source: Path, here: Path) -> None:
    """A chunk that was noted as there, and is not: read back, it is missing, and only it."""
    with landing(here, ASSET, read_listing(ASSET, described(source / ASSET))) as place:
        for chunk in place.missing():
            data = (source / ASSET / chunk.file.name).read_bytes()[chunk.start : chunk.end]
            place.keep(chunk, data)
        staging = next(here.glob(".pull-*"))
        os.rename(staging, here / "kept")
        staging.mkdir()  # for the context's own end
    os.rename(here / "kept", staging)
    with (staging / "files" / "model.safetensors").open("r+b") as file:
        file.seek(CHUNK_BYTES + 5)
        file.write(bytes(100))
    report = pull_asset(service.url, ASSET, here, options=QUICK)
    # Each chunk of that file was asked for its hash, and the one that is missing for its bytes.
    assert (report.chunks_refetched, service.asked["file"]) == (1, MODEL_CHUNKS + 1)
    assert same_tree(source / ASSET, here / ASSET)


def test_the_same_asset_that_is_there_already_is_verified_and_left(service: ByteService, here: Path) -> None:
    pull_asset(service.url, ASSET, here, options=QUICK)
    before = (here / ASSET / MANIFEST).stat().st_ino
    asked = service.asked["file"]
    report = pull_asset(service.url, ASSET, here, options=QUICK)
    assert (report.already_there, report.bytes_fetched, service.asked["file"]) == (True, 0, asked)
    assert (here / ASSET / MANIFEST).stat().st_ino == before


def test_something_else_in_its_place_is_never_overwritten(service: ByteService, here: Path) -> None:
    pull_asset(service.url, ASSET, here, options=QUICK)
    (here / ASSET / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(Conflict, match=r"is damaged: model\.safetensors has 7 bytes"):
        pull_asset(service.url, ASSET, here, options=QUICK)
    for make in (Path.mkdir, Path.touch, lambda path: path.symlink_to("/nowhere")):
        place = here / f"other-{make.__name__.strip('<>')}"
        make(place)
        with pytest.raises(Conflict, match="is there already, and is something else"):
            pull_asset(service.url, ASSET, here, place.name, options=QUICK)
    assert (here / ASSET / "model.safetensors").read_bytes() == b"damaged"


def test_a_single_file_lands_as_a_file(service: ByteService, source: Path, here: Path) -> None:
    (source / "train_bin_level1.jsonl").write_bytes(os.urandom(CHUNK_BYTES + 10))
    report = pull_asset(service.url, "train_bin_level1.jsonl", here, options=QUICK)
    assert report.path.read_bytes() == (source / "train_bin_level1.jsonl").read_bytes()
    assert leftovers(here) == ["train_bin_level1.jsonl"]
    assert pull_asset(service.url, "train_bin_level1.jsonl", here, options=QUICK).already_there


def test_two_transfers_of_the_same_do_not_meet(service: ByteService, source: Path, here: Path) -> None:
    busy = pytest.raises(Conflict, match="is being fetched by another process already")
    with landing(here, ASSET, read_listing(ASSET, described(source / ASSET))), busy:
        pull_asset(service.url, ASSET, here, options=QUICK)
    assert pull_asset(service.url, ASSET, here, options=QUICK).bytes_fetched == TOTAL


def test_a_cap_holds_over_all_connections(service: ByteService, here: Path) -> None:
    begun = time.monotonic()
    pull_asset(service.url, ASSET, here, options=PullOptions(bytes_per_second=8_000_000, reserve_bytes=0))
    assert time.monotonic() - begun > TOTAL / 8_000_000 - 0.3


class SmallDisk(Files):
    """A disk that is full after so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write_at(self, fd: int, data: memoryview, offset: int) -> None:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write_at(fd, data, offset)


def test_a_disk_without_room_is_refused_before_anything_comes(service: ByteService, here: Path) -> None:
    """A16: an inference host whose disk was filled by what was sent to it."""
    with pytest.raises(Unavailable, match=f"needs {TOTAL:,} more bytes"):
        pull_asset(service.url, ASSET, here, options=PullOptions(reserve_bytes=1 << 60))
    assert service.asked["file"] == 0


def test_a_disk_that_fills_up_on_the_way_is_told_of_and_what_came_is_kept(
    service: ByteService, source: Path, here: Path
) -> None:
    """A23: no space left on device, in the middle of it."""
    with pytest.raises(Unavailable, match=r"cannot be written: No space left on device\. Mend that"):
        pull_asset(service.url, ASSET, here, options=QUICK, files=SmallDisk(3 * CHUNK_BYTES))
    assert not (here / ASSET).exists()
    assert pull_asset(service.url, ASSET, here, options=QUICK).bytes_resumed >= CHUNK_BYTES
    assert same_tree(source / ASSET, here / ASSET)


def test_what_is_damaged_at_its_source_never_arrives(service: ByteService, source: Path, here: Path) -> None:
    """A30: half a checkpoint must not be passed on as a whole one."""
    with (source / ASSET / "optimizer.pt").open("r+b") as file:
        file.write(b"rot")
    with pytest.raises(Unavailable, match=r"optimizer\.pt of .* is not what its manifest says"):
        pull_asset(service.url, ASSET, here, options=QUICK)
    assert not (here / ASSET).exists()


def test_what_changes_at_its_source_meanwhile_is_noticed(service: ByteService, here: Path) -> None:
    service.etags["model.safetensors"] = '"another"'
    with pytest.raises(Conflict, match="has become another one meanwhile"):
        pull_asset(service.url, ASSET, here, options=QUICK)
    assert not (here / ASSET).exists()


def test_an_unknown_asset_is_not_found(service: ByteService, here: Path) -> None:
    with pytest.raises(NotFound, match="has not got the asset checkpoint_5"):
        pull_asset(service.url, "checkpoint_5", here, options=QUICK)


def test_the_token_is_shown_and_one_that_is_missing_is_told_of(source: Path, here: Path) -> None:
    """G10: the other side lacked the key."""
    with serving_bytes(source, token="s" * 32) as service:
        with pytest.raises(Unavailable, match="wants a token") as caught:
            pull_asset(service.url, ASSET, here, options=QUICK)
        assert "sss" not in str(caught.value)
        assert pull_asset(service.url, ASSET, here, token="s" * 32, options=QUICK).bytes_fetched == TOTAL


def test_a_host_that_asks_for_patience_gets_it(service: ByteService, source: Path, here: Path) -> None:
    service.refusals = [web.Response(status=503, headers={"Retry-After": "0"}), web.Response(status=500)]
    pull_asset(service.url, ASSET, here, options=QUICK)
    assert same_tree(source / ASSET, here / ASSET)


def test_an_answer_of_another_length_is_not_read(service: ByteService, here: Path) -> None:
    """Nobody is made to take gigabytes in that were not asked for."""
    headers = {"Content-Range": f"bytes 0-{CHUNK_BYTES - 1}/{SIZES['model.safetensors']}"}
    service.refusals = [web.Response(status=206, body=bytes(2 * CHUNK_BYTES), headers=headers) for _ in range(99)]
    with pytest.raises(Unavailable, match="does not answer like a vault: it sends"):
        pull_asset(service.url, ASSET, here, options=QUICK)
    assert not (here / ASSET).exists()


def test_no_redirect_is_followed(service: ByteService, source: Path, here: Path) -> None:
    """Only the host that was named is called, and only it sees the token."""
    with serving_bytes(source) as other:
        service.refusals = [web.Response(status=302, headers={"Location": f"{other.url}/x"})]
        with pytest.raises(Unavailable, match="refuses"):
            pull_asset(service.url, ASSET, here, options=QUICK)
        assert not other.asked


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "..", "a\0b", "x" * 300])
def test_a_name_that_leads_elsewhere_is_refused(service: ByteService, here: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is no name for an asset"):
        pull_asset(service.url, ASSET, here, name, options=QUICK)
    assert not service.asked


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://a@127.0.0.1", "127.0.0.1:1", "http://[", "http://x/?q", ""])
def test_an_address_that_is_none_is_refused(here: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="is no address"):
        pull_asset(url, ASSET, here, options=QUICK)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def test_a_proxy_of_the_environment_is_not_asked(service: ByteService, here: Path) -> None:
    with environment(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9"):
        assert pull_asset(service.url, ASSET, here, options=QUICK).bytes_fetched == TOTAL
