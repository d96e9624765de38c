"""A trainer that is told to end before it has anybody to tell: it leaves a clean exit record and no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from arena.protocol import SOCKET_VARIABLE
from arena.supervision.exit_record import read_exit_record
from core.paths import CHECKOUT, RealmPaths
from tests.waiting import wait_until


def heeds_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own for SIGTERM by now."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_sigterm_before_the_daemon_answers_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B13: it ended with a traceback and 1, and was told as a crash."""
    paths = RealmPaths(tmp_path / "realm")
    paths.create()
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as first:
        listening.bind("s")
        listening.listen(0)
        first.connect("s")  # the next one waits for ever
        child = subprocess.Popen(
            [sys.executable, "-m", "arena.trainer", "--base-dir", str(paths.base)],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), SOCKET_VARIABLE: "s"},
            stderr=subprocess.PIPE,
        )
        try:
            wait_until(lambda: heeds_sigterm(child.pid), timeout=60)
            child.terminate()
            said = child.communicate(timeout=60)[1]
        finally:
            child.kill()
    assert (child.returncode, said) == (0, b"")
    record = read_exit_record(paths.current_model, child.pid)
    assert record is not None
    assert (record.clean, record.reason) == (True, "signal SIGTERM while it was loading")
