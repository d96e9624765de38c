"""The quest specs: which shapes of file the realm learns, and the columns of each (spec 1.2).

Deny by default: a file whose shape is not listed here does not enter. The seed's `required_job_keys`
(dataset_path, base_model) have no table here because a claim cannot be built without them.

A spec never changes what it reads, since the journal replays quests by it (law 3): `chat_sft_v1` reads plain roles and
texts and nothing else. A chat file that uses more than that enters as `openai_chat_v1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from core.errors import InvalidInput

VALIDATOR_NAME = "spec_validator"
VALIDATOR_VERSION = "1.1.0"
DEFAULT_SPEC_ID = "chat_sft_v1"

Kind = Literal["chat_sft", "completion", "openai_chat", "sharegpt", "alpaca", "prompt_completion"]


@dataclass(frozen=True)
class QuestSpec:
    """One shape of file: the columns that each of its rows must and may have."""

    schema_id: str
    kind: Kind
    required_columns: tuple[str, ...]
    optional_columns: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> frozenset[str]:
        return frozenset(self.required_columns + self.optional_columns)

    @property
    def answer_column(self) -> str:
        """The column in which what is learned stands."""
        return self.required_columns[-1]


_CHAT_OPTIONS = ("system_prompt", "tags", "difficulty")

SPECS: dict[str, QuestSpec] = {
    spec.schema_id: spec
    for spec in (
        QuestSpec("chat_sft_v1", "chat_sft", ("messages",), _CHAT_OPTIONS),
        QuestSpec("syllo_v1", "chat_sft", ("messages",), ("difficulty", "category", "variant")),
        QuestSpec("completion_v1", "completion", ("text",)),
        QuestSpec("openai_chat_v1", "openai_chat", ("messages",), ("tools", "functions", *_CHAT_OPTIONS)),
        QuestSpec("sharegpt_v1", "sharegpt", ("conversations",), ("system", "tools")),
        QuestSpec("alpaca_v1", "alpaca", ("instruction", "output"), ("input", "system", "history")),
        QuestSpec("prompt_completion_v1", "prompt_completion", ("prompt", "completion"), ("system", "tools")),
    )
}


BOOKKEEPING_COLUMNS = frozenset(
    {
        "id", "idx", "index", "uid", "uuid", "guid", "hash", "sha256", "md5", "__index_level_0__",
        "row_id", "sample_id", "example_id", "prompt_id", "question_id", "message_id", "task_id", "user_id",
        "conv_id", "conversation_id", "conversation_hash",
        "source", "sources", "src", "origin", "data_source", "dataset", "dataset_name", "subset", "split", "fold",
        "category", "categories", "topic", "tag", "tags", "variant", "difficulty", "domain", "lang", "language",
        "license", "url", "uri", "filename", "author", "annotator", "model", "model_name", "generator",
        "meta", "metadata", "version", "date", "timestamp", "created", "created_at", "updated_at",
        "type", "num_turns", "n_tokens", "num_tokens", "token_count",
    }
)  # fmt: skip
"""Columns in which people keep their books about a row: everybody knows that they are not learned."""


def spec_named(schema_id: object) -> QuestSpec:
    """The spec of that id; raises `InvalidInput` that lists the known ones (C18)."""
    if isinstance(schema_id, str) and schema_id in SPECS:
        return SPECS[schema_id]
    raise InvalidInput(f"unknown schema_id {schema_id!r:.80}; known are {', '.join(SPECS)}")


def may_be_header(first_row: Mapping[str, Any]) -> bool:
    """True when the first row of a file describes the file, provided that it carries no data.

    Whoever asks must look for data too: many public datasets have a `metadata` column, and taking their first row for
    a header loses it.
    """
    return "metadata" in first_row or "schema_id" in first_row


def schema_id_in(header: Mapping[str, Any] | None) -> object:
    """The `schema_id` that a header row or sidecar declares, at its top or under `metadata`; None without one.

    An empty one counts as none: the realm writes it beside a file that no spec fits.
    """
    if header is None:
        return None
    metadata = header.get("metadata")
    nested = metadata.get("schema_id") if isinstance(metadata, dict) else None
    declared = header.get("schema_id") if header.get("schema_id") is not None else nested
    return None if declared == "" else declared
