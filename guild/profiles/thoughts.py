"""Reasoning that comes with an answer, in fields of its own or between `<think>` tags, told apart from the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REASONING_FIELDS = ("reasoning_content", "thinking", "reasoning")

OPEN, CLOSE = "<think>", "</think>"
_BLOCK = re.compile(f"{OPEN}(.*?){CLOSE}", re.DOTALL)
_TAG = re.compile(f"{OPEN}|{CLOSE}")


def told_apart(message: Mapping[str, Any]) -> tuple[str, str]:
    """What an assistant turn thinks, and its answer without a tag. An answer without thoughts is left as it is."""
    content = message.get("content") or ""
    fields = [message[field] for field in REASONING_FIELDS if message.get(field)]
    if not fields and _TAG.search(content) is None:
        return "", content
    thoughts = [*fields[:1], *_BLOCK.findall(content)]
    answer = _without_tags(_BLOCK.sub("", content))
    return "\n\n".join(filter(None, (_without_tags(thought).strip() for thought in thoughts))), answer.strip()


def after_thoughts(text: str) -> str:
    """What a model has written once it was done with thinking: nothing, where it has not come to that."""
    # The template may have opened the block, as a part of what the model was given.
    rest = _BLOCK.sub("", text).rpartition(CLOSE)[2]
    return rest.partition(OPEN)[0]


def _without_tags(text: str) -> str:
    while text != (shorter := _TAG.sub("", text)):
        text = shorter
    return text
