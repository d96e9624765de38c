"""Packed files from the inbox to the board with the real gates, and through real kills."""

from __future__ import annotations

import asyncio
import errno
import gzip
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from arena.quest_board import QuestBoard
from core.files import Files
from core.paths import CHECKOUT, RealmPaths
from tests.arena.doorstep.one_intake import running_intake, take_everything
from tests.arena.quest_makers import NOW, everything_in
from tests.waiting import wait_until_async

ROWS = [
    {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": f"answer {number}"}]}
    for number in range(30)
]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
PRETTY = json.dumps(ROWS, indent=2).encode()

PACKED = {
    "gz.jsonl.gz": gzip.compress(LINES),
    "zst.jsonl.zst": zstandard.ZstdCompressor().compress(LINES),
    "list.json": PRETTY,
    "both.json.gz": gzip.compress(PRETTY),
    "lines.json": LINES,
    "misnamed.jsonl": gzip.compress(LINES),
}


def rows_in(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def stems(board: QuestBoard, lane: str) -> list[str]:
    return sorted(quest.name for quest in board.quests(lane))


async def test_every_kind_of_file_joins_the_board_as_json_lines(paths: RealmPaths) -> None:
    """PEERS: `.jsonl`, `.json`, `.gz` and `.zst` are what people own. Lineage goes along under either name (C4)."""
    for name, data in PACKED.items():
        (paths.inbox / name).write_bytes(data)
    (paths.inbox / "high" / "sub").mkdir()
    (paths.inbox / "high" / "sub" / "deep.json.gz").write_bytes(gzip.compress(PRETTY))
    (paths.inbox / "gz.jsonl.gz.meta.json").write_text('{"generator_id": "a", "epochs": 3}')
    (paths.inbox / "zst.jsonl.meta.json").write_text('{"generator_id": "b", "epochs": 4}')
    inode = (paths.inbox / "lines.json").stat().st_ino
    await take_everything(paths)
    board = QuestBoard(paths)
    assert stems(board, "high") == ["deep_sub.jsonl"]
    assert stems(board, "normal") == [
        "both.jsonl", "gz.jsonl", "lines.jsonl", "list.jsonl", "misnamed.jsonl", "zst.jsonl"
    ]  # fmt: skip
    quests = {quest.record.original_name: quest for lane in ("high", "normal") for quest in board.quests(lane)}
    assert all(rows_in(quest.path) == ROWS and quest.record.rows == 30 for quest in quests.values())
    assert quests["lines.json"].path.stat().st_ino == inode, "plain lines are moved, not copied"
    found = {name: (quest.record.epochs, quest.record.lineage.get("generator_id")) for name, quest in quests.items()}
    assert found["gz.jsonl.gz"] == (3, "a")
    assert found["zst.jsonl.zst"] == (4, "b")
    assert {name: (quest.record.lineage.get("container") or {}).get("kind") for name, quest in quests.items()} == {
        "gz.jsonl.gz": "gzip", "zst.jsonl.zst": "zstd", "list.json": "json_array", "both.json.gz": "gzip+json_array",
        "lines.json": None, "misnamed.jsonl": "gzip", "deep.json.gz": "gzip+json_array",
    }  # fmt: skip
    assert everything_in(paths.inbox) == everything_in(paths.unpacking) == []


async def test_a_rejected_container_fails_as_it_was_dropped_and_can_be_retried(paths: RealmPaths) -> None:
    """C6: corrected in place or not, `retry` brings it through the gates again."""
    broken = json.dumps([*ROWS[:7], {"messages": []}], indent=2).encode()
    (paths.inbox / "x.json").write_bytes(broken)
    (paths.inbox / "x.jsonl.meta.json").write_text('{"generator_id": "a"}')
    await take_everything(paths)
    failed = paths.lane("failed")
    assert everything_in(failed) == ["x.json", "x.json.meta.json", "x.json.rejection.json"]
    assert (failed / "x.json").read_bytes() == broken
    report = json.loads((failed / "x.json.rejection.json").read_text())
    line = broken[: broken.index(b'"messages": []')].count(b"\n")
    assert report["reasons"][0] | {"line": line, "item": 8, "field": "messages"} == report["reasons"][0]
    assert report["container"]["kind"] == "json_array"
    board = QuestBoard(paths)
    board.retry("x.json", now=NOW)
    await take_everything(paths)
    assert everything_in(failed) == ["x.json", "x.json.meta.json", "x.json.rejection.json"]
    (failed / "x.json").write_bytes(PRETTY)
    board.retry("x.json", now=NOW)
    await take_everything(paths)
    assert everything_in(failed) == []
    (quest,) = QuestBoard(paths).quests("normal")
    assert (quest.name, quest.record.lineage["generator_id"]) == ("x.jsonl", "a")


async def test_a_container_that_is_still_being_copied_is_waited_for(paths: RealmPaths) -> None:
    """C2: only the gates can tell that compressed data are cut off; they give it the time of an incomplete line."""
    packed = gzip.compress(LINES)
    (paths.inbox / "x.jsonl.gz").write_bytes(packed[:-20])
    (paths.inbox / "y.json").write_bytes(PRETTY[:-20])
    (paths.inbox / "z.jsonl").write_bytes(LINES)
    async with running_intake(paths) as intake:
        await wait_until_async(lambda: intake.waiting == 2 and len(QuestBoard(paths).quests("normal")) == 1)
        assert everything_in(paths.inbox) == ["x.jsonl.gz", "y.json"]
        (paths.inbox / "x.jsonl.gz").write_bytes(packed)
        await wait_until_async(lambda: len(QuestBoard(paths).quests("normal")) == 2)
        assert QuestBoard(paths).quests("failed") == []
    await take_everything(paths, incomplete_seconds=0.2)
    (failed,) = QuestBoard(paths).quests("failed")
    assert (failed.name, "cut off" in str(failed.record.reason)) == ("y.json", True)


async def test_a_file_that_finds_no_room_stays_while_others_go_on(paths: RealmPaths) -> None:
    (paths.inbox / "x.jsonl.gz").write_bytes(gzip.compress(LINES))
    (paths.inbox / "z.jsonl").write_bytes(LINES)
    paths.unpacking.write_text("a file where the folder should be")
    async with running_intake(paths) as intake:
        await wait_until_async(lambda: len(QuestBoard(paths).quests("normal")) == 1 and intake.waiting == 1)
        assert everything_in(paths.inbox) == ["x.jsonl.gz"]
        paths.unpacking.unlink()
        await wait_until_async(lambda: len(QuestBoard(paths).quests("normal")) == 2)


async def test_what_was_unpacked_for_a_realm_that_died_is_swept_at_the_start(paths: RealmPaths) -> None:
    paths.unpacking.mkdir()
    (paths.unpacking / "0123456789abcdef.jsonl").write_bytes(LINES)
    async with running_intake(paths):
        await wait_until_async(lambda: everything_in(paths.unpacking) == [])


async def test_nothing_that_was_unpacked_goes_before_the_moves_that_begin_there_are_finished(paths: RealmPaths) -> None:
    """Law 1: while the disk of the model is gone, the lanes are not swept."""
    paths.unpacking.mkdir()
    (paths.unpacking / "0123456789abcdef.jsonl").write_bytes(LINES)
    (paths.inbox / "z.jsonl").write_bytes(LINES)
    is_swept = False
    async with running_intake(paths, is_swept=lambda: is_swept) as intake:
        await wait_until_async(lambda: intake.waiting == 1)
        assert everything_in(paths.unpacking) == ["0123456789abcdef.jsonl"]
        assert everything_in(paths.inbox) == ["z.jsonl"]
        is_swept = True
        await wait_until_async(lambda: everything_in(paths.unpacking) == [] and everything_in(paths.inbox) == [])


async def test_a_scribe_killed_after_unpacking_leaves_nothing_behind(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALM_CRASH_AT", "unpack.written")
    (paths.inbox / "x.json.gz").write_bytes(gzip.compress(PRETTY))
    async with running_intake(paths) as intake:
        await wait_until_async(lambda: intake._told_strange, timeout=30)
        (told,) = intake._told_strange.values()
        assert "ended its worker process twice: killed by SIGKILL" in told
        assert everything_in(paths.base / "queue") == []
        monkeypatch.delenv("REALM_CRASH_AT")
        await wait_until_async(lambda: everything_in(paths.inbox) == [], timeout=30)
    assert everything_in(paths.base / "queue") == ["normal/x.jsonl", "normal/x.jsonl.meta.json"]


async def test_a_file_that_the_gates_die_of_each_time_is_rejected_in_the_end(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C8: fails closed; two workers a minute would die of it for months."""
    monkeypatch.setenv("REALM_CRASH_AT", "unpack.written")
    monkeypatch.setattr("arena.doorstep.intake.DEATHS", 1)
    (paths.inbox / "x.json.gz").write_bytes(gzip.compress(PRETTY))
    async with running_intake(paths):
        await wait_until_async(lambda: everything_in(paths.inbox) == [], timeout=30)
    (failed,) = QuestBoard(paths).quests("failed")
    assert (failed.name, failed.record.outcome) == ("x.json.gz", "rejected")
    assert "killed by SIGKILL" in str(failed.record.reason)
    assert everything_in(paths.unpacking) == []


class NoRoom(Files):
    """A queue that takes nothing."""

    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))


async def test_what_was_unpacked_of_a_file_goes_when_the_file_is_taken_away(paths: RealmPaths) -> None:
    """A23: whoever deletes it to make room must not be left with its rows, which lie where nobody looks."""
    packed = paths.inbox / "x.jsonl.gz"
    packed.write_bytes(gzip.compress(LINES))
    async with running_intake(paths, files=NoRoom()) as intake:
        await wait_until_async(lambda: intake._blockade.is_up)
        assert len(everything_in(paths.unpacking)) == 1
        packed.unlink()
        await wait_until_async(lambda: everything_in(paths.unpacking) == [])


@pytest.mark.parametrize("point", ["unpack.judged", "move.linked", "move.original"])
async def test_after_a_real_kill_the_next_start_loses_nothing_and_doubles_nothing(
    paths: RealmPaths, point: str
) -> None:
    """C1, C4: SIGKILL between unpacking, admission and the removal of the packed file."""
    (paths.inbox / "x.json.gz").write_bytes(gzip.compress(PRETTY))
    (paths.inbox / "x.jsonl.meta.json").write_text('{"generator_id": "a"}')
    intake = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.arena.doorstep.one_intake", str(paths.base), cwd=CHECKOUT,
        env=os.environ | {"REALM_CRASH_AT": f"{point}:1"},
    )  # fmt: skip
    assert await asyncio.wait_for(intake.wait(), 60) == -signal.SIGKILL
    await take_everything(paths)
    board = QuestBoard(paths)
    (quest,) = board.quests("normal")
    assert rows_in(quest.path) == ROWS
    assert quest.record.lineage["generator_id"] == "a"
    assert everything_in(paths.base / "queue") == ["normal/x.jsonl", "normal/x.jsonl.meta.json"]
    assert everything_in(paths.inbox) == []
