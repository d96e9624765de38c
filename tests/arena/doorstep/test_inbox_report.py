"""What is left lying in the inbox is counted and named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from arena.doorstep.inbox import ORPHAN_SIDECAR, Inbox
from arena.doorstep.inbox_report import inbox_report, look_into_inbox
from core.paths import RealmPaths

ROW = b'{"text": "once"}\n'


@pytest.fixture
def root(paths: RealmPaths) -> Path:
    return paths.inbox


def test_what_will_not_be_taken_is_counted_as_long_as_it_lies_there(root: Path) -> None:
    """C7: an event tells of it once; the count stays until somebody sees to it."""
    inbox = Inbox(root, settle_seconds=1.0)
    (root / "holiday.png").write_bytes(b"x")
    (root / "good.jsonl").write_bytes(ROW)
    for now, left in [(0.0, 0), (1.0, 1), (2.0, 1)]:
        assert inbox.scan(now).left == left
    assert [strange.path.name for strange in inbox.scan(3.0).named] == ["holiday.png"]
    (root / "holiday.png").unlink()
    assert inbox.scan(4.0).left == 0


def test_a_file_that_is_held_back_for_a_trouble_is_told_with_it_and_one_that_waits_its_turn_is_not(root: Path) -> None:
    inbox = Inbox(root, settle_seconds=0.0)
    for name in ("ill.jsonl", "next.jsonl"):
        (root / name).write_bytes(ROW)
    ill, following = inbox.scan(0.0).ready
    inbox.hold_back(ill, 60.0, "it could not be taken in yet and stays: no")
    inbox.hold_back(following, 60.0)
    scan = inbox.scan(1.0)
    assert (scan.waiting, scan.left) == (1, 1)
    assert scan.named[0].reason.startswith("it could not be taken in")
    assert inbox.scan(60.0).left == 0


@pytest.mark.parametrize("sidecar", ["x.jsonl.meta.json", "x.jsonl.gz.meta.json", "notes.txt.meta.json"])
def test_a_sidecar_without_its_file_is_told_once_after_it_has_lain_still(root: Path, sidecar: str) -> None:
    inbox = Inbox(root, settle_seconds=1.0, incomplete_seconds=60.0)
    (root / sidecar).write_text("{}")
    assert [inbox.scan(now).strange for now in (0.0, 59.9)] == [[], []]
    assert [(strange.path.name, strange.reason) for strange in inbox.scan(60.0).strange] == [(sidecar, ORPHAN_SIDECAR)]
    again = inbox.scan(61.0)
    assert (again.strange, again.left) == ([], 1)
    assert (root / sidecar).exists()


@pytest.mark.parametrize("data", ["x.jsonl", "x.jsonl.gz", "x.json"])
def test_a_sidecar_beside_its_file_under_either_name_is_no_orphan(root: Path, data: str) -> None:
    (root / data).write_bytes(ROW)
    (root / ("x.jsonl.meta.json")).write_text("{}")
    assert look_into_inbox(root)["left_lying"] == 0


def test_of_many_the_first_are_named_and_names_need_not_be_unicode(root: Path) -> None:
    (root / "pictures").mkdir()
    for number in range(15):
        (root / "pictures" / f"{number:02}.png").touch()
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).touch()
    report = look_into_inbox(root)
    assert report["left_lying"] == 16
    assert [found["file"] for found in report["named"]] == [f"pictures/{number:02}.png" for number in range(10)]
    json.dumps(report).encode()


def test_before_the_first_look_nobody_knows(root: Path) -> None:
    """Law 7: unknown is null, never 0."""
    assert inbox_report(root, 0, None)["left_lying"] is None
