"""What the content checks look at: one row of the sample, its texts, and its answers with what was asked."""

from __future__ import annotations

from dataclasses import dataclass

from arena.gatekeepers.row_reader import Row
from arena.gatekeepers.shapes.row import is_learned
from arena.gatekeepers.shapes.values import is_blank


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that is learned."""

    place: str
    """Where in the row it stands, such as `messages[2].content`."""
    text: str
    asked: str
    """What the user said since the answer before it; empty when nothing, as in a row of text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of the sample."""

    number: int
    """Of the row, from 1, as `realm inspect --row` counts."""
    line: int
    roles: list[str]
    """Who speaks, turn by turn; empty in a row of text."""
    texts: list[tuple[str, str]]
    """Place and words of every turn, or of the text."""
    answers: list[Answer]
    """Without turns that only call tools."""


def sample_of(number: int, row: Row) -> Sample:
    """The row as the checks look at it."""
    if row.messages is None:
        text = row.text or ""
        return Sample(number, row.line, [], [("text", text)], [Answer("text", text, "")])
    answers: list[Answer] = []
    asked: list[str] = []
    for message, place in zip(row.messages, row.places, strict=True):
        if message["role"] == "user":
            asked.append(message["content"])
        elif message["role"] == "assistant":
            only_calls = "tool_calls" in message and is_blank(message["content"])
            if is_learned(message) and not only_calls:
                answers.append(Answer(place, message["content"], "\n".join(asked)))
            asked = []
    texts = [(place, message["content"]) for message, place in zip(row.messages, row.places, strict=True)]
    return Sample(number, row.line, [message["role"] for message in row.messages], texts, answers)
