"""What was measured of a model: kept, read again, and no loss when it is gone."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from arena.pass_size import PASS_SIZE_NAME, PassSize, keep_pass_size, lower_pass_size, read_pass_size
from core.files import Files

SIZE = PassSize(machine="cpu, 2 threads, fp32", tokens=1024, pass_tokens=40)


class FullDisk(Files):
    def write(self, fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_was_measured_is_read_again(tmp_path: Path) -> None:
    keep_pass_size(tmp_path, SIZE)
    assert read_pass_size(tmp_path) == SIZE


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"tokens": "many"}', b"\xff\xfe"], ids=["empty", "torn", "odd", "no-text"]
)
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    assert read_pass_size(tmp_path) is None
    (tmp_path / PASS_SIZE_NAME).write_bytes(content)
    assert read_pass_size(tmp_path) is None


def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    """A28: training ended where the disk refused a file that it could do without."""
    keep_pass_size(tmp_path, SIZE, files=FullDisk())
    assert read_pass_size(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_what_did_not_fit_is_not_tried_again_with_the_next_quest(tmp_path: Path) -> None:
    """D7: each quest ran out of memory anew, at the cost of a trainer on a CPU."""
    lower_pass_size(tmp_path, 512)
    assert list(tmp_path.iterdir()) == []
    keep_pass_size(tmp_path, SIZE)
    lower_pass_size(tmp_path, 512)
    lower_pass_size(tmp_path, 2048)
    kept = read_pass_size(tmp_path)
    assert kept is not None
    assert (kept.machine, kept.tokens, kept.pass_tokens) == (SIZE.machine, 512, SIZE.pass_tokens)
