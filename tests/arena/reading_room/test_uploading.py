"""Files that come through the page: whole or not at all, and never over another one."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arena.doorstep.inbox import Inbox
from arena.reading_room import uploading
from arena.reading_room.uploading import NoRoom, Uploads
from core.errors import InvalidInput, Unavailable
from core.files import Files
from core.http.uploads import TooLarge
from core.paths import RealmPaths
from core.temporaries import drop_temporaries
from tests.arena.quest_makers import everything_in
from tests.arena.reading_room.conftest import House
from tests.vault.making import killed_at
from tests.waiting import wait_until_async

KILLED_AT = ("upload.received",)
BODY = b'{"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]}\n'


class Coming:
    """A body that comes in pieces."""

    def __init__(self, *pieces: bytes | Exception, size: int | None = None) -> None:
        self._pieces = pieces
        self.size = size

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class FullDisk(Files):
    """Takes so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, data: bytes) -> None:
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        super().write(fd, data)


def uploads_to(paths: RealmPaths, files: Files | None = None, trouble: str | None = None) -> Uploads:
    return Uploads(paths, megabytes=lambda: 1, disk_trouble=lambda: trouble, files=files or Files())


async def test_an_upload_lies_in_the_inbox_as_if_it_had_been_dropped(house: House) -> None:
    paths, visitor = house.daemon.paths, house.visitor
    answer = await visitor.post("/api/quests/upload?name=x.jsonl&priority=high", data=BODY)
    assert answer.body == {"success": True, "file": "x.jsonl", "priority": "high", "size_bytes": len(BODY)}
    assert (paths.inbox / "high" / "x.jsonl").read_bytes() == BODY
    (ready,) = Inbox(paths.inbox, settle_seconds=0).scan(0).ready
    assert (ready.priority, ready.name) == ("high", "x.jsonl")
    sidecar = json.loads((paths.inbox / "high" / "x.jsonl.meta.json").read_text())
    assert sidecar == {"source": "upload"}


async def test_a_taken_name_gets_a_number_and_nothing_is_overwritten(house: House) -> None:
    """C1."""
    packed = gzip.compress(BODY)
    first = await house.visitor.post("/api/quests/upload?name=x.jsonl.gz", data=packed)
    second = await house.visitor.post("/api/quests/upload?name=x.jsonl.gz", data=b"other")
    assert [each.body["file"] for each in (first, second)] == ["x.jsonl.gz", "x_2.jsonl.gz"]
    assert (house.daemon.paths.inbox / "normal" / "x.jsonl.gz").read_bytes() == packed


@pytest.mark.parametrize(
    "name",
    ["../x.jsonl", "a/b.jsonl", "x.txt", ".x.jsonl", "x.jsonl.meta.json", "x.rejection.json", "x%00.jsonl",
     "x%0a.jsonl", "", ".jsonl", "..%2fx.jsonl", "~x.jsonl"],
)  # fmt: skip
async def test_a_name_that_is_no_quests_is_refused_and_nothing_stays(house: House, name: str) -> None:
    """Law 8: every name that comes over HTTP is contained."""
    for path in ("upload", "validate"):
        answer = await house.visitor.post(f"/api/quests/{path}?name={name}", data=BODY)
        assert (answer.status, answer.body["error"]) == (400, "invalid_input")
    assert everything_in(house.daemon.paths.inbox) == []


async def test_a_long_name_is_shortened(house: House) -> None:
    name = "ü" * 150 + ".jsonl"
    answer = await house.visitor.post(f"/api/quests/upload?name={name}", data=BODY)
    (file,) = [path for path in everything_in(house.daemon.paths.inbox) if path.endswith(".jsonl")]
    assert (answer.status, file) == (200, f"normal/{answer.body['file']}")


async def test_a_file_beyond_the_limit_is_refused_and_nothing_of_it_stays(house: House) -> None:
    """Law 9. Also where the request does not say how much will come."""
    house.daemon._settings.current = house.daemon._settings.current.model_copy(
        update={"inbox": house.daemon._settings.current.inbox.model_copy(update={"upload_megabytes": 1})}
    )

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 700_000

    for body in (b"x" * 1_000_001, endless()):
        answer = await house.visitor.post("/api/quests/upload?name=x.jsonl", data=body)
        assert (answer.status, answer.body["details"]) == (413, {"most_bytes": 1_000_000})
    assert everything_in(house.daemon.paths.inbox) == []


@pytest.mark.parametrize(
    ("files", "trouble", "size"),
    [(FullDisk(0), None, None), (FullDisk(len(BODY)), None, None), (None, "disk: nothing is left", None)],
)
async def test_a_full_disk_is_told_as_such_and_nothing_stays(
    paths: RealmPaths, files: Files | None, trouble: str | None, size: int | None
) -> None:
    """A28: and no quest suffers."""
    with pytest.raises(NoRoom) as refused:
        await uploads_to(paths, files, trouble).put_down("x.jsonl", "normal", Coming(BODY, BODY, size=size))
    assert (refused.value.http_status, everything_in(paths.inbox)) == (507, [])


@pytest.mark.parametrize("error", [ConnectionResetError(), TooLarge("too much"), OSError(errno.EIO, "broken")])
async def test_whatever_breaks_off_leaves_nothing(paths: RealmPaths, error: Exception) -> None:
    """C2: half a file is never taken."""
    uploads = uploads_to(paths)
    with pytest.raises((ConnectionResetError, TooLarge, Unavailable)):
        await uploads.put_down("x.jsonl", "low", Coming(BODY, error))
    with pytest.raises((ConnectionResetError, TooLarge, Unavailable)):
        async with uploads.on_trial("x.jsonl", Coming(BODY, error)):
            pytest.fail("half a file is shown")
    assert everything_in(paths.inbox) == everything_in(paths.queue) == []


async def test_a_caller_who_hangs_up_leaves_nothing(house: House) -> None:
    """C2, over a real socket."""
    inbox = house.daemon.paths.inbox
    _, writer = await asyncio.open_connection("127.0.0.1", house.visitor.site.port)
    writer.write(b"POST /api/quests/upload?name=x.jsonl HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n")
    writer.write(BODY * 20_000)
    await writer.drain()
    await wait_until_async(lambda: everything_in(inbox), message="nothing comes in")
    writer.transport.abort()
    await wait_until_async(lambda: not everything_in(inbox), message="something stays")


class Held(Coming):
    """The rest of it comes once the gate is open."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__()
        self._gate = gate

    async def pieces(self, most: int) -> AsyncIterator[bytes]:
        yield BODY
        await self._gate.wait()
        yield BODY


async def test_a_file_that_comes_in_slowly_is_not_swept_away(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C1: housekeeping took the part of an upload that had been silent for a minute, and with it the file."""
    monkeypatch.setattr(uploading, "YOUNG_SECONDS", 0.01)
    uploads, gate, folder = uploads_to(paths), asyncio.Event(), paths.inbox / "normal"
    task = asyncio.create_task(uploads.put_down("x.jsonl", "normal", Held(gate)))
    await wait_until_async(lambda: any(path.stat().st_size for path in folder.glob(".quest.*.part")))
    (part,) = folder.glob(".quest.*.part")
    os.utime(part, (0, 0))
    await wait_until_async(lambda: part.stat().st_mtime > 0, message="it grows old")
    drop_temporaries([folder], now=datetime.now(UTC))
    gate.set()
    path, _ = await task
    assert path.read_bytes() == BODY * 2


class NarrowDisk(Files):
    """Says that so many bytes are free, the next time fewer."""

    def __init__(self, *free: int) -> None:
        self.free = list(free)

    def statvfs(self, folder: Path) -> os.statvfs_result:
        told = list(super().statvfs(folder))
        told[1], told[4] = 1, self.free.pop(0)  # f_frsize, f_bavail
        return os.statvfs_result(told)


async def test_an_upload_leaves_room_for_the_rest_of_the_realm(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A28: also one that does not tell its size, on a disk that fills up meanwhile."""
    monkeypatch.setattr(uploading, "CHECK_BYTES", len(BODY))
    enough = uploading.RESERVE_BYTES + len(BODY)
    with pytest.raises(NoRoom, match="512 MB are left free"):
        await uploads_to(paths, NarrowDisk(enough - 1)).put_down("x.jsonl", "low", Coming(BODY, size=len(BODY)))
    with pytest.raises(NoRoom):
        await uploads_to(paths, NarrowDisk(enough, enough - 1)).put_down("x.jsonl", "low", Coming(BODY, BODY))
    assert everything_in(paths.inbox) == []
    await uploads_to(paths, NarrowDisk(enough)).put_down("x.jsonl", "low", Coming(BODY, size=len(BODY)))


async def test_no_more_than_a_few_come_in_at_once(paths: RealmPaths) -> None:
    uploads, gate = uploads_to(paths), asyncio.Event()

    class Slow(Coming):
        async def pieces(self, most: int) -> AsyncIterator[bytes]:
            await gate.wait()
            yield BODY

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(uploads.put_down("x.jsonl", "normal", Slow())) for _ in range(4)]
        await wait_until_async(lambda: uploads._at_work == 4)
        with pytest.raises(Unavailable, match="coming in already"):
            await uploads.put_down("x.jsonl", "normal", Coming(BODY))
        gate.set()
    assert len({task.result()[0] for task in tasks}) == 4


def test_killed_in_the_middle_nothing_is_taken_in(paths: RealmPaths, tmp_path: Path) -> None:
    """C2, law 1: SIGKILL after the last byte, before the file has its name."""
    code = """
import asyncio, sys
from pathlib import Path
from arena.reading_room.uploading import Uploads
from core.paths import RealmPaths

class Body:
    size = None
    async def pieces(self, most):
        yield b"{}\\n"

uploads = Uploads(RealmPaths(Path(sys.argv[1])), megabytes=lambda: 1, disk_trouble=lambda: None)
asyncio.run(uploads.put_down("x.jsonl", "normal", Body()))
"""
    killed_at(KILLED_AT[0], code, str(tmp_path))
    (left,) = everything_in(paths.inbox)
    assert left.endswith(".part")
    scan = Inbox(paths.inbox, settle_seconds=0).scan(0)
    assert (scan.ready, scan.strange, scan.waiting) == ([], [], 0)


async def test_a_name_is_looked_at_before_anything_comes_in(paths: RealmPaths) -> None:
    with pytest.raises(InvalidInput):
        await uploads_to(paths).put_down("x.txt", "normal", Coming(AssertionError("it is read")))
