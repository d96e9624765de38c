"""Crash points: they kill the process as SIGKILL does, where they are asked to and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


# --- the list ---------------------------------------------------------------------------------------------------------

LIFE = """
import sys
from core.crash_points import crash_point
for step, place in enumerate(("first", "second", "second", "third"), start=1):
    crash_point(place, passing=step if sys.argv[1:] else None)
    print(place, flush=True)
sys.exit(7)
"""


def live(places: Path, *arguments: str) -> tuple[int, list[str]]:
    """One life in the presence of a list: how it ended, and the places that it has passed."""
    ended = subprocess.run(
        [sys.executable, "-c", LIFE, *arguments], cwd=CHECKOUT, env={**os.environ, "REALM_CRASH_LIST": str(places)},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    return ended.returncode, ended.stdout.split()


def test_each_life_takes_the_first_line_that_it_comes_to_and_what_nobody_passes_is_left(tmp_path: Path) -> None:
    places = tmp_path / "places.txt"
    places.write_text("second:2\nfirst\nthird\nnowhere\n")
    killed = -signal.SIGKILL
    assert [live(places) for _ in range(4)] == [
        (killed, ["first", "second"]),
        (killed, []),
        (killed, ["first", "second", "second"]),
        (7, ["first", "second", "second", "third"]),
    ]
    assert places.read_text() == "nowhere\n"


def test_a_count_may_be_that_of_the_caller(tmp_path: Path) -> None:
    places = tmp_path / "places.txt"
    places.write_text("second:3")
    assert live(places, "numbered") == (-signal.SIGKILL, ["first", "second"])
    assert places.read_text() == ""


def test_a_list_that_is_not_there_kills_nobody(tmp_path: Path) -> None:
    assert live(tmp_path / "none.txt")[0] == 7


def test_of_many_that_pass_at_once_one_takes_each_line(tmp_path: Path) -> None:
    places = tmp_path / "places.txt"
    places.write_text("first\n" * 3)
    with ThreadPoolExecutor(8) as lives:
        ends = list(lives.map(lambda _: live(places)[0], range(8)))
    assert sorted(ends) == [-signal.SIGKILL] * 3 + [7] * 5


def test_the_last_act_is_what_a_kill_amid_a_write_leaves(tmp_path: Path) -> None:
    """The next start finds half a line, as after a power cut."""
    file = tmp_path / "journal.jsonl"
    append = (
        f"import pathlib, core.files as f; f.DISK.append_line(pathlib.Path({str(file)!r}), b'12345678', durable=True)"
    )
    environment = {**os.environ, "REALM_CRASH_AT": "append.torn.journal.jsonl:2"}
    command = [sys.executable, "-c", f"{append}; {append}"]
    ended = subprocess.run(command, cwd=CHECKOUT, env=environment, timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"12345678\n1234"
