"""What the inbox gives out, holds back and finds strange; time is a number that the tests choose."""

from __future__ import annotations

import gzip
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.doorstep.inbox import Inbox, InboxFile, Scan
from tests.waiting import wait_until

ROW = b'{"text": "once"}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    for name in ("high", "normal", "low"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def inbox(root: Path) -> Inbox:
    return Inbox(root, settle_seconds=1.0)


def settled(inbox: Inbox, start: float = 0.0) -> Scan:
    """The scan after everything has stood still for the settle time; holds the strange things of both scans."""
    first = inbox.scan(start)
    second = inbox.scan(start + 1.0)
    return Scan(second.ready, second.waiting, first.strange + second.strange)


def names(scan: Scan) -> list[str]:
    return [file.path.name for file in scan.ready]


def reasons(scan: Scan) -> dict[str, str]:
    return {strange.path.name: strange.reason for strange in scan.strange}


def test_a_file_is_ready_once_it_has_stood_still(root: Path, inbox: Inbox) -> None:
    (root / "x.jsonl").write_bytes(ROW)
    for now, waiting in [(5.0, 1), (5.9, 1)]:
        assert inbox.scan(now) == Scan([], waiting, [])
    ready = InboxFile(root / "x.jsonl", "normal", "x.jsonl")
    assert inbox.scan(6.0) == Scan([ready], 0, [])
    assert inbox.scan(99.0) == Scan([ready], 0, [])


def test_a_file_that_grows_is_never_ready_before_it_is_whole(root: Path, inbox: Inbox) -> None:
    """C2: a file still being copied into the inbox is not touched: one KB every 200 ms for 10 s."""
    data = json.dumps({"text": "x" * 50_000}).encode() + b"\n"
    with (root / "x.jsonl").open("ab", buffering=0) as stream:
        for step in range(50):
            stream.write(data[step * 1024 : (step + 1) * 1024])
            for part in range(4):
                now = step * 0.2 + part * 0.05
                assert inbox.scan(now) == Scan([], 1, []), now
        assert stream.tell() == len(data)
    assert names(inbox.scan(10.0)) == []
    assert names(inbox.scan(10.8)) == ["x.jsonl"]


def test_a_copy_that_stalls_in_mid_line_is_held_for_a_minute(root: Path, inbox: Inbox) -> None:
    """C2: standing still is not enough, the last line must be complete; after 60 s the gate shall name it."""
    (root / "x.jsonl").write_bytes(ROW + b'{"text": "tw')
    assert inbox.scan(0.0).waiting == 1
    assert inbox.scan(59.9) == Scan([], 1, [])
    assert names(inbox.scan(60.0)) == ["x.jsonl"]


def test_a_copy_that_goes_on_after_a_stall_settles_anew(root: Path, inbox: Inbox) -> None:
    """C2: a file still being copied into the inbox is not touched."""
    file = root / "x.jsonl"
    file.write_bytes(ROW)
    inbox.scan(0.0)
    with file.open("ab") as stream:
        stream.write(ROW)
    assert inbox.scan(1.0).waiting == 1
    assert names(inbox.scan(2.0)) == ["x.jsonl"]


def test_a_file_that_was_replaced_by_one_of_equal_size_and_time_settles_anew(root: Path, inbox: Inbox) -> None:
    file = root / "x.jsonl"
    file.write_bytes(ROW)
    os.utime(file, ns=(5, 5))
    inbox.scan(0.0)
    other = root / ".y"
    other.write_bytes(ROW)
    os.utime(other, ns=(5, 5))
    other.replace(file)
    assert inbox.scan(1.0).waiting == 1


def test_space_reserved_before_copying_is_not_taken_for_data(root: Path, inbox: Inbox) -> None:
    """C2: some copy tools give the file its full size first."""
    file = root / "x.jsonl"
    file.write_bytes(ROW)
    os.truncate(file, 5000)
    assert settled(inbox) == Scan([], 1, [])


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", True),
        (ROW[:-1], True),
        (ROW + ROW[:-1], True),
        (ROW + ROW[:-2], False),
        (ROW + b"  ", False),
        (b"\xff", False),
        (b'{"text": "' + b"x" * (2 << 20), False),
        (b'{"text": "' + b"x" * (2 << 20) + b'"}\n', True),
        (ROW + b"[" * 5000, False),
    ],
)
def test_the_last_line_must_be_complete(root: Path, inbox: Inbox, data: bytes, whole: bool) -> None:
    """C19: an empty file is given to the gate, which names it."""
    (root / "x.jsonl").write_bytes(data)
    assert names(settled(inbox)) == (["x.jsonl"] if whole else [])


@pytest.mark.parametrize(
    ("name", "data", "whole"),
    [
        ("x.json", b'[\n  {"text": "once"}\n]\n', True),
        ("x.json", ROW, True),
        ("x.json", b"", True),
        ("x.json", b'[\n  {"text": "once"},\n', False),
        ("x.json", b'[{"text": "on', False),
        ("x.jsonl.gz", gzip.compress(ROW, mtime=0), True),
        ("x.jsonl.gz", gzip.compress(ROW, mtime=0)[:-3], True),
        ("x.jsonl", gzip.compress(ROW, mtime=0), True),
        ("x.json.zst", b"\x28\xb5\x2f\xfd" + b"\xff", True),
        ("x.jsonl.gz", ROW, True),
        ("x.jsonl.gz", ROW + ROW[:-3], False),
    ],
)
def test_packed_files_are_whole_as_far_as_their_ends_tell(
    root: Path, inbox: Inbox, name: str, data: bytes, whole: bool
) -> None:
    """C2: of compressed data only the gates can tell; a list must end with its bracket."""
    (root / name).write_bytes(data)
    assert names(settled(inbox)) == ([name] if whole else [])


def test_a_packed_file_that_the_gates_found_cut_off_gets_a_minute_to_grow(root: Path, inbox: Inbox) -> None:
    """C2: a file still being copied into the inbox is not touched."""
    file = root / "x.jsonl.gz"
    file.write_bytes(b"\x1f\x8b")
    (ready,) = settled(inbox).ready
    assert inbox.wait_for_more(ready, 1.0)
    assert inbox.scan(59.9) == Scan([], 1, [])
    file.write_bytes(b"\x1f\x8b\x08")
    assert inbox.scan(59.95).waiting == 1
    (ready,) = inbox.scan(61.0).ready
    assert inbox.wait_for_more(ready, 61.0)
    (ready,) = inbox.scan(119.95).ready
    assert not inbox.wait_for_more(ready, 119.95)


@pytest.mark.parametrize(("sidecar", "held"), [("x.json.meta.json", True), ("x.jsonl.meta.json", True), ("y", False)])
def test_a_packed_file_waits_for_its_sidecar_under_either_name(
    root: Path, inbox: Inbox, sidecar: str, held: bool
) -> None:
    """C4: the sidecar belongs to its file."""
    (root / "x.json").write_bytes(b"[]")
    inbox.scan(0.0)
    (root / sidecar).write_text("{")
    assert inbox.scan(1.0).waiting == (1 if held else 0)
    assert names(inbox.scan(2.0)) == ["x.json"]


def test_a_sidecar_that_is_still_being_written_holds_its_file_back(root: Path, inbox: Inbox) -> None:
    """C4: the sidecar belongs to its file."""
    (root / "x.jsonl").write_bytes(ROW)
    inbox.scan(0.0)
    (root / "x.jsonl.meta.json").write_text("{")
    assert inbox.scan(1.0) == Scan([], 1, [])
    assert names(inbox.scan(2.0)) == ["x.jsonl"]


def test_unfinished_and_hidden_files_and_lone_sidecars_are_left_alone(root: Path, inbox: Inbox) -> None:
    for name in ("x.jsonl.tmp", "x.part", "X.PARTIAL", ".x.jsonl", "x.jsonl.meta.json"):
        (root / name).write_bytes(ROW)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.jsonl").write_bytes(ROW)
    assert settled(inbox) == Scan([], 0, [])


def test_folders_set_priority_and_name(root: Path, inbox: Inbox) -> None:
    expected = {
        "low/c.jsonl": ("low", "c.jsonl"),
        "high/a.jsonl": ("high", "a.jsonl"),
        "high/math/a.jsonl": ("high", "a_math.jsonl"),
        "b.jsonl": ("normal", "b.jsonl"),
        "normal/b.jsonl": ("normal", "b.jsonl"),
        "math/b.jsonl": ("normal", "b_math.jsonl"),
        "math/deep/down/e.v2.jsonl": ("normal", "e.v2_math.jsonl"),
        "math/high/f.jsonl": ("normal", "f_math.jsonl"),
        "low/math/g.v2.json.gz": ("low", "g.v2_math.json.gz"),
    }
    for place in expected:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(ROW)
    found = {file.path.relative_to(root).as_posix(): (file.priority, file.name) for file in settled(inbox).ready}
    assert found == expected


def test_ready_files_come_by_priority_and_then_oldest_first(root: Path, inbox: Inbox) -> None:
    for age, place in enumerate(["low/a.jsonl", "c.jsonl", "b.jsonl", "high/d.jsonl"]):
        (root / place).write_bytes(ROW)
        os.utime(root / place, (age, age))
    assert names(settled(inbox)) == ["d.jsonl", "c.jsonl", "b.jsonl", "a.jsonl"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x.gz", "only *.jsonl.gz and *.json.gz"),
        ("x.jsonl.zip", "unpack it"),
        ("x.jsonl.rejection.json", "a report about a rejected file"),
        ("x.JSON", "small letters"),
        ("x.JSONL", "small letters"),
        ("x.csv", "only *.jsonl"),
        ("README", "only *.jsonl"),
        ("x\x1b[31m.jsonl", "control characters"),
        ("x" * 200 + ".jsonl", "at most 200"),
        (os.fsdecode(b"\xff.jsonl"), "not UTF-8"),
    ],
)
def test_a_file_of_another_name_is_told_once(root: Path, inbox: Inbox, name: str, reason: str) -> None:
    """C7: other names are reported, not ignored."""
    file = root / name
    file.write_bytes(ROW)
    scan = settled(inbox)
    assert (scan.ready, scan.waiting) == ([], 0)
    assert [strange.path for strange in scan.strange] == [file]
    assert reason in scan.strange[0].reason
    assert scan.strange[0].shown.encode("utf-8")
    assert inbox.scan(2.0).strange == []
    file.write_bytes(ROW + ROW)
    assert inbox.scan(3.0).strange == []
    assert len(inbox.scan(4.0).strange) == 1


def test_what_is_no_file_is_told_and_never_followed(root: Path, inbox: Inbox, tmp_path: Path) -> None:
    """C7: a folder named x.jsonl and a link out of the inbox are reported, and nothing behind them is taken."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jsonl").write_bytes(ROW)
    (root / "folder.jsonl").mkdir()
    (root / "folder.jsonl" / "inner.jsonl").write_bytes(ROW)
    (root / "link.jsonl").symlink_to(outside / "secret.jsonl")
    (root / "linked_folder").symlink_to(outside)
    (root / "dangling.jsonl").symlink_to(outside / "nothing")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "fifo.jsonl")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(root)  # socket paths are short
        try:
            listener.bind("socket.jsonl")
        finally:
            os.chdir(here)
        scan = settled(inbox)
    assert (scan.ready, scan.waiting) == ([], 0)
    told = reasons(scan)
    assert set(told) == {
        "folder.jsonl", "link.jsonl", "linked_folder", "dangling.jsonl", "loop", "fifo.jsonl", "socket.jsonl"
    }  # fmt: skip
    assert "folder" in told["folder.jsonl"]
    assert "not followed" in told["link.jsonl"]
    assert "not followed" in told["linked_folder"]
    assert "fifo" in told["fifo.jsonl"]
    assert inbox.scan(9.0).strange == []


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_a_sidecar_that_is_no_file_holds_its_file_back(root: Path, inbox: Inbox, kind: str) -> None:
    """Reading such a sidecar could hang for ever or lead out of the inbox."""
    (root / "x.jsonl").write_bytes(ROW)
    sidecar = root / "x.jsonl.meta.json"
    if kind == "fifo":
        os.mkfifo(sidecar)
    elif kind == "link":
        sidecar.symlink_to("/etc/hostname")
    else:
        sidecar.mkdir()
    scan = settled(inbox)
    assert scan.ready == []
    assert "sidecar" in reasons(scan)["x.jsonl"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        (folder / "closed").chmod(0o755)


def test_what_may_not_be_read_is_told(open_folder: Path) -> None:
    """As root nothing is unreadable, so the scan runs in a child that is nobody."""
    (open_folder / "x.jsonl").write_bytes(ROW)
    (open_folder / "x.jsonl").chmod(0)
    (open_folder / "closed").mkdir(mode=0)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        os.write(writer, json.dumps(reasons(settled(Inbox(open_folder, 1.0)))).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        told = json.loads(stream.read())
    os.waitpid(child, 0)
    assert told == {
        "x.jsonl": "the file cannot be read: Permission denied",
        "closed": "the folder cannot be read: Permission denied",
    }


def test_a_missing_inbox_is_told_and_found_again(root: Path, inbox: Inbox) -> None:
    elsewhere = root.rename(root.with_name("elsewhere"))
    assert reasons(inbox.scan(0.0)) == {"inbox": "the folder cannot be read: No such file or directory"}
    assert inbox.scan(1.0).strange == []
    elsewhere.rename(root)
    (root / "x.jsonl").write_bytes(ROW)
    assert names(settled(inbox, 2.0)) == ["x.jsonl"]


def test_ten_thousand_files_are_scanned_quickly_and_forgotten_when_gone(root: Path, inbox: Inbox) -> None:
    """Memory is that of the files present, however many have passed through."""
    for number in range(10_000):
        (root / f"{number}.jsonl").touch()
    assert inbox.scan(0.0).waiting == 10_000
    inbox.scan(1.0)
    started = time.process_time()
    assert len(inbox.scan(2.0).ready) == 10_000
    assert time.process_time() - started < 1.0
    for file in root.glob("*.jsonl"):
        file.unlink()
    assert inbox.scan(3.0) == Scan([], 0, [])
    assert len(inbox._seen) == 0


def test_a_real_slow_writer_is_waited_for(root: Path) -> None:
    """C2: a file still being copied into the inbox is not touched; real time, a real thread."""
    row = b'{"text": "' + b"x" * 996 + b'"}\n'  # 1009 bytes, a prime: no piece but the last ends at a line end
    data = row * 41
    inbox = Inbox(root, settle_seconds=0.2)
    pause = threading.Event()
    done = threading.Event()

    def write_slowly() -> None:
        with (root / "x.jsonl").open("wb", buffering=0) as stream:
            for start in range(0, len(data), 1024):
                stream.write(data[start : start + 1024])
                pause.wait(0.02)
        done.set()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    while not done.is_set():
        ready = inbox.scan(time.monotonic()).ready
        assert not ready or (root / "x.jsonl").stat().st_size == len(data)
        pause.wait(0.01)
    writer.join()
    wait_until(lambda: names(inbox.scan(time.monotonic())) == ["x.jsonl"], message="the whole file is ready")
    assert (root / "x.jsonl").read_bytes() == data


def test_only_what_may_be_taken_in_a_moment_is_coming(root: Path, inbox: Inbox) -> None:
    """Nothing else may keep an empty board from its seal: a file held back for ever, or one that grows for hours."""
    file = root / "x.jsonl"
    file.write_bytes(ROW)
    coming, scan = inbox.scan(0.0).coming, inbox.scan(1.0)
    assert (coming, scan.coming) == (1, 1)
    inbox.hold_back(scan.ready[0], 5.0)
    assert [inbox.scan(now).coming for now in (2.0, 4.9, 6.0)] == [0, 0, 0]
    file.unlink()
    growing = root / "y.jsonl"
    for second in range(10, 80, 10):
        with growing.open("ab") as stream:
            stream.write(ROW)
        scan = inbox.scan(second)
        assert (scan.waiting, scan.coming) == (1, 1 if second < 40 else 0)
