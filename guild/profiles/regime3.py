"""Profile `regime3`: answers of symbolic reasoning stand between two markers, in canonical form (spec 1.18)."""

from __future__ import annotations

import re
from typing import Any

from guild.profiles.chatml import CHATML_TEMPLATE, CONTROL_TOKENS
from guild.profiles.definition import Messages, Profile
from guild.profiles.thoughts import REASONING_FIELDS, told_apart

START, END = "<<ANS_START>>", "<<ANS_END>>"

SYSTEM_PROMPT = (
    f"You are a symbolic reasoning assistant. Write your answer between {START} and {END}, "
    "as (op arg1 arg2) where it is an expression."
)
"""Without the seed's date: what a row is rendered as must not depend on the day (law 3)."""

_TOKEN = re.compile(r"[()]|[^\s()]+")


def rewrite(messages: Messages) -> Messages:
    """The chat with its answers marked; `messages` are left as they are."""
    return [_marked(message) if message.get("role") == "assistant" else message for message in messages]


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(message.get("content"), str | None):
        return message
    thought, answer = told_apart(message)
    if "tool_calls" not in message:  # a call of a tool is no answer
        # Where somebody has set a marker already, what stands before it is no answer either.
        is_marked = any(marker in thought + answer for marker in (START, END))
        thought, answer = ("", _joined(thought, answer)) if is_marked else (thought, answer)
        answer = _between_markers(answer)
    kept = {name: value for name, value in message.items() if name not in REASONING_FIELDS}
    text = _joined(thought, answer)
    return {**kept, "content": text} if text or "content" in message else message


def _joined(thought: str, answer: str) -> str:
    return "\n\n".join(filter(None, (thought, answer)))


def _between_markers(text: str) -> str:
    """Adds what is missing of the two."""
    before, start, rest = text.partition(START) if START in text else ("", START, text)
    answer, _, after = rest.partition(END)
    return f"{before}{start} {canonical(answer.strip())} {END}{after}"


def canonical(answer: str) -> str:
    """An expression in brackets with one space between its parts; any other text as it is."""
    tokens = _TOKEN.findall(answer)
    if '"' in answer or not _is_one_expression(tokens):
        return answer
    return " ".join(tokens).replace("( ", "(").replace(" )", ")")


def _is_one_expression(tokens: list[str]) -> bool:
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth <= 0:
            return token == ")" and depth == 0 and number == len(tokens) - 1
    return False


REGIME3 = Profile(
    name="regime3",
    chat_template=None,
    description=f"Answers stand between {START} and {END}, expressions as (op arg1 arg2).",
    control_tokens=CONTROL_TOKENS,
    template_without_thoughts=CHATML_TEMPLATE,
    system_prompt=SYSTEM_PROMPT,
    replaces_system=True,
    rewrite=rewrite,
)
