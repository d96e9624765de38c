"""The fast way through the gates lets nothing through that the thorough one would name, and is taken for plain rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.plain_rows import PlainRows
from arena.gatekeepers.quest_specs import SPECS
from arena.gatekeepers.row_reader import read_rows
from arena.gatekeepers.scrolls.json_keys import duplicate_key, keys_held, keys_written
from arena.gatekeepers.scrolls.json_lines import BLOCK_BYTES, decode
from tests.arena.gatekeepers.scroll_making import chat, judge, lines

CHATS = SPECS["chat_sft_v1"]

SPACES = st.sampled_from(["", "", "", " ", "  ", "\t", "\r"])
KEYS = st.sampled_from(["role", "content", "content", "a", ":", 'q"', "\\", "tags"]).map(json.dumps) | st.just(
    '"c\\u006fntent"'
)
STRINGS = st.sampled_from(["", "a", ":", '":', '"', "\\", '\\"', '\\\\":"', "{", "user", "role"]).map(json.dumps)


@st.composite
def objects(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    """JSON text of an object with free white space and, now and then, a key twice."""
    pairs = [
        draw(SPACES) + draw(KEYS) + draw(SPACES) + ":" + draw(SPACES) + draw(values)
        for _ in range(draw(st.integers(0, 4)))
    ]
    return "{" + ",".join(pairs) + "}"


VALUES = st.recursive(
    STRINGS | st.sampled_from(["1", "null", "true"]),
    lambda inner: objects(inner) | st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
    max_leaves=8,
)
MESSAGES = st.one_of(
    st.just('{"role":"user","content":"a"}'),
    st.just('{"role": "assistant", "content": "\\" b\\\\"}'),
    st.just('{"role": "assistant", "content": "\\u0022"}'),
    st.just('{"role":"assistant","content":"a","content":"b"}'),
    st.just('{"role":"user","role":"assistant","c\\u006fntent":"a","content":"b"}'),
    st.just('{"role":"assistant","content":" "}'),
    st.just('{"role":"assistant","content":"a","weight":0}'),
    objects(STRINGS),
)
SHARED = st.one_of(
    st.sampled_from(["human", "gpt", "user", "assistant", "system", "tool", "bot"]).map(
        lambda speaker: '{"from":"' + speaker + '","value":"<a> \\"b\\""}'
    ),
    st.just('{"from":"gpt","value":"a","value":"b"}'),
    st.just('{"value":" ","from":"gpt"}'),
)


def talks(column: str, first: tuple[str, str], turns: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """JSON text of a column of turns: a whole exchange first, more often than not."""
    openings = st.sampled_from([list(first), list(first), []])
    return st.builds(
        lambda opening, rest: f'"{column}":[{",".join(opening + rest)}]', openings, st.lists(turns, max_size=2)
    )


FIRST_COLUMNS = {
    "chat_sft_v1": talks(
        "messages", ('{"role":"user","content":"a"}', '{"role":"assistant","content":"\\"b"}'), MESSAGES
    ),
    "sharegpt_v1": talks("conversations", ('{"from":"human","value":"a"}', '{"from":"gpt","value":"b"}'), SHARED),
    "alpaca_v1": st.builds('"instruction":{},"output":{}'.format, STRINGS, STRINGS),
    "prompt_completion_v1": st.builds('"prompt":{},"completion":{}'.format, STRINGS, STRINGS),
    "completion_v1": STRINGS.map('"text":{}'.format),
}
NAMES = st.sampled_from(["system", "system_prompt", "tools", "input", "history", "functions", "label"]).map(json.dumps)


@st.composite
def rows_of(draw: st.DrawFn, schema_id: str) -> str:
    """JSON text of a row of that shape, with columns of all kinds after the first one, some of them twice."""
    extras = st.builds(lambda key, value: f",{key}:{value}", KEYS | NAMES, VALUES)
    return "{" + draw(FIRST_COLUMNS[schema_id]) + "".join(draw(st.lists(extras, max_size=2))) + "}"


SHAPED_ROWS = st.sampled_from(list(FIRST_COLUMNS)).flatmap(
    lambda schema_id: st.tuples(st.just(schema_id), st.lists(rows_of(schema_id), min_size=1, max_size=4))
)


def has_duplicates(text: str) -> bool:
    """The plain way to find a key that stands twice, to compare with."""
    twice = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal twice
        twice = twice or len({key for key, _ in pairs}) < len(pairs)

    json.loads(text, object_pairs_hook=look)
    return twice


@settings(deadline=None)
@given(VALUES)
def test_counting_keys_finds_exactly_the_duplicate_ones(text: str) -> None:
    """Duplicate keys are named, whatever stands in the strings around them."""
    line = text.encode()
    found = keys_written(line) != keys_held(decode(line))
    assert found == has_duplicates(text) == (duplicate_key(line) is not None)


@pytest.fixture(scope="module")
def scroll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scrolls") / "x.jsonl"


PLAIN = '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]'


@settings(deadline=None, max_examples=150)
@given(SHAPED_ROWS)
@example(("chat_sft_v1", [PLAIN + ',"tags":{"a":1,"a":2}}']))
@example(("chat_sft_v1", [PLAIN + ',"a":1,"a":"b"}']))
@example(("chat_sft_v1", [PLAIN + ',"tags":"\\u0022\\u0022\\u0022\\u0022","a":"","a":1}']))
@example(("sharegpt_v1", ['{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}],"system":7}']))
@example(("alpaca_v1", ['{"instruction":"a","output":"b","history":[["a",""]]}']))
def test_rows_that_the_fast_way_calls_plain_have_no_findings(scroll: Path, shaped: tuple[str, list[str]]) -> None:
    """A file below the size of a block is judged the thorough way."""
    schema_id, rows = shaped
    data = "\n".join(rows).encode() + b"\n"
    assert len(data) < BLOCK_BYTES
    plain_rows = PlainRows(SPECS[schema_id], json.loads(rows[0]))
    plain = plain_rows.count(data)
    verdict = judge(scroll, data)
    if plain is None:
        assert plain_rows.answers == 0
        return
    assert (verdict["accepted"], verdict["schema_id"], verdict["rows"]) == (True, schema_id, len(rows))
    assert plain == len(rows)
    assert all("ignored" in warning["message"] for warning in verdict["warnings"])
    turns = [message for row in read_rows(scroll, schema_id) for message in row.messages or []]
    assert plain_rows.answers == sum(message["role"] == "assistant" for message in turns)


TEXTS = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: bool(text.strip()))
SCALARS = st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans() | st.none()
EXTRAS = st.fixed_dictionaries(
    {}, optional={"tags": st.lists(SCALARS), "difficulty": SCALARS, "id": st.dictionaries(TEXTS, SCALARS)}
)


@settings(deadline=None)
@given(st.lists(st.builds(lambda answer, extras: chat(answer, **extras), TEXTS, EXTRAS), min_size=1), st.booleans())
def test_ordinary_rows_take_the_fast_way(rows: list[dict[str, Any]], ascii_only: bool) -> None:
    data = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode()
    assert PlainRows(CHATS, ["messages", "tags", "difficulty", "id"]).count(data) == len(rows)


@pytest.mark.parametrize(
    "column", ['q"', "\\", "\n", "\0", "", "data", "extra0", "self", "é", "\x7f", "a b", "messages "]
)
def test_a_column_may_have_any_name(scroll: Path, column: str) -> None:
    rows = [{**chat(), column: number} for number in range(1000)]
    assert judge(scroll, lines(*rows))["rows"] == 1000
    assert judge(scroll, lines(*rows, b"{"))["total_errors"] == 1
    assert judge(scroll, lines(*rows))["accepted"]


ORDINARY: dict[str, dict[str, Any]] = {
    "completion_v1": {"text": 'a "quoted" word', "id": 5, "label": 1},
    "openai_chat_v1": chat('a "quoted" word', tools=None),
    "sharegpt_v1": {
        "conversations": [
            {"from": "system", "value": "é"},
            {"from": "human", "value": "a"},
            {"from": "gpt", "value": 'b\n"'},
        ],
        "tools": "",
        "id": "x",
    },
    "alpaca_v1": {"instruction": "a", "input": "", "output": 'b "c"', "history": [], "system": None},
    "prompt_completion_v1": {"prompt": "a\\b", "completion": " b", "meta": {"a": ["b"]}, "label": "good"},
}


@pytest.mark.parametrize("schema_id", ORDINARY)
def test_ordinary_rows_of_every_shape_take_the_fast_way(schema_id: str) -> None:
    """Duplicate keys, blank answers and a line of two rows do not."""
    row = ORDINARY[schema_id]
    spec = SPECS[schema_id]
    plain = PlainRows(spec, row)
    one = lines(row)
    assert plain.count(one * 3) == 3
    assert plain.count(one + lines({name: row[name] for name in spec.required_columns})) == 2
    assert plain.count(one + one.strip() + one) is None
    assert plain.count(one.replace(b"{", b'{"id":1,"id":2,', 1)) is None
    blank = {**row, spec.answer_column: " "} if isinstance(row[spec.answer_column], str) else {**row, "x": 1}
    assert plain.count(one + lines(blank)) is None
