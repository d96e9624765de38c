"""Quest files for the acceptance tests: rows of small talk, as many as wanted, each different."""

from __future__ import annotations

import json
from pathlib import Path


def chat_rows(count: int, start: int = 0) -> list[str]:
    """JSON lines of short chats; `start` keeps the rows of two files apart."""
    return [_row(number) for number in range(start, start + count)]


def write_quest(path: Path, rows: int | list[str], start: int = 0) -> Path:
    """Write a quest of `rows` rows (a number, or the lines themselves)."""
    lines = chat_rows(rows, start) if isinstance(rows, int) else rows
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _row(number: int) -> str:
    chat = [
        {"role": "user", "content": f"What comes after {number}?"},
        {"role": "assistant", "content": f"{number + 1} comes after {number}."},
    ]
    return json.dumps({"messages": chat})
