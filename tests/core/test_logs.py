"""Logs: JSON lines that a program can read, within a byte budget whatever happens."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.logs import FILES_PER_FAMILY, configure_logging
from core.paths import CHECKOUT

logger = logging.getLogger("tests.core.logs")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Put the root logger back as pytest set it up."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_record_becomes_one_json_line_with_its_extras(tmp_path: Path) -> None:
    configure_logging(tmp_path / "logs", "realm", max_bytes_total=1 << 20)
    logger.info("quest %s is done", "x.jsonl", extra={"event": "quest_done", "rows": 20, "loss": float("nan")})
    (entry,) = lines(tmp_path / "logs" / "realm.jsonl")
    assert list(entry)[:4] == ["time", "level", "logger", "message"]
    assert entry["time"].endswith("+00:00")
    del entry["time"]
    assert entry == {
        "level": "info",
        "logger": "tests.core.logs",
        "message": "quest x.jsonl is done",
        "event": "quest_done",
        "rows": 20,
        "loss": None,
    }


def test_a_traceback_is_in_the_line(tmp_path: Path) -> None:
    configure_logging(tmp_path, "realm", max_bytes_total=1 << 20)
    try:
        raise ValueError("broken\nin two lines")
    except ValueError:
        logger.exception("it failed", extra={"event": "failed"})
    (entry,) = lines(tmp_path / "realm.jsonl")
    assert "ValueError: broken\nin two lines" in entry["exc"]


def test_text_and_objects_that_are_not_json_still_make_a_line(tmp_path: Path) -> None:
    # pytest's own handlers would send the lone surrogate from a parallel worker to its master, which fails.
    logging.getLogger().handlers = []
    configure_logging(tmp_path, "realm", max_bytes_total=1 << 20)
    logger.info("name \ud800 ☃", extra={"event": "odd", "path": tmp_path})
    (entry,) = lines(tmp_path / "realm.jsonl")
    assert entry["path"] == str(tmp_path)
    assert "☃" in entry["message"]


def test_the_family_of_files_stays_within_its_budget(tmp_path: Path) -> None:
    """B24, A22: a log named by its start date never rotated; ours turns over by size and the oldest goes."""
    budget = 64_000
    configure_logging(tmp_path, "realm", max_bytes_total=budget)
    for number in range(2_000):
        logger.info("line %s %s", number, "x" * 100, extra={"event": "filler"})
    family = sorted(tmp_path.iterdir())
    assert len(family) == FILES_PER_FAMILY
    assert sum(file.stat().st_size for file in family) <= budget
    assert lines(tmp_path / "realm.jsonl")[-1]["message"].startswith("line 1999 ")


def test_a_second_run_goes_on_in_the_same_file_and_still_rotates(tmp_path: Path) -> None:
    """B24: neither restart nor midnight starts a file of its own."""
    for run in range(3):
        configure_logging(tmp_path, "realm", max_bytes_total=1 << 20)
        logger.info("run %s", run, extra={"event": "run"})
    assert [entry["message"] for entry in lines(tmp_path / "realm.jsonl")] == ["run 0", "run 1", "run 2"]


def test_debug_records_of_libraries_stay_out(tmp_path: Path) -> None:
    configure_logging(tmp_path, "realm", max_bytes_total=1 << 20)
    logger.debug("noise")
    assert lines(tmp_path / "realm.jsonl") == []


def test_a_log_that_cannot_be_written_is_told_once_and_stops_nobody(tmp_path: Path) -> None:
    code = f"""
import logging
from pathlib import Path
from core.logs import configure_logging
configure_logging(Path({str(tmp_path)!r}), "full", max_bytes_total=1 << 20)
for number in range(50):
    logging.getLogger("x").info("line %s", number)
print("went on")
"""
    (tmp_path / "full.jsonl").symlink_to("/dev/full")
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=30, env={**os.environ}
    )
    assert ended.stdout == "went on\n"
    assert ended.stderr.count("cannot be written") == 1
    assert "No space left" in ended.stderr
