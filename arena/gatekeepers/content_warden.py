"""Gate 2, the ContentWarden at level QUICK: every row of a file, as it comes in (spec 1.2).

This is the thorough way, which puts a name to everything; `plain_rows` spares it the rows without remarks. A row is
judged as it will be learned: by what the reader of its shape makes of it.
"""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.findings import Findings
from arena.gatekeepers.quest_specs import QuestSpec
from arena.gatekeepers.scroll_inspector import ScrollInspector
from arena.gatekeepers.scrolls.json_keys import structure_fault
from arena.gatekeepers.shapes.messages import is_plain
from arena.gatekeepers.shapes.reading import read_row
from arena.gatekeepers.shapes.row import Message, Row, is_learned
from arena.gatekeepers.shapes.values import describe_value, is_blank

VALIDATOR_NAME = "data_validator"
VALIDATOR_VERSION = "1.1.0"

MOST_BLANK_ANSWERS = 0.05
"""Share of a file's answers that may be blank; with more of them it is refused (C16)."""


class ContentWarden:
    """Checks the rows of one file, whose spec `inspector` has resolved."""

    def __init__(self, inspector: ScrollInspector, findings: Findings) -> None:
        self._inspector = inspector
        self._findings = findings
        self._answers = 0
        self._blank_answers = 0

    def check_keys(self, line: int, text: bytes, row: Any) -> None:
        """Report duplicate keys and too deep nesting in `row`, decoded from `text`."""
        if fault := structure_fault(text, row):
            self._findings.error(line, *fault)

    def check(self, line: int, row: Any) -> None:
        """Report what is wrong with a decoded row."""
        if type(row) is not dict:
            self._findings.error(line, None, f"a row must be a JSON object, found {describe_value(row)}")
            return
        spec = self._inspector.reading_spec
        if spec is None or not self._inspector.check_columns(line, row):
            return
        read = read_row(line, row, spec, _RowReport(line, self._inspector, self._findings))
        if read is None:
            return
        if self._inspector.may_grow and not is_plain(row["messages"], read):
            self._inspector.grow()
        if read.messages is None:
            self._judge_text(read)
        else:
            self._judge_chat(read, read.messages, spec)

    def finish(self, plain_answers: int) -> None:
        """Judge the file as a whole; `plain_answers` are those of rows that went the fast way, none of them blank."""
        answers = self._answers + plain_answers
        if self._blank_answers > MOST_BLANK_ANSWERS * answers:
            self._findings.error(
                None,
                None,
                f"{self._blank_answers} of {answers} answers say nothing but white space "
                f"({self._blank_answers / answers:.1%}); more than {MOST_BLANK_ANSWERS:.0%} are refused",
            )

    def _judge_text(self, row: Row) -> None:
        if not row.text:
            self._findings.error(row.line, "text", "'text' is empty: nothing to learn")
        elif row.text.isspace():
            self._findings.warn(row.line, "text", "'text' is only white space")

    def _judge_chat(self, row: Row, messages: list[Message], spec: QuestSpec) -> None:
        calls: set[str | None] = set()
        for message, place in zip(messages, row.places, strict=True):
            if message["role"] == "assistant":
                calls = _calls_of(message)
                self._judge_answer(row.line, message, place)
            elif message["role"] == "tool":
                self._judge_result(row.line, message, place, calls)
            else:
                calls = set()
        roles = {message["role"] for message in messages}
        if "assistant" not in roles:
            self._findings.error(row.line, spec.answer_column, "no assistant turn: nothing to learn")
        elif not any(is_learned(message) for message in messages):
            reason = "nothing to learn: no assistant turn is left whose weight is 1"
            self._findings.error(row.line, spec.answer_column, reason)
        if "user" not in roles:
            self._findings.warn(row.line, spec.required_columns[0], "no user turn")

    def _judge_answer(self, line: int, message: Message, place: str) -> None:
        if not is_learned(message):
            return
        self._answers += 1
        if is_blank(message["content"]) and "tool_calls" not in message:
            self._blank_answers += 1
            self._findings.warn(line, place, "the assistant says nothing but white space")

    def _judge_result(self, line: int, message: Message, place: str, calls: set[str | None]) -> None:
        answered = message.get("tool_call_id")
        if not calls:
            self._findings.warn(line, place, "the result of a tool without a call before it")
        elif answered is not None and answered not in calls and None not in calls:
            self._findings.warn(
                line, place, f"the result of a call {answered!r:.60} that the turn before it did not make"
            )


class _RowReport:
    """Tells what the reader of a shape says about one row."""

    def __init__(self, line: int, inspector: ScrollInspector, findings: Findings) -> None:
        self._line = line
        self._inspector = inspector
        self._findings = findings

    def error(self, place: str, message: str) -> None:
        self._findings.error(self._line, place, message)

    def warn(self, place: str, message: str) -> None:
        self._findings.warn(self._line, place, message)

    def ignored(self, place: str, message: str) -> None:
        self._inspector.note_ignored(self._line, place, message)


def _calls_of(message: Message) -> set[str | None]:
    """Ids of the calls that an assistant turn makes; None stands for a call without one."""
    if "tool_calls" in message:
        return {call.get("id") for call in message["tool_calls"]}
    return {None} if "<tool_call>" in message["content"] else set()
