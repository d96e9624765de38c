"""Quest files for the tests of the gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.row_reader import Row, read_rows


def chat(answer: str = "7", question: str = "3+4?", **columns: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **columns}


def lines(*rows: Any) -> bytes:
    """Rows as JSONL; bytes stand for themselves."""
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def judge(path: Path, data: bytes) -> dict[str, Any]:
    path.write_bytes(data)
    return inspect_file(str(path))


def learned(path: Path, *rows: Any) -> list[Row]:
    """The rows as the trainer reads them, once the gates let them in without a word."""
    verdict = judge(path, lines(*rows))
    assert (verdict["accepted"], verdict["warnings"]) == (True, []), verdict
    return list(read_rows(path, verdict["schema_id"]))


def told(verdict: dict[str, Any], kind: str = "errors") -> list[tuple[int | None, str | None]]:
    """Line and field of each finding."""
    return [(finding["line"], finding["field"]) for finding in verdict[kind]]
