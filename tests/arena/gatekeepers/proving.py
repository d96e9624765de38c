"""Quest files for the tests of STANDARD, measured with the seedling's tokenizer: one token a byte."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.measures.standard_gate import prove_file
from arena.gatekeepers.measures.yardstick import Yardstick

MAX_LENGTH = 128
FRAME = 21
"""Tokens that ChatML puts around a question and an answer: 19 before and between, the stop token, a newline."""


def yardstick(**changes: Any) -> dict[str, Any]:
    values = {
        "tokenizer": "seedling",
        "profile": "chatml",
        "system_prompt": None,
        "max_length": MAX_LENGTH,
        "held_out": "",
    }
    return asdict(Yardstick(**{**values, **changes}))


def prove(path: Path, data: bytes, *, sketches: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Let QUICK in what it lets in, and measure it."""
    path.write_bytes(data)
    quick = inspect_file(str(path))
    assert quick["accepted"], quick["errors"]
    return prove_file(str(path), quick["schema_id"], quick["rows"], yardstick(**changes), sketches=sketches)


def messages_of(verdict: dict[str, Any], kind: str = "errors") -> list[str]:
    return [finding["message"] for finding in verdict[kind]]
