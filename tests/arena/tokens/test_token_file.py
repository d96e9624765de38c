"""A quest's tokens in a file: what goes in comes out, and what is not whole is as good as absent."""

from __future__ import annotations

import errno
from array import array
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.tokens import token_file
from arena.tokens.token_file import NotStored, TokenFileWriter, TokenPile, Tokens, Version, open_tokens
from core.files import Files

KEY = "ab" * 32
VERSION = Version(1234, 5_678_900_000_000_000_000)

ROW = st.tuples(st.integers(1, 1 << 40), st.lists(st.tuples(st.integers(0, (1 << 31) - 1), st.booleans()), max_size=9))


def write(path: Path, rows: list[tuple[int, list[tuple[int, bool]]]]) -> None:
    with TokenFileWriter(path, max_bytes=1 << 20) as writer:
        for line, tokens in rows:
            writer.add(line, [token for token, _ in tokens], [learned for _, learned in tokens])
        writer.finish(KEY, VERSION)


def told(tokens: Tokens) -> list[tuple[int, list[tuple[int, bool]]]]:
    """The rows as they were given."""
    codes, rows = list(tokens.codes), []
    for line, length in zip(tokens.lines, tokens.lengths, strict=True):
        row, codes = codes[:length], codes[length:]
        rows.append((line, [(~code, True) if code < 0 else (code, False) for code in row]))
    assert codes == []
    return rows


@given(rows=st.lists(ROW, min_size=1, max_size=6), buffered=st.sampled_from([1, 12, 1 << 20]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_comes_out_as_it_went_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[tuple[int, list[tuple[int, bool]]]], buffered: int
) -> None:
    monkeypatch.setattr(token_file, "BUFFER_BYTES", buffered)
    path = tmp_path / "cache" / "q.tokens"
    write(path, rows)
    found = open_tokens(path, KEY)
    assert found is not None
    assert found.source == VERSION
    assert told(found) == rows
    assert [file.name for file in path.parent.iterdir()] == ["q.tokens"]


ROWS = [(1, [(5, False), (6, True), (7, True)]), (3, [(1, False), (2, True)])]


def test_a_file_that_is_cut_short_or_has_one_wrong_bit_anywhere_is_not_used(tmp_path: Path) -> None:
    """A torn write, or rot, must not become a lesson."""
    path = tmp_path / "q.tokens"
    write(path, ROWS)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert open_tokens(path, KEY) is None, length
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert open_tokens(path, KEY) is None, place
    path.write_bytes(whole)
    assert open_tokens(path, KEY) is not None
    assert open_tokens(path, "cd" * 32) is None, "a file under a wrong name is that of other tokens"


def test_who_has_it_open_reads_on_after_it_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "q.tokens"
    write(path, ROWS)
    found = open_tokens(path, KEY)
    path.unlink()
    assert found is not None
    assert told(found) == ROWS


def test_what_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    with TokenFileWriter(tmp_path / "q.tokens", max_bytes=1 << 20) as writer:
        writer.add(1, [1], [True])
    assert list(tmp_path.iterdir()) == []


def add_until_refused(writer: TokenFileWriter, rows: list[tuple[int, list[tuple[int, bool]]]]) -> int:
    """How many rows were given to it, the refused one included."""
    for number, (line, tokens) in enumerate(rows, start=1):
        try:
            writer.add(line, [token for token, _ in tokens], [learned for _, learned in tokens])
        except NotStored:
            return number
    raise AssertionError("it took all of them")


class FullDisk(Files):
    """Takes so many writes, the last of them in part, and then no more."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, fd: int, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            super().write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)


@pytest.mark.parametrize("writes", [1, 2, 4])
def test_on_a_full_disk_the_rows_so_far_are_taken_back_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    monkeypatch.setattr(token_file, "BUFFER_BYTES", 8)
    rows = [(line, [(line, False), (10 * line, True)]) for line in range(1, 9)]
    with TokenFileWriter(tmp_path / "q.tokens", max_bytes=1 << 20, files=FullDisk(writes)) as writer:
        taken = add_until_refused(writer, rows)
        pile = writer.take_back()
    assert told(pile.tokens()) == rows[:taken]
    assert list(tmp_path.iterdir()) == []


def test_more_than_it_may_hold_is_refused_and_can_be_taken_back(tmp_path: Path) -> None:
    with TokenFileWriter(tmp_path / "q.tokens", max_bytes=400) as writer:
        rows = [(line, [(line, True)] * 4) for line in range(1, 100)]
        taken = add_until_refused(writer, rows)
        assert told(writer.take_back().tokens()) == rows[:taken]
    assert 5 < taken < 20


def test_no_folder_to_write_into_is_no_trouble(tmp_path: Path) -> None:
    """A `queue/` that has vanished with its disk is not made again."""
    with pytest.raises(NotStored):
        TokenFileWriter(tmp_path / "queue" / ".tokens" / "q.tokens", max_bytes=1 << 20)
    assert not (tmp_path / "queue").exists()


def test_a_pile_in_memory_has_the_same_shape() -> None:
    pile = TokenPile()
    for line, tokens in ROWS:
        pile.add(line, [token for token, _ in tokens], [learned for _, learned in tokens])
    assert told(pile.tokens()) == ROWS
    assert isinstance(pile.tokens().codes, array)
