"""The spec registry denies by default."""

from __future__ import annotations

import pytest

from arena.gatekeepers import quest_specs
from arena.gatekeepers.quest_specs import SPECS, resolve_schema
from core.errors import InvalidInput


def test_the_registry_is_that_of_the_seed() -> None:
    assert (quest_specs.VALIDATOR_NAME, quest_specs.VALIDATOR_VERSION) == ("spec_validator", "1.0.0")
    assert quest_specs.DEFAULT_SPEC_ID == "chat_sft_v1"
    assert {name: (spec.kind, spec.required_columns, spec.optional_columns) for name, spec in SPECS.items()} == {
        "chat_sft_v1": ("chat_sft", ("messages",), ("system_prompt", "tags", "difficulty")),
        "syllo_v1": ("chat_sft", ("messages",), ("difficulty", "category", "variant")),
        "completion_v1": ("completion", ("text",), ()),
    }


@pytest.mark.parametrize(
    ("declared", "columns", "schema_id"),
    [
        (None, ["messages", "id"], "chat_sft_v1"),
        (None, ["text"], "completion_v1"),
        ("syllo_v1", ["messages"], "syllo_v1"),
        ("completion_v1", ["messages"], "completion_v1"),
    ],
)
def test_a_declared_schema_wins_over_the_columns(declared: str | None, columns: list[str], schema_id: str) -> None:
    """C10: a file of texts resolves to completion_v1."""
    assert resolve_schema(declared, columns).schema_id == schema_id


@pytest.mark.parametrize("declared", ["chat_sft_v2", "", 7, ["chat_sft_v1"], {}])
def test_an_unknown_schema_is_an_error_that_lists_the_known_ones(declared: object) -> None:
    """C18: an unknown schema is not accepted, and never falls back to the default."""
    with pytest.raises(InvalidInput, match="known are chat_sft_v1, syllo_v1, completion_v1"):
        resolve_schema(declared, ["messages"])


def test_columns_of_no_spec_are_an_error() -> None:
    with pytest.raises(InvalidInput, match=r"'conversations' \(ShareGPT shape\)"):
        resolve_schema(None, ["conversations"])
