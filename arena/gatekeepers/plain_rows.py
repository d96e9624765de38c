"""The fast way through Gate 2: whole blocks of rows in which nothing is remarkable, decoded and checked in C.

Says only "all of these rows are plain" or "look line by line". What it calls plain, the ContentWarden and the
duplicate-key check have nothing to say about; a test holds the two ways equal.

Duplicate keys are found by counting: of two equal keys the decoder keeps the last, so the text then holds more quotes
than the strings that came out of it were written with: two around each of them, and those inside.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec

from arena.gatekeepers.quest_specs import Kind, QuestSpec
from arena.gatekeepers.recognition import JUDGEMENTS
from arena.gatekeepers.scrolls.json_keys import MAX_DEPTH, keys_held
from arena.gatekeepers.scrolls.json_lines import UNDECODABLE

MOST_EXTRA_COLUMNS = 32


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "user", "assistant"]
    content: str


class _SharedMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "human", "user", "gpt", "assistant"] = msgspec.field(name="from")
    content: str = msgspec.field(name="value")


_REQUIRED: dict[Kind, dict[str, Any]] = {
    "chat_sft": {"messages": list[_Message]},
    "openai_chat": {"messages": list[_Message]},
    "sharegpt": {"conversations": list[_SharedMessage]},
    "alpaca": {"instruction": str, "output": str},
    "prompt_completion": {"prompt": str, "completion": str},
    "completion": {"text": str},
}
"""What stands in each plain row: chats, or strings of which none is blank."""

_TEXT = str | None | msgspec.UnsetType
_NOTHING = Literal["", None] | msgspec.UnsetType
_EMPTY_LIST = Annotated[list[Any], msgspec.Meta(max_length=0)] | None | msgspec.UnsetType

_OPTIONAL: dict[str, Any] = {
    "system_prompt": _TEXT,
    "system": _TEXT,
    "input": _TEXT,
    "history": _EMPTY_LIST,
    "tools": _NOTHING,
    "functions": _NOTHING,
}
"""What plain rows may have in columns that mean something to a shape; in other ones anything may stand."""

_OF_ANSWERS: dict[str, Any] = {**_OPTIONAL, **dict.fromkeys(JUDGEMENTS, _TEXT)}
"""The same for the shapes that hold answers: to them, a judgement means something too."""


class _RemarkableError(ValueError):
    """The thorough way has something to say about a row."""


class PlainRows:
    """Knows the plain rows of one file: those with the columns of its first data row, or fewer optional ones."""

    def __init__(self, spec: QuestSpec, first_columns: Collection[str]) -> None:
        self.answers = 0
        """Assistant turns in the plain rows so far."""
        required = _REQUIRED[spec.kind]
        optional = _OPTIONAL if spec.kind == "completion" else _OF_ANSWERS
        extras = [name for name in first_columns if name not in required and _can_be_field(name)][:MOST_EXTRA_COLUMNS]
        names = {f"column{index}": name for index, name in enumerate([*required, *extras])}
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            (field, required[name])
            if name in required
            else (field, optional.get(name, Any | msgspec.UnsetType), msgspec.UNSET)
            for field, name in names.items()
        ]
        row_type = msgspec.defstruct("PlainRow", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self._decode = msgspec.json.Decoder(row_type).decode
        columns = [attrgetter(field) for field in names]
        self._required, self._extras = columns[: len(required)], columns[len(required) :]
        self._holds_chats = required.keys() <= {"messages", "conversations"}
        self._answers_in_texts = 0 if spec.kind == "completion" else 1

    def count(self, data: bytes) -> int | None:
        """The number of lines in `data` when each is a plain row, else None."""
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        quotes = _Quotes(b"\\" in data)
        try:
            rows = list(map(self._decode, lines))
            answers = self._answers_in_texts * len(rows)
            for column in self._required:
                values = list(map(column, rows))
                if self._holds_chats:
                    answers = quotes.add_chats(values)
                else:
                    quotes.add_texts(values)
            for column in self._extras:
                quotes.add_column(list(map(column, rows)))
        except UNDECODABLE:  # among them _RemarkableError and TooDeepError
            return None
        if not quotes.are_those_of(data):
            return None
        self.answers += answers
        return len(rows)


def _can_be_field(column: str) -> bool:
    """False for names that JSON writes with a backslash, which msgspec refuses in a struct."""
    return b"\\" not in msgspec.json.encode(column)


class _Quotes:
    """Counts the quotes that decoded columns are written with, their names included."""

    def __init__(self, escapes: bool) -> None:
        """`escapes`: whether the text has backslashes, without which there is no quote inside of a string."""
        self._count = 0
        self._inside = False
        self._escapes = escapes

    def add_chats(self, chats: list[Any]) -> int:
        """Returns the assistant turns; raises for a chat that lacks a side or has a blank answer."""
        answers = messages = 0
        for chat in chats:
            user = False
            before = answers
            for message in chat:
                role = message.role
                if role == "assistant" or role == "gpt":  # for each message: twice as fast as `in`
                    content = message.content
                    if not content or content.isspace():
                        raise _RemarkableError
                    answers += 1
                elif role != "system":
                    user = True
            if not user or answers == before:
                raise _RemarkableError
            messages += len(chat)
        self._count += 2 * len(chats) + 8 * messages
        if self._escapes:
            self._look_inside([message.content for chat in chats for message in chat])
        return answers

    def add_texts(self, texts: list[str]) -> None:
        """Raises where one is blank."""
        if not all(texts) or any(map(str.isspace, texts)):
            raise _RemarkableError
        self._count += 4 * len(texts)
        self._look_inside(texts)

    def add_column(self, values: list[Any]) -> None:
        """Any values, `UNSET` where the row lacks the column; raises `TooDeepError`."""
        if set(map(type, values)) == {str}:
            self._count += 4 * len(values)
            self._look_inside(values)
            return
        present = [value for value in values if value is not msgspec.UNSET]
        # Written out again, a value has the quotes that it was written with; C counts faster than Python walks.
        texts = list(map(msgspec.json.encode, present))
        if max(map(len, texts), default=0) > 2 * MAX_DEPTH - 4:
            keys_held(present)
        written = b"".join(texts)
        self._count += 2 * len(present) + written.count(b'"')
        self._inside = self._inside or b'\\"' in written

    def are_those_of(self, data: bytes) -> bool:
        """True when `data` holds as many quotes, so that no key of it was lost."""
        if self._inside and b"\\u0022" in data:
            return False  # a quote written like this could make up for one that was lost
        return self._count == data.count(b'"')

    def _look_inside(self, texts: list[str]) -> None:
        if self._escapes and (quoting := [text for text in texts if '"' in text]):
            self._inside = True
            self._count += "".join(quoting).encode().count(b'"')
