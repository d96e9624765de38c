"""The spec registry denies by default."""

from __future__ import annotations

import pytest

from arena.gatekeepers import quest_specs
from arena.gatekeepers.quest_specs import SPECS, schema_id_in, spec_named
from core.errors import InvalidInput


def test_the_registry_holds_the_specs_of_the_seed() -> None:
    assert quest_specs.VALIDATOR_NAME == "spec_validator"
    assert quest_specs.DEFAULT_SPEC_ID == "chat_sft_v1"
    seeds = [(name, spec.kind, spec.required_columns, spec.optional_columns) for name, spec in SPECS.items()][:3]
    assert seeds == [
        ("chat_sft_v1", "chat_sft", ("messages",), ("system_prompt", "tags", "difficulty")),
        ("syllo_v1", "chat_sft", ("messages",), ("difficulty", "category", "variant")),
        ("completion_v1", "completion", ("text",), ()),
    ]


def test_each_shape_that_people_own_has_a_spec() -> None:
    assert list(SPECS)[3:] == ["openai_chat_v1", "sharegpt_v1", "alpaca_v1", "prompt_completion_v1"]


@pytest.mark.parametrize("declared", ["chat_sft_v2", "", 7, ["chat_sft_v1"], {}, None])
def test_an_unknown_schema_is_an_error_that_lists_the_known_ones(declared: object) -> None:
    """C18: an unknown schema is not accepted, and never falls back to the default."""
    with pytest.raises(InvalidInput, match="known are chat_sft_v1, syllo_v1, completion_v1"):
        spec_named(declared)


@pytest.mark.parametrize(
    ("header", "declared"),
    [
        (None, None),
        ({}, None),
        ({"schema_id": "syllo_v1"}, "syllo_v1"),
        ({"metadata": {"schema_id": "syllo_v1"}}, "syllo_v1"),
        ({"schema_id": None, "metadata": 7}, None),
        ({"schema_id": 7}, 7),
        ({"schema_id": ""}, None),
    ],
)
def test_a_schema_is_declared_at_the_top_or_in_the_metadata(header: dict[str, object] | None, declared: object) -> None:
    """The realm writes an empty id into the sidecar of a file that no spec fits, and the file may come back with it."""
    assert schema_id_in(header) == declared
