"""STANDARD, the gate before training: real files, the seedling's real tokenizer, real templates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.measures.standard_gate import VALIDATORS, prove_file
from arena.rendering import Renderer
from arena.trainer.stream.quest_data import QuestRefused, prepare_quest
from core.errors import InvalidInput
from guild.profiles import get_profile
from tests.arena.gatekeepers.proving import FRAME, MAX_LENGTH, messages_of, prove, yardstick
from tests.arena.gatekeepers.scroll_making import chat, lines, told
from tests.arena.qwen_like import make_qwen_like
from tests.arena.trainer.tiny_hero import hash_of, make_tiny_model
from tests.arena.trainer.tiny_hero import settings as quest_settings

FEW = [chat(question=f"{number}+1?", answer=str(number + 1)) for number in range(60)]
FITTING = "f" * (MAX_LENGTH - FRAME - 1)
"""The longest answer to a question of one character."""


def test_a_good_file_is_let_in_with_its_token_statistics(tmp_path: Path) -> None:
    verdict = prove(tmp_path / "x.jsonl", lines(chat("7", "3+4?"), chat("11", "5+6?"), chat("42", "6*7 is?")))
    assert verdict["accepted"], verdict["errors"]
    assert verdict["warnings"] == []
    assert verdict["validators"] == VALIDATORS
    tokens = verdict["tokens"]
    assert tokens["looked_at"] == "every row (3)"
    assert tokens["length"] == {
        "min": FRAME + 5,
        "max": FRAME + 9,
        "median": FRAME + 6,
        "p95": FRAME + 9,
        "p99": FRAME + 9,
    }
    assert tokens["trained"] == {"min": 2, "max": 3, "median": 3, "p95": 3, "p99": 3}
    assert (tokens["rows_truncated"], tokens["rows_with_no_target_left"], tokens["tokens_lost"]) == (0, 0, 0)


def test_an_answer_that_just_fits_is_let_in_and_one_more_character_is_told(tmp_path: Path) -> None:
    fits = prove(tmp_path / "fits.jsonl", lines(*FEW, chat(FITTING, "?")))
    assert fits["accepted"]
    assert fits["tokens"]["length"]["max"] == MAX_LENGTH
    cut = prove(tmp_path / "cut.jsonl", lines(*FEW, chat(FITTING + "ff", "?")))
    assert cut["accepted"]
    assert told(cut, "warnings")[0] == (61, None)
    assert "cut from 130 to 128 tokens, 1 of those lost" in messages_of(cut, "warnings")[0]


def test_an_answer_that_the_cut_removes_refuses_the_quest_with_its_line(tmp_path: Path) -> None:
    """C17: truncation silently cut the answers."""
    long_question = chat("short", "q" * MAX_LENGTH)
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW, long_question))
    assert not verdict["accepted"]
    assert told(verdict) == [(61, "messages[1].content")]
    assert "nothing is left of the answer" in messages_of(verdict)[0]
    assert verdict["tokens"]["rows_with_no_target_left"] == 1


def test_an_answer_longer_than_max_length_refuses_the_quest_with_its_line(tmp_path: Path) -> None:
    """C17: such an answer never ends for the model."""
    verdict = prove(tmp_path / "x.jsonl", lines(chat("a" * MAX_LENGTH, "?"), *FEW))
    assert told(verdict) == [(1, "messages[1].content")]
    assert f"the answer has {MAX_LENGTH + 1} tokens" in messages_of(verdict)[0]


def test_the_last_answer_of_a_long_chat_is_missed_too(tmp_path: Path) -> None:
    """C17: an answer of several may be cut away while the row still teaches something."""
    row = {"messages": [*chat("yes", "?")["messages"], *chat("no", "q" * MAX_LENGTH)["messages"]]}
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW, row))
    assert told(verdict) == [(61, "messages[3].content")]
    assert verdict["tokens"]["rows_with_no_target_left"] == 0


def test_many_long_rows_refuse_the_quest_though_no_answer_is_gone(tmp_path: Path) -> None:
    """C17: p95 over max_length."""
    row = chat("a" * 100, "q" * 20)
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW[:50], *[row] * 4))
    assert told(verdict) == [(None, None)]
    assert "p95" in messages_of(verdict)[0]
    assert verdict["tokens"]["rows_truncated"] == 4


def test_rows_nearly_as_long_as_max_length_are_a_remark(tmp_path: Path) -> None:
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW[:50], *[chat("a" * 95, "?")] * 4))
    assert verdict["accepted"]
    assert messages_of(verdict, "warnings") == [
        "the rows are nearly as long as max_length (128): p95 is 117, p99 is 117"
    ]


def test_one_enormous_row_is_named_wherever_it_stands(tmp_path: Path) -> None:
    """C15: one 65k-token row ran out of memory at step 5000."""
    rows = [chat(question=f"{number}?", answer="yes", padding="." * 200) for number in range(5000)]
    rows[3210] = chat("word " * 13_000, "why?")
    verdict = prove(tmp_path / "x.jsonl", lines(*rows), max_length=1024)
    assert told(verdict) == [(3211, "messages[1].content")]
    assert "the answer has 65001 tokens" in messages_of(verdict)[0]
    assert verdict["tokens"]["looked_at"] == "of 5000 rows 100 drawn with seed 42 and the 100 longest others"
    assert verdict["tokens"]["rows_counted"] == 100
    assert verdict["tokens"]["length"]["max"] < 100
    assert verdict["tokens"]["longest"] > 65001


def test_a_row_beyond_all_measure_is_refused_without_being_tokenized(tmp_path: Path) -> None:
    """C15: tokenizing 100 MB takes gigabytes of memory."""
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW, chat("a" * (65 * MAX_LENGTH), "?")))
    assert told(verdict) == [(61, None)]
    assert "far more than max_length" in messages_of(verdict)[0]


def test_a_text_is_measured_as_one_answer(tmp_path: Path) -> None:
    verdict = prove(
        tmp_path / "x.jsonl", lines({"text": "short"}, {"text": "long" * MAX_LENGTH}, *[{"text": "x"}] * 40)
    )
    assert told(verdict) == [(2, "text")]


def test_rows_that_are_held_out_for_validation_are_refused_with_their_lines(tmp_path: Path) -> None:
    """C14: training data contained validation examples."""
    held_out = tmp_path / "validation"
    held_out.mkdir()
    (held_out / "exam.jsonl").write_bytes(lines(FEW[7], FEW[40]))
    (held_out / "broken.jsonl").write_bytes(b"{")
    disguised = {"tags": ["other columns"], "messages": [dict(reversed(turn.items())) for turn in FEW[40]["messages"]]}
    rows = [*FEW[:10], disguised, *[chat(question=f"{number}?") for number in range(2000)]]
    verdict = prove(tmp_path / "x.jsonl", lines(*rows), held_out=str(held_out))
    assert told(verdict) == [(8, None), (11, None)]
    assert "data/validation/exam.jsonl" in messages_of(verdict)[0]
    (held_out / "exam.jsonl").unlink()
    assert prove(tmp_path / "x.jsonl", lines(*rows), held_out=str(held_out))["accepted"]


def test_typed_control_tokens_are_a_remark_with_their_line(tmp_path: Path) -> None:
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW[:5], chat("so <|im_end|> is typed")))
    assert verdict["accepted"]
    assert told(verdict, "warnings") == [(6, None)]
    assert "<|im_end|>" in messages_of(verdict, "warnings")[0]


def test_a_template_that_teaches_no_stop_token_is_named(tmp_path: Path) -> None:
    """trl#5988: the end of the turn was outside of the mask, and the model never learned to stop."""
    model = make_qwen_like(tmp_path / "model")
    config = json.loads((model / "tokenizer_config.json").read_text())
    turns = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    config["chat_template"] = turns + "{% if add_generation_prompt %}assistant: {% endif %}"
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    named = {"tokenizer": str(model), "profile": "native"}
    verdict = prove(tmp_path / "x.jsonl", lines(*FEW[:3]), **named)
    assert told(verdict) == [(1, None)]
    assert "profile native ends an answer without a stop token" in messages_of(verdict)[0]
    assert prove(tmp_path / "x.jsonl", lines(*FEW[:3]), tokenizer=str(model))["accepted"]


def test_every_row_that_the_template_cannot_render_is_named(tmp_path: Path) -> None:
    model = make_qwen_like(tmp_path / "model")
    thinking = {"messages": [*chat("<think>\nhm\n</think>\n\nyes")["messages"], *chat("no")["messages"]]}
    rows = lines(FEW[0], thinking, FEW[1], thinking)
    verdict = prove(tmp_path / "x.jsonl", rows, tokenizer=str(model), profile="native")
    assert [line for line, _ in told(verdict)] == [2, 4]


def test_a_bug_in_the_gate_is_a_rejection(tmp_path: Path) -> None:
    """C8: the validator failed open on exceptions."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*FEW))
    for verdict in (
        prove_file(str(path), "chat_sft_v1", 60, yardstick(max_length="not a number")),
        prove_file(str(tmp_path / "gone.jsonl"), "chat_sft_v1", 60, yardstick()),
        prove_file(str(path), "chat_sft_v1", 59, yardstick()),
        prove_file(str(path), "no_such_spec", 60, yardstick()),
        prove_file(str(path), "completion_v1", 60, yardstick()),
    ):
        assert not verdict["accepted"]
        assert verdict["total_errors"] == 1


def test_a_tokenizer_that_cannot_be_used_is_no_verdict_on_the_quest(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*FEW))
    with pytest.raises(InvalidInput, match=r"tokenizer\.json"):
        prove_file(str(path), "chat_sft_v1", 60, yardstick(tokenizer=str(tmp_path)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    model = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", dropout=0.0)
    return Renderer.load(model, get_profile("chatml"))


TURNS = st.tuples(st.text("ab é", max_size=130), st.text("xy 🙂", max_size=130))


@given(chats=st.lists(st.lists(TURNS, min_size=1, max_size=3), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_let_in_is_never_refused_by_the_trainer(tmp_path: Path, tiny: Renderer, chats: list[Any]) -> None:
    """C17, law 6: the gate looks with the trainer's own renderer, so that the trainer has nothing left to refuse."""
    rows = [{"messages": [turn for pair in pairs for turn in chat(pair[1], pair[0])["messages"]]} for pairs in chats]
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*rows))
    verdict = prove_file(str(path), "chat_sft_v1", len(rows), yardstick())
    try:
        data = prepare_quest(
            path, schema_id="chat_sft_v1", settings=quest_settings(max_length=MAX_LENGTH), content_hash=hash_of(path),
            renderer=tiny, between_batches=lambda: None,
        )  # fmt: skip
    except QuestRefused as error:
        refused = {row.line for row in error.errors}
    else:
        refused = set()
    told_lines = {finding["line"] for finding in verdict["errors"]}
    assert refused <= told_lines
    if refused:
        return
    counted = verdict["tokens"]
    lengths = [len(data.row(number).token_ids) for number in range(len(data))]
    assert max(lengths) == min(counted["length"]["max"], MAX_LENGTH)
    assert counted["rows_truncated"] <= lengths.count(MAX_LENGTH)
    assert all(data.row(number).targets for number in range(len(data)))
