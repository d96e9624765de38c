"""Exit codes and global options of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from core.cli import Interrupted, global_options_first, run
from core.errors import NotFound


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
