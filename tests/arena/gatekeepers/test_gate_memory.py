"""The gates take no more memory for a large file than for a small one, whatever it is packed in."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.big_file import make_file
from core.paths import CHECKOUT

JUDGE = """
import json, re, sys
from arena.gatekeepers.gate import inspect_file

def megabytes(name):
    return int(re.search(name + r":\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1000

small, large, unpack_to = sys.argv[1:]
assert inspect_file(small, unpack_to)["accepted"]
before = megabytes("VmRSS")
verdict = inspect_file(large, unpack_to)
print(json.dumps([verdict, megabytes("VmHWM") - before]))
"""


@pytest.mark.parametrize(("form", "limit"), [("jsonl", 10), ("json.gz", 20)])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, form: str, limit: int) -> None:
    """The scribe must stay below 400 MB for gigabytes."""
    small, large = tmp_path / f"small.{form}", tmp_path / f"large.{form}"
    make_file(small, 100, 150_000)
    size = make_file(large, 40_000, 60_000_000)
    command = [sys.executable, "-c", JUDGE, str(small), str(large), str(tmp_path / "rows.jsonl")]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=100)
    verdict, growth = json.loads(done.stdout)
    assert (verdict["accepted"], verdict["rows"]) == (True, 40_000)
    assert verdict["size_bytes"] >= size > 55_000_000
    assert growth < limit, growth
