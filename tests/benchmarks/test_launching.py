"""A benchmark that is told to end clears away what it has started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.paths import CHECKOUT

BENCHMARK = """
import subprocess, sys
from benchmarks.launching import run_benchmark

def main() -> None:
    started = subprocess.Popen(["sleep", "100"], start_new_session=True)
    try:
        print(started.pid, flush=True)
        sys.stdin.read()
    finally:
        started.kill()
        started.wait()

run_benchmark(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_benchmark_that_is_told_to_end_leaves_nothing_running(number: signal.Signals) -> None:
    """B21: `timeout` ended the benchmark alone, and its realm went on."""
    with subprocess.Popen(
        [sys.executable, "-c", BENCHMARK], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        started = Path("/proc") / process.stdout.readline().strip()
        assert started.is_dir()
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert not started.exists()
