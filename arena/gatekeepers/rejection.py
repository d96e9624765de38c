"""Telling people why a file was not let in: lines for the terminal, and `x.jsonl.rejection.json` beside the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from core.files import DISK, Files

REJECTION_SUFFIX = ".rejection.json"
HINT = (
    "Correct what is named here and drop the file into inbox/ again under any name; "
    "`realm validate FILE` checks it without queueing it."
)

ABOUT_THE_FILE = ("schema_id", "rows", "content_hash", "size_bytes")


def rejection_of(data_file: Path) -> Path:
    return data_file.with_name(data_file.name + REJECTION_SUFFIX)


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
    target = rejection_of(data_file_in_failed)
    files.write_json(target, report, durable=True)
    return target


def describe_verdict(verdict: Mapping[str, Any]) -> list[str]:
    """The verdict in lines for people, the judgement first."""
    rows = _count(verdict["rows"], "row")
    warnings = _count(verdict["total_warnings"], "warning")
    if verdict["accepted"]:
        first = f"accepted: {rows} of {verdict['schema_id']}, {warnings}"
    else:
        first = f"rejected: {_count(verdict['total_errors'], 'error')} and {warnings} in {rows}"
    return [
        first,
        *_describe(verdict["errors"], verdict["total_errors"], ""),
        *_describe(verdict["warnings"], verdict["total_warnings"], "warning: "),
    ]


def _describe(findings: list[dict[str, Any]], total: int, prefix: str) -> Iterator[str]:
    for finding in findings:
        place = [f"line {finding['line']}"] if finding["line"] is not None else []
        place += [finding["field"]] if finding["field"] else []
        yield f"{prefix}{', '.join(place)}{': ' if place else ''}{finding['message']}"
    if total > len(findings):
        yield f"{prefix}… and {total - len(findings)} more"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
