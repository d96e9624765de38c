"""Which shape a file has is told by its first row, and so is by what it was recognised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arena.gatekeepers.recognition import recognise, recognise_declared
from core.errors import InvalidInput
from tests.arena.gatekeepers.scroll_making import chat, judge, lines, told

SHARED = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]


@pytest.mark.parametrize(
    ("row", "name", "by", "schema_id"),
    [
        (chat(), "OpenAI chat", "its `messages` of role/content", "chat_sft_v1"),
        (chat(prompt="hi", text="all of it"), "OpenAI chat", "its `messages` of role/content", "chat_sft_v1"),
        ({"conversations": SHARED}, "ShareGPT", "its `conversations` of from/value", "sharegpt_v1"),
        ({"conversations": SHARED, "text": "a"}, "ShareGPT", "its `conversations` of from/value", "sharegpt_v1"),
        ({"conversations": chat()["messages"]}, "ShareGPT", "its `conversations` of role/content", "sharegpt_v1"),
        ({"instruction": "a", "output": "b", "text": "ab"}, "Alpaca", "its `instruction` and `output`", "alpaca_v1"),
        (
            {"prompt": "a", "completion": "b"},
            "prompt/completion",
            "its `prompt` and `completion`",
            "prompt_completion_v1",
        ),
        ({"text": "a", "label": True}, "text", "its `text`", "completion_v1"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference pairs", "its `chosen` and `rejected`", None),
        (chat(chosen="b", rejected="c"), "preference pairs", "its `chosen` and `rejected`", None),
        (
            {"prompt": "a", "completion": "b", "label": False},
            "judged answers (KTO)",
            "its `label` of true or false",
            None,
        ),
        (chat(kto_tag=True), "judged answers (KTO)", "its `kto_tag` of true or false", None),
        (
            {"prompt": "a", "completions": ["b"], "labels": [True]},
            "stepwise supervision",
            "its `completions` and `labels`",
            None,
        ),
        (
            {"prompt": "a", "completion": "b", "label": 0},
            "judged answers (KTO)",
            "its `label` of 0 or 1",
            None,
        ),
        (
            {"prompt": "a", "completion": "b", "label": 3},
            "prompt/completion",
            "its `prompt` and `completion`",
            "prompt_completion_v1",
        ),
    ],
)
def test_a_shape_is_known_by_its_columns(row: dict[str, Any], name: str, by: str, schema_id: str | None) -> None:
    """C10: a file of texts is a completion, whatever else has no `messages`."""
    found = recognise(row)
    assert (found.format, found.by, found.spec and found.spec.schema_id) == (name, by, schema_id)


@pytest.mark.parametrize("row", [{}, {"instruction": "a", "response": "b"}, {"prompt": "a", "answer": "b"}])
def test_a_shape_that_is_not_listed_is_an_error_that_names_the_listed_ones(row: dict[str, Any]) -> None:
    """C18: deny by default."""
    with pytest.raises(InvalidInput, match="known are OpenAI chat: `messages`; ShareGPT: `conversations`"):
        recognise(row)


@pytest.mark.parametrize(
    ("schema_id", "name"), [("syllo_v1", "OpenAI chat"), ("completion_v1", "text"), ("alpaca_v1", "Alpaca")]
)
def test_a_declared_spec_names_its_shape(schema_id: str, name: str) -> None:
    found = recognise_declared(schema_id)
    assert (found.format, found.by) == (name, f"the schema_id {schema_id} that it declares")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]},
            "recognised as preference pairs by its `chosen` and `rejected`: there is no method for it yet",
        ),
        (
            {"prompt": "a", "completion": "b", "label": True},
            "recognised as judged answers (KTO) by its `label` of true or false: there is no method for it yet",
        ),
    ],
)
@pytest.mark.parametrize("count", [1, 5])
def test_what_there_is_no_method_for_is_refused_with_one_sentence(
    tmp_path: Path, row: dict[str, Any], sentence: str, count: int
) -> None:
    verdict = judge(tmp_path / "x.jsonl", lines(*[row] * count))
    assert (verdict["accepted"], verdict["schema_id"], verdict["rows"]) == (False, None, count)
    assert [error["message"] for error in verdict["errors"]] == [sentence]
    assert told(verdict) == [(1, None)]
    assert verdict["format"] in sentence


def test_a_file_that_mixes_shapes_is_refused_naming_the_line(tmp_path: Path) -> None:
    alpaca = {"instruction": "a", "output": "b"}
    verdict = judge(tmp_path / "x.jsonl", lines({"conversations": SHARED}, alpaca, {"conversations": SHARED}))
    assert told(verdict) == [(2, "conversations")]
    message = verdict["errors"][0]["message"]
    assert "(Alpaca shape)" in message
    assert "recognised as ShareGPT" in message


def test_a_first_row_of_any_shape_is_data_even_with_metadata(tmp_path: Path) -> None:
    row = {"conversations": SHARED, "metadata": {"source": "hub"}}
    verdict = judge(tmp_path / "x.jsonl", lines(row, row))
    assert (verdict["accepted"], verdict["rows"], verdict["header"]) == (True, 2, None)


@pytest.mark.parametrize("where", ["sidecar", "header"])
def test_a_declared_spec_is_never_left_for_another(tmp_path: Path, where: str) -> None:
    """C18: chat_sft_v1 stays what it is: no tools, and a weight is ignored with a word on who reads it."""
    file = tmp_path / "x.jsonl"
    header = {"schema_id": "chat_sft_v1"}
    if where == "sidecar":
        file.with_name("x.jsonl.meta.json").write_text('{"schema_id": "chat_sft_v1"}')
    question, answer = chat()["messages"]
    weighted = {"messages": [question, {**answer, "weight": 0}]}
    verdict = judge(file, lines(header, weighted))
    assert (verdict["accepted"], verdict["schema_id"]) == (True, "chat_sft_v1")
    assert verdict["warnings"][0]["message"] == "the message key 'weight' is ignored; openai_chat_v1 reads it"
    result = {"messages": [question, answer, {"role": "tool", "content": "7"}]}
    assert told(judge(file, lines(header, result))) == [(2, "messages[2].role")]
