"""One decoded row, whatever its shape, into the `Row` that is rendered: for the gates and for the trainer alike."""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.quest_specs import QuestSpec
from arena.gatekeepers.shapes.alpaca import read_alpaca
from arena.gatekeepers.shapes.messages import read_messages
from arena.gatekeepers.shapes.prompt_completion import read_prompt_completion
from arena.gatekeepers.shapes.row import FaultError, Report, Row
from arena.gatekeepers.shapes.sharegpt import read_sharegpt
from arena.gatekeepers.shapes.tool_calls import read_tools
from arena.gatekeepers.shapes.values import optional_text, required_text


def read_row(line: int, row: dict[str, Any], spec: QuestSpec, report: Report) -> Row | None:
    """Read a row that has the required columns of `spec`; None when errors were told to `report`."""
    try:
        return _read(line, row, spec, report)
    except FaultError as fault:
        report.error(fault.place, str(fault))
        return None


def _read(line: int, row: dict[str, Any], spec: QuestSpec, report: Report) -> Row | None:
    match spec.kind:
        case "chat_sft" | "openai_chat":
            return _read_chat(line, row, spec, report)
        case "sharegpt":
            return read_sharegpt(line, row, report)
        case "alpaca":
            return read_alpaca(line, row, report)
        case "prompt_completion":
            return read_prompt_completion(line, row, report)
        case "completion":
            return Row(line, None, required_text(row, "text", "text"), None)


def _read_chat(line: int, row: dict[str, Any], spec: QuestSpec, report: Report) -> Row | None:
    plain = spec.kind == "chat_sft"
    turns = read_messages(row["messages"], "messages", report, plain=plain)
    prompt = optional_text(row, "system_prompt") if "system_prompt" in spec.columns else None
    tools = None if plain else read_tools(row.get("tools"), "tools") or read_tools(row.get("functions"), "functions")
    return turns.row(line, prompt, tools) if turns is not None else None
