"""Hints from watchdog come for what is written, not for what is read, and nothing depends on them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.events import FileSystemEvent

from arena.doorstep.inbox import Inbox
from arena.doorstep.inbox_watch import CANARY_NAME, InboxWatch
from tests.waiting import wait_until


class Hints:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def hints() -> Hints:
    return Hints()


@pytest.fixture
def watch(tmp_path: Path, hints: Hints) -> Iterator[InboxWatch]:
    (tmp_path / "high").mkdir()
    watch = InboxWatch(tmp_path, hints)
    watch.start()
    yield watch
    watch.stop()
    wait_until(lambda: not watch.is_alive())


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "x.jsonl").write_bytes(b"{}\n"),
        lambda folder: (folder / "high" / "x.jsonl").write_bytes(b"{}\n"),
        lambda folder: (folder / "high").rename(folder / "math"),
    ],
    ids=["file", "file in a folder", "renamed folder"],
)
def test_a_change_in_the_inbox_is_hinted(
    watch: InboxWatch, hints: Hints, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    assert watch.is_alive()
    change(tmp_path)
    wait_until(lambda: hints.count, message="a hint came")


def test_scanning_and_reading_give_no_hints(tmp_path: Path, hints: Hints) -> None:
    """Otherwise each scan brings about the next one, for ever."""
    paths: list[str] = []

    class Listening(InboxWatch):
        def _hear(self, event: FileSystemEvent) -> None:
            super()._hear(event)
            paths.append(os.fsdecode(event.src_path))

    def heard_of(name: str) -> list[str]:
        return [path for path in paths if Path(path).name == name]

    watch = Listening(tmp_path, hints)
    watch.start()
    try:
        (tmp_path / "x.jsonl").write_bytes(b"{}\n")
        inbox = Inbox(tmp_path, 0.0)
        for now in range(20):
            assert len(inbox.scan(float(now)).ready) == 1
            (tmp_path / "x.jsonl").read_bytes()
        # Events come in order: once one of this marker is there, all of the reading have come too.
        (tmp_path / "marker").touch()
        wait_until(lambda: heard_of("marker"), message="the marker was hinted")
    finally:
        watch.stop()
        wait_until(lambda: not watch.is_alive())
    assert 1 <= len(heard_of("x.jsonl")) <= 4, "made, changed, closed; the system was not asked for readings"
    assert hints.count < 12
    assert watch.heard < 16, "each event wakes three threads"


def test_no_hint_comes_after_the_end(tmp_path: Path, hints: Hints) -> None:
    watch = InboxWatch(tmp_path, hints)
    watch.start()
    watch.stop()
    watch.stop()
    wait_until(lambda: not watch.is_alive())
    (tmp_path / "x.jsonl").touch()
    assert hints.count == 0


def test_a_watch_that_cannot_start_says_why_and_is_harmless(tmp_path: Path, hints: Hints) -> None:
    watch = InboxWatch(tmp_path / "missing", hints)
    trouble = watch.start()
    assert trouble is not None
    assert "No such file" in trouble
    assert not watch.is_alive()
    watch.stop()


def test_the_canary_is_heard_and_brings_no_scan_forward(watch: InboxWatch, hints: Hints, tmp_path: Path) -> None:
    """Otherwise an idle realm looks into its inbox because it has looked into its inbox."""
    (tmp_path / CANARY_NAME).touch()
    (tmp_path / CANARY_NAME).unlink()
    wait_until(lambda: watch.heard >= 3, message="the canary was heard")
    assert hints.count == 0


def test_a_failing_hint_does_not_end_the_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The event loop may be closed before the watch is."""
    calls = []

    def fail() -> None:
        calls.append(1)
        raise RuntimeError("Event loop is closed")

    caplog.set_level(logging.WARNING)
    watch = InboxWatch(tmp_path, fail)
    watch.start()
    try:
        (tmp_path / "a").touch()
        wait_until(lambda: calls, message="the first hint came")
        seen = len(calls)
        (tmp_path / "b").touch()
        wait_until(lambda: len(calls) > seen, message="hints still come")
        assert watch.is_alive()
    finally:
        watch.stop()
        wait_until(lambda: not watch.is_alive())
    # watchdog, too, may say that it hears of something while it ends.
    assert len([record for record in caplog.records if record.name == "arena.doorstep.inbox_watch"]) == 1


def test_a_watch_whose_folder_was_removed_is_noticed(tmp_path: Path, hints: Hints) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    watch = InboxWatch(folder, hints)
    assert watch.start() is None
    try:
        folder.rmdir()
        wait_until(lambda: not watch.is_alive(), message="the end of the watch is noticed")
        assert not watch.is_alive()
    finally:
        watch.stop()
        wait_until(lambda: not watch.is_alive())
