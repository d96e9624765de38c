"""What every shape of row is read into, and how a shape tells what it finds on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

Message = dict[str, Any]
"""One turn, as transformers hands it to chat templates: `role` (system, user, assistant or tool) and `content` (text).

An assistant's may have `tool_calls` (`{"type": "function", "function": {"name", "arguments"}}` with the arguments as an
object, and `id` where the file has one), `reasoning_content`, and `weight` 0 when the turn is not to be learned. A
tool's may have `name` and `tool_call_id`.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One row to learn: `messages` for a chat, `text` for a completion; the other one is None."""

    line: int
    """Line of the file, from 1."""
    messages: list[Message] | None
    text: str | None
    system_prompt: str | None
    """The row's own system prompt; None when it has none."""
    tools: list[dict[str, Any]] | None = None
    """The functions that may be called, `{"type": "function", "function": …}` each; None when there are none."""
    places: list[str] = field(default_factory=list, compare=False, repr=False)
    """Where in the row each message stands, in the words of its shape, such as `conversations[2].value`."""

    def as_mapping(self) -> dict[str, Any]:
        """The row as `Renderer.render_many` takes it."""
        return {
            "messages": self.messages,
            "text": self.text,
            "system_prompt": self.system_prompt,
            "tools": self.tools,
        }


def is_learned(message: Message) -> bool:
    """Whether the turn is one to learn."""
    return bool(message["role"] == "assistant" and message.get("weight", 1))


class FaultError(ValueError):
    """A part of a row that cannot be learned: where it stands and what is wrong with it."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


class Report(Protocol):
    """Hears what a shape has to say about a row. A row of which an error was told is not learned."""

    def error(self, place: str, message: str) -> None: ...

    def warn(self, place: str, message: str) -> None: ...

    def ignored(self, place: str, message: str) -> None:
        """Something in the file that the realm does not use; told once for each `place`."""


class FirstFault:
    """A report that keeps the first error and lets the rest pass, for rows that were judged before."""

    def __init__(self) -> None:
        self.told = ""

    def error(self, place: str, message: str) -> None:
        self.told = self.told or f": {place}: {message}"

    def warn(self, place: str, message: str) -> None:
        pass

    def ignored(self, place: str, message: str) -> None:
        pass
