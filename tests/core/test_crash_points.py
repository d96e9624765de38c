"""Crash points: they kill the process as SIGKILL does, where they are asked to and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from core.paths import CHECKOUT

THREE_POINTS = """
import sys
from core.crash_points import crash_point
for place in ("first", "second", "second", "third"):
    crash_point(place)
    print(place, flush=True)
sys.exit(7)
"""


def run_with(crash_at: str | None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ} if crash_at is None else {**os.environ, "REALM_CRASH_AT": crash_at}
    return subprocess.run(
        [sys.executable, "-c", THREE_POINTS], cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=30
    )


def test_without_the_variable_nothing_happens() -> None:
    ended = run_with(None)
    assert (ended.returncode, ended.stdout.split()) == (7, ["first", "second", "second", "third"])


@pytest.mark.parametrize(
    ("crash_at", "reached"),
    [
        ("second", ["first"]),
        ("third, first", []),
        ("second:2", ["first", "second"]),
        ("nowhere,third", ["first", "second", "second"]),
    ],
)
def test_the_process_dies_by_sigkill_at_the_named_point(crash_at: str, reached: list[str]) -> None:
    ended = run_with(crash_at)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == reached


@pytest.mark.parametrize("crash_at", ["seco", "second:3", "first:2", ""])
def test_other_names_and_other_counts_do_not_kill(crash_at: str) -> None:
    assert run_with(crash_at).returncode == 7
