"""The fast way through the gates lets nothing through that the thorough one would name, and is taken for plain rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.json_keys import duplicate_key, keys_held, keys_written
from arena.gatekeepers.json_lines import BLOCK_BYTES, decode
from arena.gatekeepers.plain_rows import PlainRows
from arena.gatekeepers.quest_specs import SPECS
from tests.arena.gatekeepers.scrolls import chat, judge, lines

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
    STRINGS | st.sampled_from(["1", "null"]),
    lambda inner: objects(inner) | st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
    max_leaves=8,
)
MESSAGES = st.one_of(
    st.just('{"role":"user","content":"a"}'),
    st.just('{"role": "assistant", "content": "\\" b\\\\"}'),
    st.just('{"role":"assistant","content":"a","content":"b"}'),
    st.just('{"role":"user","role":"assistant","c\\u006fntent":"a","content":"b"}'),
    st.just('{"role":"assistant","content":" "}'),
    objects(STRINGS),
)
ROWS = st.builds(
    lambda messages, extras: (
        '{"messages":[' + ",".join(messages) + "]" + "".join("," + extra for extra in extras) + "}"
    ),
    st.lists(MESSAGES, min_size=1, max_size=3),
    st.lists(st.builds(lambda key, value: key + ":" + value, KEYS, VALUES), max_size=2),
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


@settings(deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=4))
@example(rows=['{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"tags":{"a":1,"a":2}}'])
@example(rows=['{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}],"a":1,"a":"b"}'])
def test_rows_that_the_fast_way_calls_plain_have_no_findings(scroll: Path, rows: list[str]) -> None:
    """A file below the size of a block is judged the thorough way."""
    data = "\n".join(rows).encode() + b"\n"
    assert len(data) < BLOCK_BYTES
    plain = PlainRows(CHATS, json.loads(rows[0])).count(data)
    verdict = judge(scroll, data)
    if plain is not None:
        assert (verdict["accepted"], verdict["rows"]) == (True, plain == len(rows) and plain)
        assert all("ignored" in warning["message"] for warning in verdict["warnings"])


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


def test_ordinary_texts_take_the_fast_way() -> None:
    plain = PlainRows(SPECS["completion_v1"], ["text", "id"])
    assert plain.count(lines({"text": 'a "quoted" word'}, {"text": "b", "id": 5})) == 2
    assert plain.count(lines({"text": "a"}, {"text": " "})) is None
    assert plain.count(lines({"text": "a"}, b'{"text":"a","text":"b"}')) is None
