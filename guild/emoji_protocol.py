"""The emoji protocol: an answer that begins with thinking emoji ends with a stop emoji, two to four of one kind.

EMOJI: both. DIRECT: no thinking emoji at the start. MALFORMED: a thinking emoji at the start and no such end (spec
1.2). The one place that knows the signs: what teaches the protocol, what checks it and what grades answers go by it.
"""

from __future__ import annotations

from typing import Literal

THINKING_EMOJIS = ("🤔", "💭", "🧠", "💡", "🎯", "🔍", "🤨", "🧐", "⚡", "✨")
STOP_EMOJIS = ("🛑", "⛔", "🚫", "❌", "🔴", "⏹", "🔚", "✋", "🚦", "🛡")
FEWEST_THOUGHTS, MOST_THOUGHTS = 2, 8
FEWEST_STOPS, MOST_STOPS = 2, 4

Mode = Literal["emoji", "direct", "malformed"]

_VARIANT = "\ufe0f"
"""Asks for the coloured form of the sign before it; written or not, the sign is the same."""
_LONGEST_TAIL = 256
_LEADING = "".join(THINKING_EMOJIS) + _VARIANT
_TRAILING = "".join(STOP_EMOJIS) + _VARIANT


def mode_of(text: str) -> Mode:
    """Which of the three an answer is."""
    if not begins_with_thought(text):
        return "direct"
    return "emoji" if stop_fault(text) is None else "malformed"


def begins_with_thought(text: str) -> bool:
    return text.lstrip().startswith(THINKING_EMOJIS)


def stop_fault(text: str) -> str | None:
    """Why the end of a text is no stop signal; None when it is one."""
    _, stops = last_stops(text)
    if not stops:
        return "no stop emoji ends it"
    if FEWEST_STOPS <= stops <= MOST_STOPS:
        return None
    return f"{stops} stop emoji {'ends' if stops == 1 else 'end'} it"


def last_stops(text: str) -> tuple[str | None, int]:
    """The stop emoji that a text ends with, and how often it stands there."""
    tail = text[-_LONGEST_TAIL:].replace(_VARIANT, "").rstrip()
    stop = next((emoji for emoji in STOP_EMOJIS if tail.endswith(emoji)), None)
    return stop, len(tail) - len(tail.rstrip(stop)) if stop else 0


def first_thoughts(text: str) -> tuple[str | None, int]:
    """The thinking emoji that a text begins with, and how often it stands there."""
    head = text.lstrip()[:_LONGEST_TAIL].replace(_VARIANT, "")
    thought = next((emoji for emoji in THINKING_EMOJIS if head.startswith(emoji)), None)
    return thought, len(head) - len(head.lstrip(thought)) if thought else 0


def without_markers(text: str) -> str:
    """The text between thinking emoji at its start and stop emoji at its end, and without spaces around it."""
    while text != (shorter := text.strip().lstrip(_LEADING)):
        text = shorter
    while text != (shorter := _less_stops(text.rstrip())):
        text = shorter
    return text


def _less_stops(text: str) -> str:
    rest = text.rstrip(_TRAILING)
    # The first of those taken away may belong to a sign that is no stop.
    return rest + _VARIANT if text[len(rest) :].startswith(_VARIANT) else rest
