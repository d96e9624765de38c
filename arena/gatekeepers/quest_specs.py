"""The quest specs: which shapes of file the realm learns, and which of them a file follows (spec 1.2).

Deny by default: a file whose shape is not listed here does not enter. The seed's `required_job_keys`
(dataset_path, base_model) have no table here because a claim cannot be built without them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core.errors import InvalidInput

VALIDATOR_NAME = "spec_validator"
VALIDATOR_VERSION = "1.0.0"
DEFAULT_SPEC_ID = "chat_sft_v1"


@dataclass(frozen=True)
class QuestSpec:
    """One shape of file: the columns that each of its rows must and may have."""

    schema_id: str
    kind: Literal["chat_sft", "completion"]
    required_columns: tuple[str, ...]
    optional_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(self.required_columns + self.optional_columns)


SPECS: dict[str, QuestSpec] = {
    spec.schema_id: spec
    for spec in (
        QuestSpec("chat_sft_v1", "chat_sft", ("messages",), ("system_prompt", "tags", "difficulty")),
        QuestSpec("syllo_v1", "chat_sft", ("messages",), ("difficulty", "category", "variant")),
        QuestSpec("completion_v1", "completion", ("text",)),
    )
}

SPEC_BY_COLUMN = {"messages": DEFAULT_SPEC_ID, "text": "completion_v1"}
"""What a file follows when neither sidecar nor header row names a spec (C10)."""

FOREIGN_SHAPES: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"conversations"}), "ShareGPT"),
    (frozenset({"instruction", "output"}), "Alpaca"),
    (frozenset({"prompt", "completion"}), "prompt/completion"),
    (frozenset({"chosen", "rejected"}), "preference pairs"),
)
"""Shapes of other tools, named in the error so that people know what to convert."""

MOST_COLUMNS_NAMED = 8


def spec_named(schema_id: object) -> QuestSpec:
    """The spec of that id; raises `InvalidInput` that lists the known ones (C18)."""
    if isinstance(schema_id, str) and schema_id in SPECS:
        return SPECS[schema_id]
    raise InvalidInput(f"unknown schema_id {schema_id!r:.80}; known are {', '.join(SPECS)}")


def resolve_schema(declared: object, columns: Collection[str]) -> QuestSpec:
    """The spec a file follows: the `declared` schema_id if any, else by the `columns` of its first data row.

    Raises `InvalidInput` when the id is unknown or no spec has such columns; there is no fallback.
    """
    if declared is not None:
        return spec_named(declared)
    for column, schema_id in SPEC_BY_COLUMN.items():
        if column in columns:
            return SPECS[schema_id]
    raise InvalidInput(
        f"no quest spec fits a row with {describe_columns(columns)}; "
        "a chat needs 'messages' (a list of role and content), a plain text needs 'text'"
    )


def describe_columns(columns: Collection[str]) -> str:
    """The columns found, for an error message; names the foreign tool whose shape they are."""
    if not columns:
        return "no columns"
    names = [repr(name)[:60] for name in columns]
    more = f" and {len(names) - MOST_COLUMNS_NAMED} more" if len(names) > MOST_COLUMNS_NAMED else ""
    shape = next((f" ({name} shape)" for marks, name in FOREIGN_SHAPES if marks <= set(columns)), "")
    return f"the columns {', '.join(names[:MOST_COLUMNS_NAMED])}{more}{shape}"


def is_header(first_row: Mapping[str, Any]) -> bool:
    """True when the first row of a file describes the file instead of being learned.

    A row that carries data is never a header, whatever else it carries: many public datasets have a
    `metadata` column, and taking their first row for a header loses it.
    """
    has_data = any(column in first_row for column in SPEC_BY_COLUMN)
    return not has_data and ("metadata" in first_row or "schema_id" in first_row)


def schema_id_in(header: Mapping[str, Any] | None) -> object:
    """The `schema_id` that a header row or sidecar declares, at its top or under `metadata`; None without one."""
    if header is None:
        return None
    metadata = header.get("metadata")
    nested = metadata.get("schema_id") if isinstance(metadata, dict) else None
    return header.get("schema_id") if header.get("schema_id") is not None else nested
