"""Empty sub-folders of the inbox: a dropped tree goes once it is flattened, a standing folder stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arena.doorstep.dropped_trees import EMPTY_SECONDS, FILLED_SECONDS
from arena.doorstep.inbox import Inbox

ROW = b'{"text": "once"}\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("high", "normal", "low"):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.fixture
def inbox(root: Path) -> Inbox:
    """An inbox that was looked at before anything was dropped."""
    inbox = Inbox(root, settle_seconds=1.0)
    inbox.scan(0.0)
    return inbox


def drop_tree(root: Path, *places: str) -> None:
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(ROW)


def take_all(root: Path) -> None:
    for file in root.rglob("*.jsonl"):
        file.unlink()


def deserted(inbox: Inbox, now: float) -> list[Path]:
    return inbox.scan(now).deserted


def test_the_folders_of_a_dropped_tree_go_from_the_leaves_up_once_their_files_are_taken(
    root: Path, inbox: Inbox
) -> None:
    """Spec 1.1: the flattener removes sub-folders that it has emptied."""
    drop_tree(root, "math/deep/x.jsonl", "math/y.jsonl", "high/chess/z.jsonl")
    assert deserted(inbox, 10.0) == []
    take_all(root)
    assert deserted(inbox, 20.0) == []
    assert deserted(inbox, 20.0 + EMPTY_SECONDS - 1) == []
    found = deserted(inbox, 20.0 + EMPTY_SECONDS)
    assert sorted(found) == [root / "high" / "chess", root / "math" / "deep"]
    for folder in found:
        folder.rmdir()
    assert deserted(inbox, 700.0) == []
    assert deserted(inbox, 700.0 + EMPTY_SECONDS) == [root / "math"]


def test_priority_folders_and_the_inbox_itself_stay(root: Path, inbox: Inbox) -> None:
    drop_tree(root, "high/x.jsonl", "x.jsonl")
    inbox.scan(1.0)
    take_all(root)
    inbox.scan(2.0)
    assert deserted(inbox, 10 * EMPTY_SECONDS) == []


def test_a_folder_that_somebody_made_beforehand_stays_however_often_it_is_emptied(root: Path, inbox: Inbox) -> None:
    """The next `cp x inbox/math` would otherwise make a file of that name."""
    (root / "math").mkdir()
    assert deserted(inbox, 1.0) == []
    late = 1.0 + FILLED_SECONDS + 1
    inbox.scan(late - 0.5)
    drop_tree(root, "math/x.jsonl")
    inbox.scan(late)
    take_all(root)
    inbox.scan(late + 1)
    assert deserted(inbox, late + 10 * EMPTY_SECONDS) == []


def test_what_was_there_before_the_realm_stays(root: Path) -> None:
    drop_tree(root, "math/x.jsonl")
    inbox = Inbox(root, settle_seconds=1.0)
    inbox.scan(0.0)
    take_all(root)
    inbox.scan(1.0)
    assert deserted(inbox, 10 * EMPTY_SECONDS) == []


def test_a_tree_that_is_still_being_copied_stays(root: Path, inbox: Inbox) -> None:
    """Between two files of a slow copy its folder stands empty, as the first has been taken already."""
    drop_tree(root, "math/x.jsonl")
    inbox.scan(1.0)
    take_all(root)
    inbox.scan(2.0)
    inbox.scan(500.0)
    drop_tree(root, "math/y.jsonl")
    inbox.scan(590.0)
    take_all(root)
    assert deserted(inbox, 610.0) == []
    assert deserted(inbox, 610.0 + EMPTY_SECONDS) == [root / "math"]


def test_a_folder_with_anything_left_in_it_stays(root: Path, inbox: Inbox) -> None:
    drop_tree(root, "math/x.jsonl", "math/.hidden", "math/README")
    inbox.scan(1.0)
    (root / "math" / "x.jsonl").unlink()
    os.unlink(root / "math" / "README")
    inbox.scan(2.0)
    assert deserted(inbox, 10 * EMPTY_SECONDS) == []


def test_a_new_folder_of_an_old_name_is_new(root: Path, inbox: Inbox) -> None:
    drop_tree(root, "math/x.jsonl")
    inbox.scan(1.0)
    take_all(root)
    (root / "math").rmdir()
    inbox.scan(2.0)
    (root / "math").mkdir()
    inbox.scan(500.0)
    assert deserted(inbox, 500.0 + 10 * EMPTY_SECONDS) == []
