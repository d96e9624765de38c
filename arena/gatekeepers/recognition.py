"""Recognition: which shape a file has, judged by its first data row, and by what it was recognised.

Shapes that the realm has no training method for are recognised too, so that people are told what they have. The order
matters: a set with `chosen` and `rejected` beside its `messages` holds preferences, and one with `messages` beside its
`prompt` holds chats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from arena.gatekeepers.quest_specs import SPECS, QuestSpec, spec_named
from arena.gatekeepers.shapes.sharegpt import has_roles
from core.errors import InvalidInput

MOST_COLUMNS_NAMED = 8
JUDGEMENTS = ("label", "kto_tag")
"""Columns that say of an answer whether it is a good one."""


@dataclass(frozen=True)
class Shape:
    """A shape of rows that people own."""

    name: str
    marks: tuple[str, ...]
    """Columns that every row of this shape has, and no other one."""
    schema_id: str | None
    """The spec that reads it; None where there is no method to learn from it."""


SHAPES = (
    Shape("preference pairs", ("chosen", "rejected"), None),
    Shape("stepwise supervision", ("completions", "labels"), None),
    Shape("OpenAI chat", ("messages",), "chat_sft_v1"),
    Shape("ShareGPT", ("conversations",), "sharegpt_v1"),
    Shape("Alpaca", ("instruction", "output"), "alpaca_v1"),
    Shape("prompt/completion", ("prompt", "completion"), "prompt_completion_v1"),
    Shape("text", ("text",), "completion_v1"),
)
JUDGED_ANSWERS = "judged answers (KTO)"


@dataclass(frozen=True)
class Recognition:
    """The verdict on the shape of a file."""

    format: str
    """Name of the shape, such as `ShareGPT`."""
    by: str
    """What it was recognised by, in words."""
    spec: QuestSpec | None
    """None where there is no method to learn from this shape."""


def recognise(row: Mapping[str, Any]) -> Recognition:
    """The shape of a first data row; raises `InvalidInput` when it has none that is known (deny by default)."""
    shape = _shape_of(row)
    if shape is None:
        known = "; ".join(f"{shape.name}: {_quote(shape.marks)}" for shape in SHAPES if shape.schema_id)
        raise InvalidInput(f"no quest spec fits a row with {describe_columns(row)}; known are {known}")
    judged = recognise_judged(row) if shape.schema_id not in (None, "completion_v1") else None
    if judged is not None:
        return judged
    fields = ""
    if shape.name == "OpenAI chat" or has_roles(row.get("conversations")):
        fields = " of role/content"
    elif shape.name == "ShareGPT":
        fields = " of from/value"
    return Recognition(shape.name, f"its {_quote(shape.marks)}{fields}", SPECS.get(shape.schema_id or ""))


def recognise_judged(row: Mapping[str, Any]) -> Recognition | None:
    """The verdict on a row that holds an answer, when it says of that answer whether it is a good one."""
    judged_by = next((name for name in JUDGEMENTS if row.get(name) in (0, 1)), None)
    if judged_by is None:
        return None
    values = "true or false" if isinstance(row[judged_by], bool) else "0 or 1"
    return Recognition(JUDGED_ANSWERS, f"its `{judged_by}` of {values}", None)


def recognise_declared(schema_id: object) -> Recognition:
    """What a sidecar or header row declares; raises `InvalidInput` for an id that is not known (C18)."""
    spec = spec_named(schema_id)
    shape = next(shape for shape in SHAPES if shape.schema_id and set(shape.marks) == set(spec.required_columns))
    return Recognition(shape.name, f"the schema_id {spec.schema_id} that it declares", spec)


def has_data(row: Mapping[str, Any]) -> bool:
    """Whether a row has the columns of a known shape, so that it is no header."""
    return _shape_of(row) is not None


def describe_columns(columns: Collection[str]) -> str:
    """The columns found, for an error message, and the shape that they make."""
    if not columns:
        return "no columns"
    names = [repr(name)[:60] for name in columns]
    more = f" and {len(names) - MOST_COLUMNS_NAMED} more" if len(names) > MOST_COLUMNS_NAMED else ""
    shape = _shape_of(columns)
    named = f" ({shape.name} shape)" if shape else ""
    return f"the columns {', '.join(names[:MOST_COLUMNS_NAMED])}{more}{named}"


def _shape_of(columns: Collection[str]) -> Shape | None:
    return next((shape for shape in SHAPES if all(mark in columns for mark in shape.marks)), None)


def _quote(columns: Collection[str]) -> str:
    return " and ".join(f"`{column}`" for column in columns)
