"""Exit codes and global options of the command line."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from core.cli import Interrupted, global_options_first, listed, run
from core.errors import NotFound
from core.paths import CHECKOUT


@pytest.fixture(autouse=True)
def own_interrupts() -> Iterator[None]:
    """`run` takes SIGINT over; pytest wants it back."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer(pretty_exceptions_enable=False)

    @made.callback()
    def choose(json: bool = typer.Option(False, "--json")) -> None:
        """One option, so that the verbs are a group."""

    @made.command()
    def well() -> None:
        typer.echo("done")

    @made.command()
    def missing() -> None:
        raise NotFound("There is no dragon.", hint="Look in the cave.")

    @made.command()
    def broken() -> None:
        raise ZeroDivisionError("a bug")

    @made.command()
    def interrupted() -> None:
        raise Interrupted

    return made


@pytest.mark.parametrize(
    ("verb", "code"), [("well", 0), ("missing", 1), ("nothing", 2), ("broken", 3), ("interrupted", 130)]
)
def test_each_ending_has_its_exit_code(app: typer.Typer, verb: str, code: int) -> None:
    assert run(app, [verb]) == code


def test_an_expected_failure_is_one_sentence(app: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    run(app, ["missing"])
    assert capsys.readouterr().err.strip() == "There is no dragon. Look in the cave."


def test_with_json_a_failure_is_json(app: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    run(app, ["missing", "--json"])
    assert '"error": "not_found"' in capsys.readouterr().out


def test_what_a_file_is_called_does_not_reach_the_terminal_as_a_command(
    app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.command()
    def read() -> None:
        raise NotFound("There is no file \x1b[2J.")

    run(app, ["read"])
    assert capsys.readouterr().err == "There is no file \\x1b[2J.\n"


def test_what_the_system_refuses_is_told_with_its_place_and_is_no_bug(
    app: typer.Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    @app.command()
    def write() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/x/y")

    @app.command()
    def lose() -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y")

    assert run(app, ["write"]) == 1
    assert capsys.readouterr().err == "The system refused. /x/y: Permission denied.\n"
    assert run(app, ["lose"]) == 3


TABLE = "from core.shell.console import table_console; table_console().print('x\\n' * 9)"
LINES = """
import sys, typer
from core.cli import run
app = typer.Typer()
app.command()(lambda: [typer.echo("x") for _ in range(9)] and None)
sys.exit(run(app, []))
"""


@pytest.mark.parametrize("code", [TABLE, LINES], ids=["table", "lines"])
def test_what_is_piped_into_head_is_no_failure(code: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, stdout=writer, stderr=subprocess.PIPE, timeout=30
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_a_long_list_is_cut_and_says_so() -> None:
    assert listed(["a", "b"]) == ["  a", "  b"]
    assert listed([str(number) for number in range(67)])[-2:] == ["  29", "  and 37 more, see --json"]


def test_a_bug_leaves_a_report_and_no_traceback(app: typer.Typer, capsys: pytest.CaptureFixture[str]) -> None:
    run(app, ["broken"])
    told = capsys.readouterr().err
    assert "Traceback" not in told
    report = Path(told.strip().rsplit(" ", 1)[1])
    assert "ZeroDivisionError: a bug" in report.read_text()
    assert "command: realm broken" in report.read_text()


def test_global_options_move_to_the_front_and_nothing_behind_a_double_dash_does() -> None:
    words = ["quest", "list", "--json", "--base-dir", "/x", "--", "--json"]
    assert global_options_first(words) == ["--json", "--base-dir", "/x", "quest", "list", "--", "--json"]
    assert global_options_first(["status", "--base-dir=/x"]) == ["--base-dir=/x", "status"]
