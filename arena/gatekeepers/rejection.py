"""Telling people why a file was not let in: lines for the terminal, and `x.jsonl.rejection.json` beside the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from arena.gatekeepers.scrolls.containers import describe_kind
from arena.quest_names import report_of
from core.files import DISK, Files

HINT = (
    "Correct what is named here and drop the file into inbox/ again under any name; "
    "`realm validate FILE` checks it without queueing it."
)

ABOUT_THE_FILE = ("schema_id", "format", "recognised_by", "rows", "content_hash", "size_bytes", "container", "tokens")


def write_rejection(
    data_file_in_failed: Path, verdict: Mapping[str, Any], *, now: datetime, files: Files = DISK
) -> Path:
    """Write the report beside a rejected file, durably; returns its path.

    `verdict` has the keys of `inspect_file`; the trainer's refusals, which know of no file, lack those about it.
    """
    report = {
        "file": data_file_in_failed.name,
        "rejected_at": now.isoformat(),
        "reasons": verdict["errors"],
        "total_reasons": verdict["total_errors"],
        "warnings": verdict["warnings"],
        "total_warnings": verdict["total_warnings"],
        "hint": HINT,
        **{key: verdict[key] for key in ABOUT_THE_FILE if key in verdict},
        "validators": verdict["validators"],
    }
    target = report_of(data_file_in_failed)
    files.write_json(target, report, durable=True)
    return target


def describe_verdict(verdict: Mapping[str, Any]) -> list[str]:
    """The verdict in lines for people, the judgement first and the shape of the file last, where it is known."""
    rows = _count(verdict["rows"], "row")
    warnings = _count(verdict["total_warnings"], "warning")
    if verdict["accepted"]:
        first = f"accepted: {rows} of {verdict['schema_id']}, {warnings}"
    else:
        first = f"rejected: {_count(verdict['total_errors'], 'error')} and {warnings} in {rows}"
    container = verdict.get("container")
    return [
        f"{first}, read from {describe_kind(container['kind'])}" if container else first,
        *describe_findings(verdict["errors"], verdict["total_errors"]),
        *describe_findings(verdict["warnings"], verdict["total_warnings"], "warning: "),
        *_describe_shape(verdict),
    ]


def _describe_shape(verdict: Mapping[str, Any]) -> list[str]:
    shape = verdict.get("format")
    return [f"recognised as {shape} by {verdict['recognised_by']}"] if shape and verdict["schema_id"] else []


def describe_findings(findings: list[dict[str, Any]], total: int, prefix: str = "") -> Iterator[str]:
    """A line for each of the findings that were kept, and one for those that were only counted."""
    for finding in findings:
        place = [f"line {finding['line']}"] if finding["line"] is not None else []
        place += [f"item {finding['item']}"] if finding.get("item") is not None else []
        place += [finding["field"]] if finding["field"] else []
        yield f"{prefix}{', '.join(place)}{': ' if place else ''}{finding['message']}"
    if total > len(findings):
        yield f"{prefix}… and {total - len(findings)} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
