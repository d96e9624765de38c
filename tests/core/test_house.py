"""The first steps of the command: whose code it runs, and what Ctrl-C means before there is a verb."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.house import exit_code_of_interrupt
from core.paths import CHECKOUT


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("status", 130),
        ("", 130),
        ("up", 0),
        ("--base-dir up status", 130),
        ("--json --base-dir=/x play", 0),
        ("up --quiet", 0),
        ("up -d", 130),
        ("quest show up", 130),
    ],
)
def test_ctrl_c_ends_in_order_only_what_it_is_meant_to_end(line: str, code: int) -> None:
    assert exit_code_of_interrupt(line.split()) == code


def enter(path: list[Path], then: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    code = f"from core.house import enter; enter(['status']); {then}"
    return subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=env,
        cwd=path[0],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_folder_of_one_of_our_names_hides_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "arena").mkdir()
    assert enter([tmp_path, CHECKOUT]).returncode == 0


def test_a_package_that_hides_one_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "arena").mkdir()
    (tmp_path / "arena" / "__init__.py").touch()
    refused = enter([tmp_path, CHECKOUT])
    assert refused.returncode == 1
    assert f"finds the package 'arena' in {tmp_path / 'arena'} and not in {CHECKOUT / 'arena'}" in refused.stderr
    assert "PYTHONPATH" in refused.stderr


def test_ctrl_c_while_the_command_is_loaded_is_quiet(tmp_path: Path) -> None:
    """Most of the time of a verb goes into imports; Python prints a traceback when it is interrupted there."""
    ended = enter([CHECKOUT], f"import os; os.kill(os.getpid(), {int(signal.SIGINT)}); print('went on')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(("before", "code"), [("SIG_IGN", 0), ("default_int_handler", -signal.SIGINT)])
def test_an_interrupt_amid_the_last_steps_prints_nothing_and_undoes_no_end_in_order(before: str, code: int) -> None:
    """A further Ctrl-C, after everything was saved, gave a traceback and exit code 1."""
    script = (
        "import atexit, os, signal\nfrom core.house import leave\n"
        f"atexit.register(os.kill, os.getpid(), signal.SIGINT)\nsignal.signal(signal.SIGINT, signal.{before})\nleave(0)"
    )
    ended = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (code, b"")
