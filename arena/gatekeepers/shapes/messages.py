"""Messages of role and content, as OpenAI writes them: with parts, tool calls and weights, or plain ones only.

Parts of a content are joined without a separator, as chat templates do. A turn of which `weight` is 0 or `train` is
false is read but not learned; that matters for assistant turns only, the others are never learned. The older names of
things (`function_call`, the role `function`, `thinking` and `reasoning` for `reasoning_content`) are understood, and
`developer` is a system message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arena.gatekeepers.shapes.row import FaultError, Message, Report, Row
from arena.gatekeepers.shapes.tool_calls import read_call, read_calls
from arena.gatekeepers.shapes.turns import Turns, Wording, read_each
from arena.gatekeepers.shapes.values import describe_value, required_text

PLAIN_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
ROLES = {**PLAIN_ROLES, "developer": "system", "tool": "tool", "function": "tool"}

_PLAIN = Wording("role", "content", PLAIN_ROLES)
_RICH = Wording("role", "content", ROLES)
_PLAIN_KEYS = frozenset({"role", "content"})
_LEARNING_KEYS = frozenset({"weight", "train"})
_REASONING_KEYS = ("reasoning_content", "thinking", "reasoning")
_KEYS_OF = {
    "assistant": _PLAIN_KEYS | _LEARNING_KEYS | {"tool_calls", "function_call", *_REASONING_KEYS},
    "tool": _PLAIN_KEYS | _LEARNING_KEYS | {"tool_call_id", "name"},
}
_KEYS_OF_OTHERS = _PLAIN_KEYS | _LEARNING_KEYS
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def read_messages(value: Any, column: str, report: Report, *, plain: bool = False) -> Turns | None:
    """The turns in `value`, which stands in the column of that name; None when errors were told.

    `plain` reads the three plain roles with their text and ignores all else (`chat_sft_v1`).
    """
    wording, read = (_PLAIN, _read_plain) if plain else (_RICH, _read_rich)
    return read_each(value, column, wording, lambda message, place: read(message, place, column, report), report)


def is_plain(written: list[dict[str, Any]], read: Row) -> bool:
    """Whether the `plain` reading of the messages as they are `written` gives the same row."""
    return read.tools is None and all(
        message == {"role": raw["role"], "content": raw.get("content")} and raw["role"] in PLAIN_ROLES
        for raw, message in zip(written, read.messages or (), strict=True)
    )


def _read_plain(message: Any, place: str, column: str, report: Report) -> Message:
    role = _read_role(message, place, PLAIN_ROLES)
    for key in message.keys() - _PLAIN_KEYS:
        known = "; openai_chat_v1 reads it" if key in _KEYS_OF.get(role, _KEYS_OF_OTHERS) else ""
        report.ignored(f"{column}[].{key}", f"the message key {key!r:.60} is ignored{known}")
    return {"role": role, "content": required_text(message, "content", f"{place}.content")}


def _read_rich(message: Any, place: str, column: str, report: Report) -> Message:
    written = _read_role(message, place, ROLES)
    role = ROLES[written]
    read: Message = {"role": role}
    for key in message.keys() - _KEYS_OF.get(role, _KEYS_OF_OTHERS):
        if message[key] not in _EMPTY:
            report.ignored(f"{column}[].{key}", f"the message key {key!r:.60} is ignored on the role {written}")
    if role == "assistant":
        _read_answer(message, place, read)
    elif role == "tool":
        read.update({key: message[key] for key in ("name", "tool_call_id") if type(message.get(key)) is str})
    calls_only = "tool_calls" in read and message.get("content") is None
    read["content"] = "" if calls_only else _read_content(message, place)
    read_weight(message, place, column, read, report)
    return read


def _read_role(message: Any, place: str, roles: Mapping[str, str]) -> str:
    if type(message) is not dict:
        raise FaultError(place, f"a message must be an object with role and content, found {describe_value(message)}")
    role = message.get("role")
    if type(role) is str and role in roles:
        return role
    what = f"role {role!r:.60} is not one of" if "role" in message else "'role' is missing; it must be one of"
    hint = "; with from and value, name the column 'conversations'" if "from" in message else ""
    raise FaultError(f"{place}.role", f"{what} {', '.join(roles)}{hint}")


def _read_content(message: dict[str, Any], place: str) -> str:
    """The text of a message: a string, or a list of text parts."""
    content = message.get("content")
    if type(content) is not list:
        return required_text(message, "content", f"{place}.content")
    if not content:
        raise FaultError(f"{place}.content", "'content' is an empty list")
    return "".join([_read_part(part, f"{place}.content[{index}]") for index, part in enumerate(content)])


def _read_part(part: Any, place: str) -> str:
    if type(part) is not dict:
        raise FaultError(place, f"a part must be an object with type and text, found {describe_value(part)}")
    kind = part.get("type")
    if kind != "text":
        raise FaultError(place, f"a part of type {kind!r:.60}: the realm learns from text only")
    return required_text(part, "text", f"{place}.text")


def _read_answer(message: dict[str, Any], place: str, read: Message) -> None:
    """What only assistants have: reasoning and calls."""
    for key in _REASONING_KEYS:
        if message.get(key) not in _EMPTY:
            read["reasoning_content"] = required_text(message, key, f"{place}.{key}")
            break
    calls = []
    if message.get("tool_calls") is not None:
        calls = read_calls(message["tool_calls"], f"{place}.tool_calls")
    if message.get("function_call") is not None:
        calls.append(read_call(message["function_call"], f"{place}.function_call"))
    if calls:
        read["tool_calls"] = calls


def read_weight(message: dict[str, Any], place: str, column: str, read: Message, report: Report) -> None:
    """Mark the turn that is not to be learned. Both hints must agree to learn it; without one it is learned."""
    for key in ("weight", "train"):
        value = message.get(key)
        if value is None:
            continue
        if type(value) not in (int, float, bool) or value not in (0, 1):
            raise FaultError(f"{place}.{key}", f"'{key}' must be 0 or 1, true or false; found {value!r:.40}")
        if read["role"] != "assistant":
            if value:
                report.ignored(
                    f"{column}[].{key}", f"'{key}' is ignored on this role: only assistant turns are learned"
                )
        elif not value:
            read["weight"] = 0
