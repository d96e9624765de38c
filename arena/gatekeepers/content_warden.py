"""Gate 2, the ContentWarden at level QUICK: every row of a file, as it comes in (spec 1.2).

This is the thorough way, which puts a name to everything; `plain_rows` spares it the rows without remarks.
"""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.findings import Findings
from arena.gatekeepers.json_faults import TOO_DEEP
from arena.gatekeepers.json_keys import TooDeepError, duplicate_key, keys_held, keys_written
from arena.gatekeepers.quest_specs import QuestSpec
from arena.gatekeepers.scroll_inspector import ScrollInspector

VALIDATOR_NAME = "data_validator"
VALIDATOR_VERSION = "1.0.0"

ROLES = ("system", "user", "assistant")
MESSAGE_KEYS = frozenset({"role", "content"})
JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


class ContentWarden:
    """Checks the rows of one file, whose spec `inspector` has resolved."""

    def __init__(self, inspector: ScrollInspector, findings: Findings) -> None:
        self._inspector = inspector
        self._findings = findings

    def check_keys(self, line: int, text: bytes, row: Any) -> None:
        """Report duplicate keys and too deep nesting in `row`, decoded from `text`."""
        try:
            held = keys_held(row)
        except TooDeepError:
            self._findings.error(line, None, f"is {TOO_DEEP}")
            return
        if keys_written(text) != held:
            self._findings.error(line, None, f"the key {duplicate_key(text)!r:.60} stands twice in one object")

    def check(self, line: int, row: Any) -> None:
        """Report what is wrong with a decoded row."""
        spec = self._inspector.spec
        if type(row) is not dict:
            self._findings.error(line, None, f"a row must be a JSON object, found {describe_value(row)}")
        elif spec is not None and self._inspector.check_columns(line, row):
            if spec.kind == "chat_sft":
                self._check_chat(line, row, spec)
            else:
                self._check_text(line, row["text"])

    def _check_text(self, line: int, text: Any) -> None:
        if type(text) is not str:
            self._findings.error(line, "text", f"'text' must be a string, found {describe_value(text)}")
        elif not text:
            self._findings.error(line, "text", "'text' is empty: nothing to learn")
        elif text.isspace():
            self._findings.warn(line, "text", "'text' is only white space")

    def _check_chat(self, line: int, row: dict[str, Any], spec: QuestSpec) -> None:
        prompt = row.get("system_prompt")
        if "system_prompt" in spec.columns and prompt is not None and type(prompt) is not str:
            found = describe_value(prompt)
            self._findings.error(line, "system_prompt", f"'system_prompt' must be a string, found {found}")
        messages = row["messages"]
        if type(messages) is not list or not messages:
            found = "an empty list" if messages == [] else describe_value(messages)
            self._findings.error(
                line, "messages", f"'messages' must be a list with at least one message, found {found}"
            )
            return
        roles = [self._check_message(line, f"messages[{index}]", message) for index, message in enumerate(messages)]
        if "assistant" not in roles:
            self._findings.error(line, "messages", "no assistant turn: nothing to learn")
        if "user" not in roles:
            self._findings.warn(line, "messages", "no user turn")

    def _check_message(self, line: int, place: str, message: Any) -> str | None:
        """Report on one message; returns its role when that is a known one."""
        if type(message) is not dict:
            found = describe_value(message)
            self._findings.error(line, place, f"a message must be an object with role and content, found {found}")
            return None
        for key in message.keys() - MESSAGE_KEYS:
            self._inspector.note_ignored(line, f"messages[].{key}", f"the message key {key!r:.60} is ignored")
        role, content = message.get("role"), message.get("content")
        if role not in ROLES:
            what = f"role {role!r:.60} is not one of" if "role" in message else "'role' is missing; it must be one of"
            self._findings.error(line, f"{place}.role", f"{what} {', '.join(ROLES)}")
            role = None
        if type(content) is not str:
            what = f"must be a string, found {describe_value(content)}" if "content" in message else "is missing"
            self._findings.error(line, f"{place}.content", f"'content' {what}")
        elif role == "assistant" and (not content or content.isspace()):
            self._findings.warn(line, f"{place}.content", "the assistant says nothing but white space")
        return role


def describe_value(value: Any) -> str:
    """The JSON type of a decoded value, for an error message."""
    return JSON_NAMES.get(type(value), "a number")
