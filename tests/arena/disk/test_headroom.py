"""The reserve takes what it says, frees it when it is wanted, and never stays half."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from arena.disk.headroom import HEADROOM, Headroom, make_way
from core.files import Files
from tests.arena.disk.small_files import MEGABYTE, SmallDisk


def test_the_reserve_takes_real_room_and_gives_all_of_it_back(tmp_path: Path) -> None:
    headroom = Headroom(tmp_path, 3 * MEGABYTE)
    assert headroom.held_bytes == 0
    assert headroom.take()
    assert headroom.take()
    assert 3 * MEGABYTE <= headroom.held_bytes < 4 * MEGABYTE, "its blocks, not its length, are what the disk gives"
    headroom.give_up()
    headroom.give_up()
    assert list(tmp_path.iterdir()) == []


def test_a_reserve_of_another_size_is_taken_anew(tmp_path: Path) -> None:
    """After a change of `disk.reserve_megabytes`."""
    assert Headroom(tmp_path, 3 * MEGABYTE).take()
    assert Headroom(tmp_path, MEGABYTE).take()
    assert Headroom(tmp_path, MEGABYTE).held_bytes < 2 * MEGABYTE


def test_what_does_not_fit_is_not_held_in_part(tmp_path: Path) -> None:
    """A23: a disk filled by half a reserve has gained nothing from it."""

    class Filling(Files):
        def allocate(self, fd: int, size: int) -> None:
            os.write(fd, b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert not Headroom(tmp_path, MEGABYTE, Filling()).take()
    assert list(tmp_path.iterdir()) == []


def test_a_realm_that_starts_on_a_full_disk_gives_its_reserve_up_first(tmp_path: Path) -> None:
    """A23: without room for the log and the database there is no realm that could tell what is wrong."""
    headroom, disk = Headroom(tmp_path, MEGABYTE), SmallDisk(free=100 * MEGABYTE)
    assert headroom.take()
    make_way(tmp_path, disk)
    assert (tmp_path / HEADROOM).exists()
    disk.others = disk.size
    make_way(tmp_path, disk)
    assert not (tmp_path / HEADROOM).exists()
    make_way(tmp_path / "nowhere", disk)
