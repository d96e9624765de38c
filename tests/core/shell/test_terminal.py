"""The terminal of a long-running process: it may be stopped or gone, and nobody waits for it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from core.shell.terminal import LONGEST_BACKLOG, Terminal, printable


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_lines_come_in_their_order_and_close_waits_for_them(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    terminal = Terminal(writer)
    terminal.say("größer ☃")
    terminal.say("broken \udcff name")
    terminal.close()
    assert os.read(reader, 100).decode() == "größer ☃\nbroken \\udcff name\n"


def test_a_stopped_terminal_holds_up_nobody(pipe: tuple[int, int]) -> None:
    """B28: Ctrl-S, or a reader that does not read, blocks every print; no loop of the daemon may stand behind it."""
    reader, writer = pipe
    terminal = Terminal(writer)
    for number in range(3 * LONGEST_BACKLOG):
        terminal.say(f"{number} " + "x" * 1000)
    terminal.close(0.1)
    assert os.read(reader, 2) == b"0 "
    os.close(reader)  # lets the writer go


def test_a_terminal_that_is_gone_breaks_nothing(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    terminal = Terminal(writer)
    for number in range(2 * LONGEST_BACKLOG):
        terminal.say(str(number))
    terminal.close()


def test_control_characters_of_a_file_name_are_spelled_out() -> None:
    assert printable("a\x1b[2Jb\r\x9bc\nd\te") == "a\\x1b[2Jb\\x0d\\x9bc\nd\te"


def test_bytes_of_a_file_name_that_are_no_text_are_spelled_out() -> None:
    """A strict terminal refuses them, which once ended `realm logs` as a bug."""
    name = os.fsdecode(b"h\xc3\xa9ro\xff.jsonl")
    assert printable(name).encode() == "h\u00e9ro\\udcff.jsonl".encode()
