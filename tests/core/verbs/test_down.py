"""`realm down` ends a realm, and nothing else that happens to hold the same lock."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from core.cli import Choices
from core.errors import Conflict, Unavailable
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.verbs.down import _ask_to_end, down


def test_a_verb_in_another_terminal_is_neither_signalled_nor_called_a_realm(paths: RealmPaths) -> None:
    """It ended a rewind amid the copy of a model; a signal here would end this very test."""
    app = typer.Typer()
    app.command()(down)
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": "realm rewind 100"})
    try:
        done = CliRunner().invoke(app, obj=Choices(paths=paths, as_json=False))
    finally:
        lock.release()
    assert isinstance(done.exception, Conflict)
    assert "`realm rewind 100` (pid " in str(done.exception)
    assert not paths.stop_file.exists()


def test_a_realm_of_another_user_that_cannot_be_ended_is_no_bug() -> None:
    """`realm down` of a realm that root had started ended in a bug report."""
    with pytest.raises(Unavailable, match=r"cannot be told to end: /sys/\.stop: .*another user's"):
        _ask_to_end(RealmPaths(Path("/sys")), {"pid": None})
