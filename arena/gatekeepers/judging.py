"""The gates over several small files in one job of the scribe."""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.gate import inspect_file


def judge_files(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`inspect_file` with each of these arguments; one verdict for each, in the same order."""
    return [inspect_file(**job) for job in jobs]
