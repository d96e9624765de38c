"""How full a disk is, is told cheaply, and never waited for."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from core.errors import Unavailable
from tests.waiting import wait_until
from vault.room import Room, Usage


def test_the_room_of_a_disk_is_looked_at_once_in_a_while(tmp_path: Path) -> None:
    looks: list[Path] = []

    def look(folder: Path) -> Usage:
        looks.append(folder)
        return shutil.disk_usage(folder)

    room = Room(tmp_path, look, fresh_seconds=60)
    told = room.told()
    assert (room.told(), looks) == (told, [tmp_path])
    assert set(told) == {"free_gb", "total_gb", "used_pct"}
    assert Room(tmp_path, look, fresh_seconds=0).told()["total_gb"] == told["total_gb"]
    with pytest.raises(Unavailable, match=r"gone cannot be looked at: No such file or directory\. Is it mounted\?"):
        Room(tmp_path / "gone").told()


ASKED = 200
"""Times that a mount that is dead is asked for: where each of them waited, it took 40 s."""


def test_a_dead_mount_keeps_nobody_waiting_and_is_seen_when_it_is_back(tmp_path: Path) -> None:
    back = threading.Event()

    def look(folder: Path) -> Usage:
        back.wait(20)
        return shutil.disk_usage(folder)

    def hanging() -> int:
        return sum(thread.name == f"knock: {tmp_path}" for thread in threading.enumerate())

    room = Room(tmp_path, look, answer_seconds=0.2)
    begun = time.monotonic()
    for _ in range(ASKED):
        with pytest.raises(Unavailable, match="has not answered within"):
            room.told()
    assert time.monotonic() - begun < 0.5 * ASKED * 0.2
    assert hanging() == 1
    back.set()
    wait_until(lambda: hanging() == 0, message="the look never ended")
    assert room.told()["free_gb"]
