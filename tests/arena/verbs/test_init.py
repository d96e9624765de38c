"""`realm init`: what it leaves behind, and that a second time changes nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import typer
from typer.testing import CliRunner, Result

from arena.verbs.init import init
from core.cli import Choices
from core.paths import RealmPaths


def run_init(paths: RealmPaths) -> Result:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=paths, as_json=False)

    app.command()(init)
    return CliRunner().invoke(app, ["init"])


def test_init_makes_a_private_token_once_and_does_not_show_it(tmp_path: Path) -> None:
    """Law 8: it is there before anybody binds beyond loopback."""
    paths = RealmPaths(tmp_path)
    first = run_init(paths)
    assert first.exit_code == 0, first.output
    token = paths.token_file.read_text()
    assert stat.S_IMODE(paths.token_file.stat().st_mode) == 0o600
    assert token.strip() not in first.output
    assert run_init(paths).exit_code == 0
    assert paths.token_file.read_text() == token


def test_init_goes_on_where_a_token_cannot_be_kept(tmp_path: Path) -> None:
    """A realm on loopback needs none; `up` beyond loopback says what is wrong with this one."""
    paths = RealmPaths(tmp_path)
    paths.token_file.write_text("a-token-that-everybody-may-read")
    paths.token_file.chmod(0o644)
    assert run_init(paths).exit_code == 0
    assert paths.config_file.exists()
