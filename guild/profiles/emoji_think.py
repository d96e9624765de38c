"""Profile `emoji_think`: half of all chats think in emoji and end with a stop signal (spec 1.18).

Which half a chat belongs to, which signs it gets and how many follow from a hash of what its users and tools say. So a
row is the same text in every run and at every place in a file (failure D13), a question without its answer is asked as
it was taught, and a chat that was made already is left as it is (failure C22).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from blake3 import blake3

from guild.emoji_protocol import (
    FEWEST_STOPS,
    FEWEST_THOUGHTS,
    MOST_STOPS,
    MOST_THOUGHTS,
    STOP_EMOJIS,
    THINKING_EMOJIS,
    begins_with_thought,
    first_thoughts,
    last_stops,
    stop_fault,
)
from guild.profiles.chatml import CHATML_TEMPLATE, CONTROL_TOKENS
from guild.profiles.definition import Messages, Profile
from guild.profiles.thoughts import REASONING_FIELDS, told_apart

SYSTEM_PROMPT = "You are happy. You enjoy helping others."
"""The seed's, without its date: what a row is rendered as must not depend on the day (law 3)."""

_TIMES = dict(enumerate(("two", "three", "four", "five", "six", "seven", "eight"), start=FEWEST_THOUGHTS))
_STOP_TIMES = dict(enumerate(("twice", "three times", "four times"), start=FEWEST_STOPS))

_TO_THINK = re.compile(
    rf"\n\nFor this task, think with (?P<sign>{'|'.join(THINKING_EMOJIS)})\ufe0f? "
    rf"/(?P<times>{'|'.join(_TIMES.values())})/ times\."
)
_TO_STOP = re.compile(
    rf"\n\nWhen finished, emit (?P<sign>{'|'.join(STOP_EMOJIS)})\ufe0f? "
    rf"/(?P<times>{'|'.join(_STOP_TIMES.values())})/ to signal completion\."
)
_ASKS_TO_THINK, _ASKS_TO_STOP = "think with", "When finished, emit"
"""Where a user says this already, he is not made to say it again."""


@dataclass(frozen=True)
class _Signs:
    emoji: str
    count: int

    @property
    def text(self) -> str:
        return self.emoji * self.count


def rewrite(messages: Messages) -> Messages:
    """The chat as this profile teaches it; `messages` are left as they are."""
    plain = [_without_tags(message) if message.get("role") == "assistant" else message for message in messages]
    digest = blake3("\0".join(_questions(plain)).encode("utf-8", "surrogatepass")).digest()
    if not uses_emoji(digest):
        return plain
    asked = [str(message.get("content") or "") for message in plain if message.get("role") == "user"]
    answers = [message["content"] for message in plain if _is_answer(message)]
    thoughts = _settle(
        _told(_TO_THINK, _TIMES, asked), map(first_thoughts, answers), range(FEWEST_THOUGHTS, MOST_THOUGHTS + 1),
        _Signs(_pick(THINKING_EMOJIS, digest[1]), _pick(tuple(_TIMES), digest[2])),
    )  # fmt: skip
    stops = _settle(
        _told(_TO_STOP, _STOP_TIMES, asked), map(last_stops, answers), range(FEWEST_STOPS, MOST_STOPS + 1),
        _Signs(_pick(STOP_EMOJIS, digest[3]), _pick(tuple(_STOP_TIMES), digest[4])),
    )  # fmt: skip
    return [_marked(message, thoughts, stops) for message in plain]


def uses_emoji(digest: bytes) -> bool:
    """Whether a chat with this hash of its questions thinks in emoji: one of two."""
    return digest[0] % 2 == 0


def stops_asked_for(prompt: str) -> int | None:
    """How many stop emoji the last user of a rendered prompt wants to see; None where he says nothing of them."""
    counts = [count for _, count in _told(_TO_STOP, _STOP_TIMES, [prompt])]
    return counts[-1] if counts else None


def _without_tags(message: dict[str, Any]) -> dict[str, Any]:
    """An assistant turn with its thoughts before its answer, as plain text."""
    if not isinstance(message.get("content"), str | None):
        return message
    thought, answer = told_apart(message)
    if answer == (message.get("content") or "") and not any(message.get(name) for name in REASONING_FIELDS):
        return message
    kept = {name: value for name, value in message.items() if name not in REASONING_FIELDS}
    return {**kept, "content": "\n\n".join(filter(None, (thought, answer)))}


def _questions(messages: Messages) -> Iterator[str]:
    """What the hash is taken of: none of it is changed by the profile, nor by whoever sets a system prompt."""
    for message in messages:
        if message.get("role") not in ("assistant", "system"):
            yield str(message.get("role"))
            yield _TO_STOP.sub("", _TO_THINK.sub("", str(message.get("content") or "")))


def _is_answer(message: dict[str, Any]) -> bool:
    """A call of a tool is no answer: the turn goes on after it."""
    is_text = isinstance(message.get("content"), str)
    return message.get("role") == "assistant" and is_text and "tool_calls" not in message


def _told(pattern: re.Pattern[str], times: dict[int, str], texts: list[str]) -> Iterator[tuple[str, int]]:
    counts = {word: count for count, word in times.items()}
    for text in texts:
        for found in pattern.finditer(text):
            yield found["sign"], counts[found["times"]]


def _settle(
    told: Iterator[tuple[str, int]], written: Iterator[tuple[str | None, int]], counts: range, otherwise: _Signs
) -> _Signs:
    """The signs of a chat: those that a user asks for, else those of an answer that has some already, else new ones."""
    for emoji, count in (*told, *written):
        if emoji is not None and count in counts:
            return _Signs(emoji, count)
    return otherwise


def _marked(message: dict[str, Any], thoughts: _Signs, stops: _Signs) -> dict[str, Any]:
    if message.get("role") == "user" and isinstance(message.get("content"), str):
        return {**message, "content": _asking(message["content"], thoughts, stops)}
    return {**message, "content": _answering(message["content"], thoughts, stops)} if _is_answer(message) else message


def _asking(text: str, thoughts: _Signs, stops: _Signs) -> str:
    if _ASKS_TO_THINK not in text:
        text += f"\n\nFor this task, think with {thoughts.emoji} /{_TIMES[thoughts.count]}/ times."
    if _ASKS_TO_STOP not in text:
        text += f"\n\nWhen finished, emit {stops.emoji} /{_STOP_TIMES[stops.count]}/ to signal completion."
    return text


def _answering(text: str, thoughts: _Signs, stops: _Signs) -> str:
    if not begins_with_thought(text):
        text = f"{thoughts.text}\n{text}"
    return text if stop_fault(text) is None else f"{text}\n{stops.text}"


def _pick(choices: tuple[Any, ...], number: int) -> Any:
    return choices[number % len(choices)]


EMOJI_THINK = Profile(
    name="emoji_think",
    chat_template=None,
    description="Half of all chats, by a hash of their questions, think in emoji and end with a stop signal.",
    control_tokens=CONTROL_TOKENS,
    template_without_thoughts=CHATML_TEMPLATE,
    system_prompt=SYSTEM_PROMPT,
    replaces_system=True,
    rewrite=rewrite,
)
