"""The cache of tokens: bounded, the longest unused go first, and whatever is wrong with it is only a miss."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from arena.tokens import token_cache
from arena.tokens.token_cache import BLOCK_BYTES, SPARE_BYTES, TokenCache
from arena.tokens.token_file import NotStored, Version
from core.files import Files


def key(number: int) -> str:
    return f"{number:064x}"


def put(cache: TokenCache, number: int, tokens: int = 1) -> None:
    entry = cache.entry(key(number))
    with entry.begin(10) as writer:
        writer.add(1, [number] * tokens, [True] * tokens)
        entry.keep(writer, Version(10, 0))


def held(cache: TokenCache, *numbers: int) -> list[int]:
    return [number for number in numbers if (cache.folder / f"{key(number)}.tokens").exists()]


def age(cache: TokenCache, number: int, seconds: int) -> None:
    """As if it had been used that long ago."""
    path = cache.folder / f"{key(number)}.tokens"
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_the_longest_unused_go_first_and_the_budget_holds(tmp_path: Path) -> None:
    """Law 9: nothing grows without bound."""
    cache = TokenCache(tmp_path / "tokens", 4 * BLOCK_BYTES)
    for number in range(1, 5):
        put(cache, number)
        age(cache, number, 100 - number)
    assert cache.entry(key(1)).find() is not None, "what is used is young again"
    put(cache, 5)
    assert held(cache, 1, 2, 3, 4, 5) == [1, 3, 4, 5]


def test_what_other_processes_add_is_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = (TokenCache(tmp_path / "tokens", 4 * BLOCK_BYTES) for _ in range(2))
    put(mine, 1)
    for number in range(2, 5):
        put(theirs, number)
        age(theirs, number, 100)
    monkeypatch.setattr(token_cache, "COUNT_SECONDS", 0.0)
    put(mine, 5)
    assert len(held(mine, 1, 2, 3, 4, 5)) == 4
    assert held(mine, 1, 5) == [1, 5]


def test_a_quest_larger_than_half_of_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path / "tokens", 1000)
    with pytest.raises(NotStored):
        cache.entry(key(1)).begin(501)
    with pytest.raises(NotStored):
        put(cache, 1, tokens=125)
    assert list(cache.folder.iterdir()) == []
    put(cache, 1, tokens=50)


class SmallDisk(Files):
    def __init__(self, free: int) -> None:
        self.free = free

    def statvfs(self, folder: Path) -> os.statvfs_result:
        found = super().statvfs(folder)
        return os.statvfs_result((1, 1, found[2], self.free, self.free, *found[5:]))


def test_a_disk_with_little_room_gets_all_of_it_back(tmp_path: Path) -> None:
    """A cache that fills the disk would stop what it is to speed up."""
    disk = SmallDisk(2 * SPARE_BYTES)
    cache = TokenCache(tmp_path / "tokens", 1 << 20, files=disk)
    put(cache, 1)
    disk.free = SPARE_BYTES - 1
    with pytest.raises(NotStored, match="little room"):
        cache.entry(key(2)).begin(10)
    cache.trim()
    assert held(cache, 1) == []


def test_tokens_that_are_more_than_their_text_do_not_take_the_last_room(tmp_path: Path) -> None:
    """A byte of text may become a token of four bytes."""
    cache = TokenCache(tmp_path / "tokens", 1 << 20, files=SmallDisk(SPARE_BYTES + 1000))
    put(cache, 1, tokens=100)
    with pytest.raises(NotStored):
        put(cache, 2, tokens=250)
    assert held(cache, 1, 2) == [1]


def test_a_cache_of_nothing_is_emptied(tmp_path: Path) -> None:
    put(TokenCache(tmp_path / "tokens", 1 << 20), 1)
    off = TokenCache(tmp_path / "tokens", 0)
    off.trim()
    assert held(off, 1) == []
    with pytest.raises(NotStored):
        off.entry(key(1)).begin(1)


def test_a_damaged_file_is_a_miss_and_goes(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path / "tokens", 1 << 20)
    put(cache, 1)
    path = cache.folder / f"{key(1)}.tokens"
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.entry(key(1)).find() is None
    assert not path.exists()
    assert cache.entry(key(2)).find() is None
    (cache.folder / f"{key(3)}.tokens").mkdir()
    assert cache.entry(key(3)).find() is None, "whatever lies there"


@pytest.mark.parametrize(("trouble", "left"), [(errno.EIO, []), (errno.ENOMEM, [1])], ids=["rotten", "out of memory"])
def test_a_file_on_a_rotten_sector_is_a_miss_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: int, left: list[int]
) -> None:
    """Read through the map, it killed the trainer with SIGBUS, and the next one at the same place."""
    cache = TokenCache(tmp_path / "tokens", 1 << 20)
    put(cache, 1, tokens=1000)

    def pread(fd: int, size: int, offset: int) -> bytes:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(os, "pread", pread)
    assert cache.entry(key(1)).find() is None
    assert held(cache, 1) == left
