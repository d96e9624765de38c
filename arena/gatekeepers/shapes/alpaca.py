"""Alpaca: `instruction`, `input` and `output`, with `system` and `history` as LLaMA-Factory has them.

The user's turn is the instruction and, in a new line, the input where there is one; it is rendered as a chat, without
the wording around it of the first Alpaca sets. `history` is a list of earlier (question, answer) pairs, and its answers
are learned like the output, as LLaMA-Factory does.
"""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.shapes.row import FaultError, Report, Row
from arena.gatekeepers.shapes.turns import Turns
from arena.gatekeepers.shapes.values import describe_value, is_blank, optional_text, required_text


def read_alpaca(line: int, row: dict[str, Any], report: Report) -> Row:
    turns = Turns()
    _add_history(row.get("history"), turns)
    instruction = required_text(row, "instruction", "instruction")
    further = optional_text(row, "input")
    question = f"{instruction}\n{further}" if instruction and further else instruction or further or ""
    if is_blank(question):
        report.warn("instruction", "the instruction is empty")
    turns.add("user", question, "instruction")
    turns.add("assistant", required_text(row, "output", "output"), "output")
    return turns.row(line, optional_text(row, "system"))


def _add_history(history: Any, turns: Turns) -> None:
    if history is None:
        return
    if type(history) is not list:
        raise FaultError("history", f"'history' must be a list of pairs, found {describe_value(history)}")
    for index, pair in enumerate(history):
        place = f"history[{index}]"
        if type(pair) is not list or len(pair) != 2:
            found = f"a list of {len(pair)}" if type(pair) is list else describe_value(pair)
            raise FaultError(place, f"a turn of the history must be a list of question and answer, found {found}")
        for number, role in enumerate(("user", "assistant")):
            if type(pair[number]) is not str:
                found = describe_value(pair[number])
                raise FaultError(f"{place}[{number}]", f"question and answer must be strings, found {found}")
            turns.add(role, pair[number], f"{place}[{number}]")
