"""The fast way through Gate 2: whole blocks of rows in which nothing is remarkable, decoded and checked in C.

Says only "all of these rows are plain" or "look line by line". What it calls plain, the ContentWarden and the
duplicate-key check have nothing to say about; a test holds the two ways equal.

Duplicate keys are found by counting: of two equal keys the decoder keeps the last, so the text then holds more
strings than what came out of it. All strings of a text are its unescaped quotes, which C counts quickly.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from typing import Any, Literal

import msgspec

from arena.gatekeepers.json_keys import MAX_DEPTH, keys_held
from arena.gatekeepers.json_lines import UNDECODABLE
from arena.gatekeepers.quest_specs import QuestSpec

MOST_EXTRA_COLUMNS = 32

_DATA = attrgetter("data")


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "user", "assistant"]
    content: str


class _RemarkableError(ValueError):
    """The thorough way has something to say about a row."""


class PlainRows:
    """Knows the plain rows of one file: those with the columns of its first data row, or fewer optional ones."""

    def __init__(self, spec: QuestSpec, first_columns: Collection[str]) -> None:
        data_column = spec.required_columns[0]
        extras = [name for name in first_columns if name != data_column and _can_be_field(name)][:MOST_EXTRA_COLUMNS]
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            ("data", list[_Message] if spec.kind == "chat_sft" else str)
        ]
        names = {"data": data_column}
        for index, column in enumerate(extras):
            is_prompt = column == "system_prompt" and column in spec.columns
            kind = str | None | msgspec.UnsetType if is_prompt else Any
            fields.append((f"extra{index}", kind, msgspec.UNSET))
            names[f"extra{index}"] = column
        row_type = msgspec.defstruct("PlainRow", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self._decode = msgspec.json.Decoder(row_type).decode
        self._extras = [attrgetter(field) for field in names if field != "data"]
        self._count = _strings_of_chats if spec.kind == "chat_sft" else _strings_of_texts

    def count(self, data: bytes) -> int | None:
        """The number of lines in `data` when each is a plain row, else None."""
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        try:
            rows = list(map(self._decode, lines))
            strings = self._count(list(map(_DATA, rows)))
            for column in self._extras:
                strings += _strings_of_column(list(map(column, rows)))
        except UNDECODABLE:  # among them _RemarkableError and TooDeepError
            return None
        return len(rows) if 2 * strings == _quotes(data) else None


def _can_be_field(column: str) -> bool:
    """False for names that JSON writes with a backslash, which msgspec refuses in a struct."""
    return b"\\" not in msgspec.json.encode(column)


def _strings_of_chats(chats: list[list[_Message]]) -> int:
    """Strings that the rows write for their messages, keys included."""
    messages = 0
    for chat in chats:
        user = assistant = False
        for message in chat:
            role = message.role
            if role == "assistant":
                content = message.content
                if not content or content.isspace():
                    raise _RemarkableError
                assistant = True
            elif role == "user":
                user = True
        if not (user and assistant):
            raise _RemarkableError
        messages += len(chat)
    return len(chats) + 4 * messages


def _strings_of_texts(texts: list[str]) -> int:
    if not all(texts) or any(map(str.isspace, texts)):
        raise _RemarkableError
    return 2 * len(texts)


def _strings_of_column(values: list[Any]) -> int:
    """Strings that the rows write for one optional column, its name included; raises `TooDeepError`."""
    if set(map(type, values)) == {str}:
        return 2 * len(values)
    present = [value for value in values if value is not msgspec.UNSET]
    # Written out again, a value has exactly the strings that it holds; C writes and counts faster than Python walks.
    texts = list(map(msgspec.json.encode, present))
    if max(map(len, texts), default=0) > 2 * MAX_DEPTH - 4:
        keys_held(present)
    return len(present) + _quotes(b"".join(texts)) // 2


def _quotes(data: bytes) -> int:
    """Quotes that begin or end a string in valid JSON text."""
    if b"\\" not in data:
        return data.count(b'"')
    if b"\\\\" in data:
        data = data.replace(b"\\\\", b"")
    return data.count(b'"') - data.count(b'\\"')
