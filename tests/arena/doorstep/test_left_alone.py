"""Which names the inbox passes over in silence, which it reports, and which it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.doorstep.inbox import Inbox
from arena.doorstep.left_alone import is_left_alone

ROW = b'{"text": "once"}\n'

UNFINISHED = [
    ".syncthing.x.jsonl.tmp",  # Syncthing
    "~syncthing~x.jsonl.tmp",  # Syncthing on Windows
    ".x.jsonl.Ab3dE6",  # rsync
    "x.jsonl.part",  # Firefox, curl wrappers
    "x.jsonl.crdownload",  # Chromium
    "x.jsonl.download",  # Safari
    "x.jsonl.opdownload",  # Opera
    "x.jsonl.filepart",  # WinSCP
    "x.jsonl.aria2",
    "x.jsonl.partial",
    "X.JSONL.TMP",
    ".nfs00000000012a4f5e00000001",  # deleted on NFS while open
    ".smbdeleteAAA1b2c3d4",  # the same on SMB
    ".fuse_hidden0000000a00000001",  # the same on FUSE
]

DROPPINGS = [
    ".DS_Store",
    "._x.jsonl",  # resource fork of macOS
    "~$x.jsonl",  # owner file of an office program
    "Thumbs.db",
    "desktop.ini",
    "x.jsonl~",  # backup of an editor
    ".x.jsonl.swp",
    "x.jsonl.swp",
    "#x.jsonl#",
    "4913",
    ".realm-canary",
]

FOREIGN_FOLDERS = [
    ".stfolder", ".stversions", ".rsync-partial", ".Trash-1000", "lost+found", "@eaDir", "#recycle", "__MACOSX",
    "x.jsonl.download",
]  # fmt: skip

TAKEN = [
    "x.jsonl",
    "x.sync-conflict-20261121-093000-ABCDEFG.jsonl",  # a version of its own, which somebody wrote
    "x (1).jsonl",
    "x~1.jsonl",
    "tmp.jsonl",
    "part.partial.jsonl",
]

REPORTED = ["x.csv", "README", "x.jsonl.bak", "x.jsonl.old", "x.jsonl.1", "x.txt", "x.tmpl", "x.JSONL"]


@pytest.mark.parametrize("name", UNFINISHED + DROPPINGS)
def test_what_nobody_dropped_is_passed_over_in_silence(tmp_path: Path, name: str) -> None:
    """C2: half-written files of copying programs; C7: but a person is not bothered with them."""
    (tmp_path / name).write_bytes(ROW)
    inbox = Inbox(tmp_path, settle_seconds=0.0)
    for now in (0.0, 1.0, 100.0):
        scan = inbox.scan(now)
        assert (scan.ready, scan.waiting, scan.strange) == ([], 0, [])


@pytest.mark.parametrize("name", FOREIGN_FOLDERS)
def test_nothing_is_taken_out_of_folders_of_other_programs(tmp_path: Path, name: str) -> None:
    """A Syncthing version, a recycle bin, and a download that is still under way hold no quests."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "x.jsonl").write_bytes(ROW)
    scan = Inbox(tmp_path, settle_seconds=0.0).scan(0.0)
    assert (scan.ready, scan.waiting, scan.strange) == ([], 0, [])


@pytest.mark.parametrize("name", TAKEN)
def test_files_with_odd_but_honest_names_are_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(ROW)
    assert [file.name for file in Inbox(tmp_path, settle_seconds=0.0).scan(0.0).ready] == [name]


@pytest.mark.parametrize("name", REPORTED)
def test_everything_else_is_reported_once(tmp_path: Path, name: str) -> None:
    """C7: names other than .jsonl were silently ignored."""
    assert not is_left_alone(name)
    (tmp_path / name).write_bytes(ROW)
    inbox = Inbox(tmp_path, settle_seconds=0.0)
    assert [strange.path.name for strange in inbox.scan(0.0).strange] == [name]
    assert inbox.scan(1.0).strange == []
