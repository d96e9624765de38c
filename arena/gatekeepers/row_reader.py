"""The rows of a quest file as the trainer reads them: what the gates accepted, row for row, in file order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.gatekeepers.json_faults import explain_fault
from arena.gatekeepers.json_lines import UNDECODABLE, decode, lines_of, read_blocks
from arena.gatekeepers.quest_specs import QuestSpec, is_header, spec_named
from core.errors import InvalidInput


@dataclass(frozen=True)
class Row:
    """One row to learn: `messages` for a chat, `text` for a completion."""

    line: int
    """Line of the file, from 1."""
    messages: list[dict[str, str]] | None
    """`{"role", "content"}` each; other keys of a message are left out."""
    text: str | None
    system_prompt: str | None
    """The row's own system prompt; None when it has none."""


def read_rows(path: Path, schema_id: str) -> Iterator[Row]:
    """The rows of a file that follows `schema_id`, without blank lines and header; memory stays bounded.

    A file that the gates accepted never fails here. Raises `InvalidInput` for an unknown spec at once, and
    while reading for the first row that is none; `OSError` when the file cannot be read.
    """
    return _rows(path, spec_named(schema_id))


def _rows(path: Path, spec: QuestSpec) -> Iterator[Row]:
    first = True
    with path.open("rb", buffering=0) as stream:
        for block in read_blocks(stream):
            if block.too_long:
                raise _broken(path, block.first_line, f"is too long ({block.too_long} bytes)")
            for line, text in lines_of(block):
                try:
                    value = decode(text)
                except UNDECODABLE:
                    raise _broken(path, line, explain_fault(text)) from None
                if first and isinstance(value, dict) and is_header(value):
                    first = False
                    continue
                first = False
                row = _as_row(line, value, spec)
                if row is None:
                    raise _broken(path, line, f"is no row of {spec.schema_id}")
                yield row


def _as_row(line: int, value: Any, spec: QuestSpec) -> Row | None:
    if not isinstance(value, dict):
        return None
    if spec.kind == "completion":
        text = value.get("text")
        return Row(line, None, text, None) if isinstance(text, str) else None
    prompt = value.get("system_prompt") if "system_prompt" in spec.columns else None
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages or not (prompt is None or isinstance(prompt, str)):
        return None
    turns = [_as_message(message) for message in messages]
    whole = [turn for turn in turns if turn is not None]
    return Row(line, whole, None, prompt) if len(whole) == len(turns) else None


def _as_message(message: Any) -> dict[str, str] | None:
    if not isinstance(message, dict):
        return None
    role, content = message.get("role"), message.get("content")
    return {"role": role, "content": content} if isinstance(role, str) and isinstance(content, str) else None


def _broken(path: Path, line: int, what: str) -> InvalidInput:
    return InvalidInput(f"{path}: line {line} {what}.", hint="`realm validate` names all that is wrong.", line=line)
