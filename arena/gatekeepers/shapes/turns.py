"""Reading a list of messages one by one, so that every message at fault is named and not only the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from arena.gatekeepers.shapes.row import FaultError, Message, Report, Row
from arena.gatekeepers.shapes.values import describe_value


@dataclass(slots=True)
class Turns:
    """The messages of a row while it is being read, each with its place."""

    messages: list[Message] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, role: str, content: str, place: str) -> None:
        self.messages.append({"role": role, "content": content})
        self.places.append(place)

    def row(self, line: int, system_prompt: str | None, tools: list[dict[str, Any]] | None = None) -> Row:
        return Row(line, self.messages, None, system_prompt, tools, self.places)


@dataclass(frozen=True)
class Wording:
    """How a shape writes a plain message: an object of two strings, the speaker's role and the text."""

    role_key: str
    text_key: str
    roles: Mapping[str, str]
    """Roles as they are written, and what they are called in a `Message`."""

    def read(self, message: Any) -> Message | None:
        """A message with nothing else to it; None for any other one."""
        if type(message) is not dict or len(message) != 2:
            return None
        role, text = message.get(self.role_key), message.get(self.text_key)
        if type(role) is not str or type(text) is not str or role not in self.roles:
            return None
        return {"role": self.roles[role], "content": text}


def read_each(
    value: Any, column: str, wording: Wording, read: Callable[[Any, str], Message], report: Report
) -> Turns | None:
    """The messages in `value`: by `wording` where that suffices, the others by `read(message, place)`.

    None when errors were told: those that `read` raises as `FaultError`, or that of a value that is no such list.
    """
    if type(value) is not list or not value:
        found = "an empty list" if value == [] else describe_value(value)
        report.error(column, f"'{column}' must be a list with at least one message, found {found}")
        return None
    turns = Turns()
    for index, message in enumerate(value):
        try:
            turns.messages.append(wording.read(message) or read(message, f"{column}[{index}]"))
            turns.places.append(f"{column}[{index}].{wording.text_key}")
        except FaultError as fault:
            report.error(fault.place, str(fault))
    return turns if len(turns.messages) == len(value) else None
