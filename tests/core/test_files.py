"""The file seam: whatever the disk does, a file is old or new, a name is never overwritten, and errors come out."""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
from pathlib import Path

import pytest

from core.files import DISK, Files, read_json, same_file


class FailingFiles(Files):
    """Raises one errno in one method; `after` successful calls of it come first."""

    def __init__(self, method: str, code: int, after: int = 0) -> None:
        self.method, self.code, self.after = method, code, after

    def _maybe(self, method: str) -> None:
        if method != self.method:
            return
        if self.after == 0:
            raise OSError(self.code, os.strerror(self.code))
        self.after -= 1

    def fsync(self, fd: int) -> None:
        self._maybe("fsync")
        super().fsync(fd)

    def replace(self, source: Path, target: Path) -> None:
        self._maybe("replace")
        super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._maybe("link")
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._maybe("unlink")
        super().unlink(path)

    def write(self, fd: int, data: bytes) -> None:
        if self.method == "write":
            os.write(fd, data[: len(data) // 2])  # a full disk takes a part and refuses the rest
        self._maybe("write")
        super().write(fd, data)


class NoHardLinks(FailingFiles):
    """A file system such as exFAT; `link` is refused with `code`."""

    def __init__(self, code: int = errno.EPERM) -> None:
        super().__init__("link", code)


class NoHardLinksAndFailing(FailingFiles):
    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "across file systems")


class CountingFiles(Files):
    def __init__(self) -> None:
        self.synced: list[str] = []

    def fsync(self, fd: int) -> None:
        self.synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        super().fsync(fd)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- write_atomic ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_failed_atomic_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, method: str, code: int) -> None:
    """A14: a JSON file is never half written, whatever the disk answers."""
    target = tmp_path / "state.json"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        FailingFiles(method, code).write_atomic(target, b"new and longer", durable=True)
    assert caught.value.errno == code
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["state.json"]


def test_a_durable_write_syncs_the_file_and_then_its_folder(tmp_path: Path) -> None:
    files = CountingFiles()
    files.write_atomic(tmp_path / "head", b"x", durable=True)
    assert len(files.synced) == 2
    assert files.synced[0].startswith(".head.")
    assert files.synced[1] == tmp_path.name


def test_a_write_that_need_not_be_durable_syncs_nothing(tmp_path: Path) -> None:
    files = CountingFiles()
    files.write_atomic(tmp_path / "status", b"x", durable=False)
    assert files.synced == []


def test_write_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    """F23: NaN never reaches a JSON file."""
    target = tmp_path / "x.json"
    DISK.write_json(target, {"loss": 1.5}, durable=False)
    with pytest.raises(ValueError, match="JSON"):
        DISK.write_json(target, {"loss": float("nan")}, durable=False)
    assert read_json(target) == {"loss": 1.5}


def test_write_json_keeps_any_text_that_a_user_can_bring(tmp_path: Path) -> None:
    value = {"name": "Übung ☃ \ud800.jsonl", "n": None}
    DISK.write_json(tmp_path / "x.json", value, durable=True)
    assert read_json(tmp_path / "x.json") == value


# --- append_line ----------------------------------------------------------------------------------------------


def test_lines_are_appended_whole(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    DISK.append_line(journal, b"one", durable=True)
    DISK.append_line(journal, b"two", durable=False)
    assert journal.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize(("method", "code"), [("write", errno.ENOSPC), ("fsync", errno.EIO)])
def test_a_line_that_could_not_be_written_whole_is_taken_back(tmp_path: Path, method: str, code: int) -> None:
    """A full disk in mid-line must not leave half a line that the next append turns into rubbish."""
    journal = tmp_path / "journal.jsonl"
    DISK.append_line(journal, b"one", durable=True)
    with pytest.raises(OSError, match=os.strerror(code)):
        FailingFiles(method, code).append_line(journal, b"a longer line", durable=True)
    DISK.append_line(journal, b"two", durable=True)
    assert journal.read_bytes() == b"one\ntwo\n"


# --- move_new -------------------------------------------------------------------------------------------------


@pytest.fixture
def lanes(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("from", "to"):
        (tmp_path / name).mkdir()
    return tmp_path / "from", tmp_path / "to"


@pytest.mark.parametrize("files", [DISK, *map(NoHardLinks, (errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK))])
def test_a_move_takes_content_and_mtime_along(lanes: tuple[Path, Path], files: Files) -> None:
    source, target = lanes[0] / "x.jsonl", lanes[1] / "x.jsonl"
    source.write_bytes(b"rows\n" * 1000)
    os.utime(source, ns=(1, 1_234_567_890_000_000_000))
    files.move_new(source, target)
    assert target.read_bytes() == b"rows\n" * 1000
    assert target.stat().st_mtime_ns == 1_234_567_890_000_000_000
    assert names(lanes[0]) == []
    assert names(lanes[1]) == ["x.jsonl"]


@pytest.mark.parametrize("files", [DISK, NoHardLinks()])
def test_a_move_never_overwrites_a_file_of_that_name(lanes: tuple[Path, Path], files: Files) -> None:
    """C1: a quest of the same name is never overwritten, with hard links or without."""
    source, target = lanes[0] / "x.jsonl", lanes[1] / "x.jsonl"
    source.write_text("mine")
    target.write_text("somebody else's")
    with pytest.raises(FileExistsError):
        files.move_new(source, target)
    assert source.read_text() == "mine"
    assert target.read_text() == "somebody else's"
    assert names(lanes[1]) == ["x.jsonl"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_move_whose_link_fails_changes_nothing(lanes: tuple[Path, Path], code: int) -> None:
    source, target = lanes[0] / "x.jsonl", lanes[1] / "x.jsonl"
    source.write_text("mine")
    with pytest.raises(OSError, match=os.strerror(code)):
        FailingFiles("link", code).move_new(source, target)
    assert names(lanes[0]) == ["x.jsonl"]
    assert names(lanes[1]) == []


def test_a_move_whose_folder_cannot_be_synced_changes_nothing(lanes: tuple[Path, Path]) -> None:
    source, target = lanes[0] / "x.jsonl", lanes[1] / "x.jsonl"
    source.write_text("mine")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        FailingFiles("fsync", errno.EIO).move_new(source, target)
    assert names(lanes[0]) == ["x.jsonl"]
    assert names(lanes[1]) == []


@pytest.mark.parametrize("method", ["fsync", "replace"])
def test_a_copying_move_on_a_full_disk_leaves_the_source_alone_and_no_rubbish(
    lanes: tuple[Path, Path], method: str
) -> None:
    """A claimed name whose copy failed is given back: an empty file there would pass for a quest."""
    source, target = lanes[0] / "x.jsonl", lanes[1] / "x.jsonl"
    source.write_text("mine")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        NoHardLinksAndFailing(method, errno.ENOSPC).move_new(source, target)
    assert source.read_text() == "mine"
    assert names(lanes[1]) == []


def test_a_move_cut_between_link_and_unlink_is_one_file_under_two_names(lanes: tuple[Path, Path]) -> None:
    source, target = lanes[0] / "x.jsonl", lanes[1] / "x.jsonl"
    source.write_text("mine")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        FailingFiles("unlink", errno.EIO).move_new(source, target)
    assert same_file(source, target)
    assert not same_file(source, lanes[0])
    assert not same_file(source, lanes[1] / "nothing")


# --- read_json ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b'{"half": ', b"\xff\xfe\x00binary", b"[" * 100_000], ids=["empty", "torn", "binary", "nested"]
)
def test_a_file_that_is_not_json_reads_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") is None


def test_a_missing_file_or_a_folder_reads_as_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "missing.json") is None
    assert read_json(tmp_path) is None


def test_write_json_is_readable_by_anyone(tmp_path: Path) -> None:
    DISK.write_json(tmp_path / "x.json", {"a": [1, 2]}, durable=False)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": [1, 2]}


def pages_of(content: bytes) -> memoryview:
    memory = mmap.mmap(-1, (len(content) + 4095) // 4096 * 4096)
    memory[: len(content)] = content
    return memoryview(memory)


CONTENT = bytes(range(256)) * 77
"""Ends within a page."""


def test_what_is_written_through_is_whole_and_durable(tmp_path: Path) -> None:
    files = CountingFiles()
    files.write_through(tmp_path / "file", pages_of(CONTENT), size=len(CONTENT))
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert files.synced == ["file"]
    with pytest.raises(FileExistsError):
        files.write_through(tmp_path / "file", pages_of(b"other"), size=5)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("when", ["opened", "written"])
def test_a_disk_that_cannot_do_without_the_page_cache_takes_it_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """File systems refuse `O_DIRECT` where a file is opened, having made it, or only where it is written to."""
    really_open, refused = os.open, []

    def is_direct(fd: int) -> bool:
        return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)

    def open_(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = really_open(path, flags, mode)
        if when == "opened" and flags & os.O_DIRECT:
            os.close(fd)
            refused.append(when)
            raise OSError(errno.EINVAL, "no direct access")
        return fd

    class Picky(Files):
        def write(self, fd: int, data: bytes) -> None:
            if when == "written" and is_direct(fd):
                os.write(fd, data[:4096])
                refused.append(when)
                raise OSError(errno.EINVAL, "no direct access")
            super().write(fd, data)

    monkeypatch.setattr(os, "open", open_)
    Picky().write_through(tmp_path / "file", pages_of(CONTENT), size=len(CONTENT))
    assert refused == [when]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("method", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_what_the_disk_says_to_a_write_through_is_told(tmp_path: Path, method: str, code: int) -> None:
    files = FailingFiles(method, code)
    with pytest.raises(OSError, match=os.strerror(code)):
        files.write_through(tmp_path / "file", pages_of(CONTENT), size=len(CONTENT))
