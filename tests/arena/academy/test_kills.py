"""The school is killed wherever it can be: no number is skipped or given twice, and the contents stay the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from core.paths import CHECKOUT
from tests.arena.academy.conftest import Founder

KILLED_AT = ("school.planned", "school.written", "school.dropped")


def live(base: Path, crash_at: str) -> int:
    command = [sys.executable, "-m", "tests.arena.academy.one_life", str(base), "1"]
    environment = {**os.environ, "REALM_CRASH_AT": crash_at}
    return subprocess.run(command, cwd=CHECKOUT, env=environment, timeout=120).returncode


async def test_a_killed_school_goes_on_with_the_very_quest_it_was_making(tmp_path: Path, found_class: Founder) -> None:
    """E13, B17: one life after the other dies of the first quest, each a little later."""
    base = tmp_path / "killed"
    assert [live(base, place) for place in KILLED_AT] == [-signal.SIGKILL] * len(KILLED_AT)
    assert not list(base.rglob("*.part")), "it lies in the inbox by now"
    survivor, undisturbed = found_class("killed"), found_class("undisturbed")
    await survivor.live_on(2)
    await undisturbed.live_on(2)
    assert survivor.contents() == undisturbed.contents()
    files = [path.name for path in base.rglob("train_*.jsonl")]
    assert len(files) == len(set(files)) == survivor.records().last_number(), "no file twice, and none is missing"
