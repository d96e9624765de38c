"""The manifest names every file, is written last, and tells a whole checkpoint from a torn one."""

from __future__ import annotations

import errno
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from blake3 import blake3

from core.errors import InvalidInput, Unavailable
from core.files import Files
from tests.vault.making import fill
from vault.manifest import MANIFEST, ReadError, check_manifest, unlisted_files, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    fill(folder)
    write_manifest(folder)
    return folder


def test_every_file_is_listed_with_size_and_hash(tmp_path: Path) -> None:
    fill(tmp_path)
    now = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    manifest = write_manifest(tmp_path, now=now)
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert json.loads((tmp_path / MANIFEST).read_text()) == manifest
    assert manifest["version"] == 1
    assert manifest["created_at"] == "2026-11-21T09:30:00+00:00"
    assert set(manifest["files"]) == {"model.safetensors", "tokenizer/tokenizer.json"}
    assert manifest["files"]["model.safetensors"] == {"size": len(weights), "blake3": blake3(weights).hexdigest()}
    assert manifest["total_bytes"] == sum(entry["size"] for entry in manifest["files"].values())


def test_a_file_larger_than_one_read_is_hashed_as_a_whole(tmp_path: Path) -> None:
    data = os.urandom((1 << 20) + 17)
    (tmp_path / "optimizer.pt").write_bytes(data)
    entry = write_manifest(tmp_path)["files"]["optimizer.pt"]
    assert entry == {"size": len(data), "blake3": blake3(data).hexdigest()}


def test_writing_twice_does_not_list_the_manifest_itself(folder: Path) -> None:
    assert MANIFEST not in write_manifest(folder)["files"]
    assert check_manifest(folder) == []


def test_the_manifest_is_written_after_everything_else_is_synced(tmp_path: Path) -> None:
    fill(tmp_path)
    calls: list[str] = []

    class Watched(Files):
        def fsync(self, fd: int) -> None:
            calls.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
            super().fsync(fd)

        def replace(self, source: Path, target: Path) -> None:
            calls.append(f"-> {target.name}")
            super().replace(source, target)

    write_manifest(tmp_path, files=Watched())
    before, after = calls[: calls.index(f"-> {MANIFEST}")], calls[calls.index(f"-> {MANIFEST}") + 1 :]
    assert set(before) >= {"model.safetensors", "tokenizer.json", "tokenizer", tmp_path.name}
    assert after == [tmp_path.name]


def test_a_known_hash_spares_reading_the_file_again(tmp_path: Path) -> None:
    """Whoever wrote the file has hashed what he wrote: a byte that came to the disk otherwise is noticed later."""
    fill(tmp_path)
    plain = write_manifest(tmp_path)
    known = {"model.safetensors": plain["files"]["model.safetensors"]["blake3"]}
    (tmp_path / MANIFEST).unlink()
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[::-1])
    assert write_manifest(tmp_path, hashes=known)["files"] == plain["files"]
    assert check_manifest(tmp_path) == ["model.safetensors was altered"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_no_manifest(tmp_path: Path, code: int) -> None:
    class Failing(Files):
        def write(self, fd: int, data: bytes) -> None:
            raise OSError(code, os.strerror(code))

    fill(tmp_path)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_manifest(tmp_path, files=Failing())
    assert check_manifest(tmp_path) == [f"{MANIFEST} is missing"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "tokenizer"]


@pytest.mark.parametrize("name", ["model.safetensors", "folder"])
def test_a_link_is_refused_because_a_checkpoint_depends_on_nothing_outside(tmp_path: Path, name: str) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (inside / name).symlink_to(outside)
    with pytest.raises(InvalidInput, match="no links"):
        write_manifest(inside)


def test_a_whole_folder_has_no_problems_and_extra_files_are_none(folder: Path) -> None:
    (folder / "QUARANTINE.json").write_text("{}")
    assert check_manifest(folder) == []


def test_a_missing_file_is_a_problem(folder: Path) -> None:
    (folder / "tokenizer" / "tokenizer.json").unlink()
    assert check_manifest(folder, deep=False) == ["tokenizer/tokenizer.json is missing"]


def test_a_shortened_file_is_a_problem_without_hashing(folder: Path) -> None:
    """A30: a copy that was cut short never counts as verified."""
    (folder / "model.safetensors").write_text("weigh")
    assert check_manifest(folder, deep=False) == ["model.safetensors has 5 bytes instead of 700"]


def test_an_altered_file_of_the_same_size_is_found_by_its_hash(folder: Path) -> None:
    """A30: verifying a directory means hashing its files, not that they exist."""
    (folder / "model.safetensors").write_text("WEIGHTS" * 100)
    assert check_manifest(folder, deep=False) == []
    assert check_manifest(folder) == ["model.safetensors was altered"]


def test_a_file_turned_into_a_link_is_a_problem(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "elsewhere")
    (folder / "model.safetensors").symlink_to(folder / "elsewhere")
    assert check_manifest(folder) == ["model.safetensors is not a regular file"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is damaged"),
        ('{"version": 1, "files": {"a', "is damaged"),
        ("[]", "is not of version 1"),
        ('{"version": 2, "files": {}}', "is not of version 1"),
        ('{"version": 1, "files": {}}', "names no files"),
        ('{"version": 1, "files": {"../up": {"size": 1, "blake3": ""}}}', "has a wrong entry: '../up'"),
        ('{"version": 1, "files": {"/etc/passwd": {"size": 1, "blake3": ""}}}', "has a wrong entry: '/etc/passwd'"),
        ('{"version": 1, "files": {"model.safetensors": 3}}', "has a wrong entry: 'model.safetensors'"),
        ('{"version": 1, "files": {"model.safetensors/x": {"size": 1}}}', "x is missing"),
    ],
)
def test_a_damaged_manifest_is_a_problem_and_no_error(folder: Path, text: str, problem: str) -> None:
    (folder / MANIFEST).write_text(text)
    problems = check_manifest(folder)
    assert len(problems) == 1
    assert problems[0].endswith(problem)


def altered(folder: Path, **changes: object) -> None:
    body = json.loads((folder / MANIFEST).read_text()) | changes
    text = json.dumps({key: value for key, value in body.items() if value is not None}, indent=2)
    (folder / MANIFEST).write_text(f"{text}\n")


@pytest.mark.parametrize(
    "change",
    [
        {"created_at": "2026-11-21T09:30:01+00:00"},
        {"total_bytes": 1},
        {"digest": "0" * 64},
        {"digest": 3},
        {"digest": float("nan")},
        {"remark": "none"},
        {"digest": None, "digesT": "0" * 64},
        {"digest": None, "total_bytes": 1},
    ],
    ids=str,
)
def test_a_manifest_is_covered_by_its_own_digest(folder: Path, change: dict[str, object]) -> None:
    """A30: also what no file can be compared with, such as its time, may not change unnoticed."""
    altered(folder, **change)
    assert check_manifest(folder) == [f"{MANIFEST} was altered"]


def test_a_manifest_that_only_looks_the_same_is_not(folder: Path) -> None:
    text = (folder / MANIFEST).read_text()
    for other in (text.rstrip("\n"), text.replace("  ", "\t"), text.replace('"version": 1', '"version":  1')):
        (folder / MANIFEST).write_text(other)
        assert check_manifest(folder) == [f"{MANIFEST} was altered"]


def test_a_manifest_from_before_there_was_a_digest_stays_readable(folder: Path) -> None:
    altered(folder, digest=None)
    assert check_manifest(folder) == []
    (folder / "model.safetensors").write_text("WEIGHTS" * 100)
    assert check_manifest(folder) == ["model.safetensors was altered"]


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_something_else_in_the_place_of_the_manifest_is_a_problem(folder: Path, kind: str) -> None:
    """Neither waited for, like a pipe, nor taken for a lack of rights, like a folder."""
    shutil.move(folder / MANIFEST, folder.parent / "elsewhere")
    make = {
        "folder": Path.mkdir,
        "link": lambda place: place.symlink_to(folder.parent / "elsewhere"),
        "pipe": os.mkfifo,
    }
    make[kind](folder / MANIFEST)
    assert check_manifest(folder) == [f"{MANIFEST} is not a regular file"]


def test_a_folder_turned_into_a_link_is_a_problem(folder: Path) -> None:
    shutil.move(folder / "tokenizer", folder.parent / "elsewhere")
    (folder / "tokenizer").symlink_to(folder.parent / "elsewhere")
    assert check_manifest(folder) == ["tokenizer/tokenizer.json lies behind tokenizer, which is a link"]


def test_files_that_were_not_saved_with_a_checkpoint_are_named(folder: Path) -> None:
    for name in ("QUARANTINE.json", ".ledger.json", "pytorch_model.bin", "tokenizer/vocab.json"):
        (folder / name).write_text("{}")
    (folder / "adapter").symlink_to(folder.parent)
    (folder / "empty").mkdir()
    assert unlisted_files(folder) == ["adapter", "pytorch_model.bin", "tokenizer/vocab.json"]
    assert check_manifest(folder) == []


def test_files_that_cannot_be_opened_are_not_called_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good checkpoint is not thrown out because the process has run out of file handles."""
    real_open = Path.open

    def no_handles(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "model.safetensors":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(self))
        return real_open(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", no_handles)
    with pytest.raises(Unavailable, match="Too many open files"):
        check_manifest(folder)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENAMETOOLONG])
@pytest.mark.parametrize("name", ["model.safetensors", MANIFEST])
def test_what_the_disk_says_is_told_from_what_it_gave_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    """A28: nothing is set aside for good because a disk failed once."""
    really_lstat = Path.lstat

    def fail(self: Path) -> os.stat_result:
        if self.name == name:
            raise OSError(code, os.strerror(code), str(self))
        return really_lstat(self)

    monkeypatch.setattr(Path, "lstat", fail)
    problems = check_manifest(folder)
    assert problems == [f"{name} cannot be read: {os.strerror(code)}"]
    assert isinstance(problems[0], ReadError) is (code == errno.EIO)
