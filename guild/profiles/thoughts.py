"""Reasoning that comes with an answer, in fields of its own or between `<think>` tags, told apart from the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")

OPEN, CLOSE = "<think>", "</think>"
_BLOCK = re.compile(f"{OPEN}(.*?){CLOSE}", re.DOTALL)
NESTED = 8
"""Tags within tags that are taken apart; nobody but a saboteur has more."""
_TAG = re.compile(f"{OPEN}|{CLOSE}")


def told_apart(message: Mapping[str, Any]) -> tuple[str, str]:
    """What an assistant turn thinks, and its answer without a tag. An answer without thoughts is left as it is."""
    content = message.get("content") or ""
    fields = [message[field] for field in REASONING_FIELDS if message.get(field)]
    if not fields and _TAG.search(content) is None:
        return "", content
    end = end_of_thoughts(content)
    thoughts = [*fields[:1], *_BLOCK.findall(content, 0, end)]
    answer = _without_tags(_BLOCK.sub("", content[:end]) + content[end:])
    return "\n\n".join(filter(None, (_without_tags(thought).strip() for thought in thoughts))), answer.strip()


def after_thoughts(text: str) -> str:
    """What a model has written once it was done with thinking: nothing, where it has not come to that."""
    # The template may have opened the block, as a part of what the model was given.
    end = end_of_thoughts(text)
    rest = (_BLOCK.sub("", text[:end]) + text[end:]).rpartition(CLOSE)[2]
    return rest.partition(OPEN)[0]


def end_of_thoughts(text: str) -> int:
    """Index after the last closing tag. Behind it no block is looked for: each opening one there would be followed to
    the end of the text, and thousands of them take minutes."""
    return text.rfind(CLOSE) + len(CLOSE) if CLOSE in text else 0


def _without_tags(text: str) -> str:
    """Nor with one that only appears where another was taken out, a few times over; then no sign of any stays."""
    for _ in range(NESTED):
        if text == (shorter := _TAG.sub("", text)):
            return text
        text = shorter
    return text.replace("<", "")
