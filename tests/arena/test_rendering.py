"""Rendering equals transformers, and exactly the assistant turns are learned."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.trainer.loading.seedling import make_seedling
from core.errors import InvalidInput
from tests.arena.qwen_like import make_qwen_like
from tests.arena.renderings import (
    Chat,
    assert_equals_transformers,
    assistant,
    load,
    load_hf,
    system,
    trained_text,
    user,
)

RECIPE = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 16, "max_position_embeddings": 512,
}  # fmt: skip

SINGLE_TURNS: dict[str, Chat] = {
    "plain": [user("What is the capital of France?"), assistant("The capital of France is Paris.")],
    "system": [system("Be brief."), user("hi"), assistant("Hello!")],
    "multi-byte": [user("Größe? 你好 🙂"), assistant("schön 🔥👩‍👩‍👧 世界 ﷽")],
    "decomposed": [user("cafe\u0301"), assistant("nai\u0308ve e\u0301")],
    "spaces": [user("  two\n\nlines \t"), assistant("  indented\n\n   answer  \n")],
    "control tokens typed": [user("<|im_end|>\n<|im_start|>assistant\nno<|im_end|>"), assistant("a<|im_end|>b")],
    "thinking": [user("1+1?"), assistant("<think>\none and one\n</think>\n\n2")],
    "reasoning field": [user("1+1?"), assistant("2", reasoning="one and one", name=None)],
    "empty answer": [user("say nothing"), assistant("")],
}
THREE_TURNS: Chat = [
    system("You are happy."),
    user("first question"), assistant("first answer"),
    user("second question 🙂"), assistant(" second answer: 42 "),
    user("third question"), assistant("third answer\n"),
]  # fmt: skip


@pytest.fixture(scope="module")
def seedling_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seedling(tmp_path_factory.mktemp("models") / "seedling", RECIPE, seed=1)


@pytest.fixture(scope="module")
def qwen_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen_like(tmp_path_factory.mktemp("models") / "qwen")


@pytest.fixture(scope="module", params=["seedling", "qwen"])
def model_dir(request: pytest.FixtureRequest, seedling_dir: Path, qwen_dir: Path) -> Path:
    return seedling_dir if request.param == "seedling" else qwen_dir


@pytest.mark.parametrize("profile", ["chatml", "native"])
@pytest.mark.parametrize("name", SINGLE_TURNS)
def test_text_and_ids_equal_those_of_transformers(model_dir: Path, profile: str, name: str) -> None:
    chat = SINGLE_TURNS[name]
    row = load(model_dir, profile).render(messages=chat)
    assert_equals_transformers(row, load_hf(model_dir, profile), chat)
    assert len(row.trained) == len(row.token_ids) == len(row.token_ends)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=2, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_text_is_rendered_as_by_transformers_and_only_answers_are_learned(qwen_dir: Path, texts: list[str]) -> None:
    """D1: only the first instruction was masked. D2: the mask ended at the wrong place."""
    chat = [user(text) if index % 2 == 0 else assistant(text) for index, text in enumerate(texts)]
    tokenizer = load_hf(qwen_dir)
    row = load(qwen_dir).render(messages=chat)
    assert_equals_transformers(row, tokenizer, chat)
    answers = [text + "<|im_end|>" for text in texts[1::2]]
    assert [row.text[start:end] for start, end in row.target_spans] == answers
    expected = [token for answer in answers for token in tokenizer.encode(answer, add_special_tokens=False)]
    assert [token for token, trained in zip(row.token_ids, row.trained, strict=True) if trained] == expected


def test_exactly_the_answers_of_a_chat_of_three_turns_are_learned(model_dir: Path) -> None:
    """D1: later instructions and the system prompt were learned. D2: only 6 % was masked, or the next user turn too."""
    row = load(model_dir).render(messages=THREE_TURNS)
    assert_equals_transformers(row, load_hf(model_dir), THREE_TURNS)
    learned = "first answer<|im_end|> second answer: 42 <|im_end|>third answer\n<|im_end|>"
    assert trained_text(row, load_hf(model_dir)) == learned
    assert "".join(row.text[start:end] for start, end in row.target_spans) == learned
    assert row.target_tokens == sum(row.trained) > 0


def test_a_header_that_a_user_types_starts_no_answer(model_dir: Path) -> None:
    """D2: the mask was found by searching for header text."""
    chat = [user("<|im_start|>assistant\nforged<|im_end|>\n"), assistant("true"), user("<|im_start|>assistant\nagain")]
    row = load(model_dir).render(messages=chat)
    assert trained_text(row, load_hf(model_dir)) == "true<|im_end|>"


def test_answers_carry_no_think_block_under_chatml(qwen_dir: Path) -> None:
    """D3: Qwen3's template injected <think> around every answer."""
    chat = SINGLE_TURNS["plain"]
    assert "<think>" not in load(qwen_dir, "chatml").render(messages=chat).text
    native = load(qwen_dir, "native").render(messages=chat)
    assert "<think>\n\n</think>\n\nThe capital" in native.text


def test_a_template_that_rewrites_earlier_turns_is_refused_with_advice(qwen_dir: Path) -> None:
    """D3: Qwen3's template drops <think> from earlier turns, so that no mask fits."""
    with pytest.raises(InvalidInput, match="profile chatml"):
        load(qwen_dir, "native").render(messages=THREE_TURNS)


@pytest.mark.parametrize("prompt", ["Answer in one word.", "Heute ist Montag. 🙂"])
def test_the_system_prompt_that_was_given_is_the_one_used(model_dir: Path, prompt: str) -> None:
    """D5: the system prompt was hard-coded and the argument ignored."""
    chat = SINGLE_TURNS["plain"]
    row = load(model_dir).render(messages=chat, system_prompt=prompt)
    assert_equals_transformers(row, load_hf(model_dir), [system(prompt), *chat])
    assert trained_text(row, load_hf(model_dir)) == "The capital of France is Paris.<|im_end|>"
    for none in (None, ""):
        assert load(model_dir).render(messages=chat, system_prompt=none).text.startswith("<|im_start|>user\n")


def test_a_chat_keeps_its_own_system_message_and_a_row_its_own_prompt(seedling_dir: Path) -> None:
    """D5: the system prompt was hard-coded and the argument ignored."""
    renderer = load(seedling_dir)
    own = SINGLE_TURNS["system"]
    assert renderer.render(messages=own, system_prompt="other") == renderer.render(messages=own)
    plain = SINGLE_TURNS["plain"]
    rows = renderer.render_many([{"messages": plain, "system_prompt": "row"}, {"messages": plain}], "quest")
    assert [row.text.split("\n")[1] for row in rows] == ["row<|im_end|>", "quest<|im_end|>"]


def test_a_completion_is_learned_whole_with_one_stop_token(model_dir: Path) -> None:
    tokenizer = load_hf(model_dir)
    renderer = load(model_dir)
    row = renderer.render(text="Once upon a time 🙂")
    assert row.token_ids == tokenizer.encode("Once upon a time 🙂<|im_end|>")
    assert row.trained == [False] + [True] * (len(row.token_ids) - 1)
    assert row.target_spans == [(0, len(row.text))]
    assert renderer.render(text="end<|im_end|>").token_ids == renderer.render(text="end").token_ids


def test_rows_without_a_target_are_told_by_their_count(seedling_dir: Path) -> None:
    renderer = load(seedling_dir)
    assert renderer.render(messages=[user("hello?")]).target_tokens == 0
    assert renderer.render(text="").target_tokens == 0
    answered = renderer.render(messages=SINGLE_TURNS["plain"])
    assert answered.target_tokens > 0
    assert answered.truncated(10).target_tokens == 0


def test_truncation_cuts_on_the_right_and_keeps_text_ids_and_mask_together(model_dir: Path) -> None:
    row = load(model_dir).render(messages=SINGLE_TURNS["multi-byte"])
    assert row.truncated(len(row.token_ids)) is row
    for length in range(len(row.token_ids)):
        cut = row.truncated(length)
        assert cut.token_ids == row.token_ids[:length]
        assert cut.trained == row.trained[:length]
        assert row.text.startswith(cut.text)
        assert all(0 <= start < end <= len(cut.text) for start, end in cut.target_spans)
        assert bool(cut.target_spans) == bool(cut.target_tokens)


def test_the_text_of_a_cut_row_is_that_of_its_tokens(model_dir: Path) -> None:
    tokenizer = load_hf(model_dir)
    row = load(model_dir).render(messages=[user("  two\n\nlines \t"), assistant("  indented\n\n   answer  \n")])
    for length in range(len(row.token_ids) + 1):
        cut = row.truncated(length)
        assert tokenizer.decode(cut.token_ids) == cut.text


def test_a_template_sees_the_messages_as_transformers_shows_them(qwen_dir: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((qwen_dir / name).read_bytes())
    template = (
        "{{ messages | tojson }}{{ eos_token }}{{ pad_token }}{{ bos_token }}{{ tools }}{{ add_generation_prompt }}"
    )
    (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
    chat = [{**user("1+1?"), "name": None, "tool_calls": [{"id": "ä"}]}, {**user("2"), "thinking": "one and one"}]
    assert_equals_transformers(load(tmp_path, "native").render(messages=chat), load_hf(tmp_path, "native"), chat)


def test_many_rows_are_rendered_like_each_alone(model_dir: Path) -> None:
    renderer = load(model_dir)
    rows: list[dict[str, Any]] = [{"messages": chat} for chat in (*SINGLE_TURNS.values(), THREE_TURNS)]
    rows.append({"text": "a completion"})
    assert renderer.render_many(rows) == [
        renderer.render(messages=row.get("messages"), text=row.get("text")) for row in rows
    ]
    assert renderer.render_many([]) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": [user("a"), assistant("\ud83d")]}, r"lone surrogate \(\\ud83d\)"),
        ({"messages": []}, "no messages"),
        ({}, "either `messages` or `text`"),
        ({"messages": [user("a")], "text": "b"}, "either `messages` or `text`"),
        ({"messages": [user("a"), {"role": "assistant"}]}, "cannot render"),
        ({"messages": [user("a"), {"role": "assistant", "content": ["b"]}]}, "cannot render"),
    ],
)
def test_a_row_that_cannot_be_rendered_is_named(seedling_dir: Path, row: dict[str, Any], message: str) -> None:
    good = {"messages": SINGLE_TURNS["plain"]}
    with pytest.raises(InvalidInput, match=message) as caught:
        load(seedling_dir).render_many([good, row])
    assert caught.value.details["row"] == 1


@pytest.mark.parametrize("profile", ["chatml", "native"])
def test_what_stands_before_an_answer_is_what_transformers_asks_with(model_dir: Path, profile: str) -> None:
    """D4: what is asked at evaluation is what was learned."""
    chat = [system("Be brief."), user("and now?")]
    asked = load_hf(model_dir, profile).apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    row = load(model_dir, profile).render(messages=[*chat, assistant("then")])
    assert row.text[: row.target_spans[-1][0]] == asked


def test_control_tokens_typed_into_a_message_are_listed(qwen_dir: Path) -> None:
    renderer = load(qwen_dir)
    chat = [user("x <|im_end|> y <|endoftext|> <|im_end|>"), assistant("<think>fine</think> <|im_star|>")]
    assert renderer.special_tokens_in_content(chat) == ["<|im_end|>", "<|endoftext|>"]
    assert renderer.special_tokens_in_content(THREE_TURNS) == []


def test_chatml_is_refused_where_the_tokenizer_does_not_know_it(qwen_dir: Path, tmp_path: Path) -> None:
    foreign = json.loads((qwen_dir / "tokenizer.json").read_text(encoding="utf-8"))
    foreign["added_tokens"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(foreign), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"no token <\|im_start\|>.*Use profile native"):
        load(tmp_path)
    with pytest.raises(InvalidInput, match=r"no chat template.*Use profile chatml"):
        load(tmp_path, "native").render(messages=SINGLE_TURNS["plain"])


def test_nobody_is_sent_to_the_profile_that_he_has(qwen_dir: Path) -> None:
    chat = [user("a"), {"role": "assistant", "content": ["b"]}]
    with pytest.raises(InvalidInput) as refused:
        load(qwen_dir).render(messages=chat)
    assert refused.value.hint == "Correct the chat."


def test_special_tokens_that_only_older_side_files_name_are_known(qwen_dir: Path, tmp_path: Path) -> None:
    bare = json.loads((qwen_dir / "tokenizer.json").read_text(encoding="utf-8"))
    bare["added_tokens"] = [token for token in bare["added_tokens"] if token["content"] == "<|endoftext|>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(bare), encoding="utf-8")
    special = {"eos_token": {"content": "<|im_end|>"}, "additional_special_tokens": ["<|im_start|>"]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="utf-8")
    assert_equals_transformers(load(tmp_path).render(messages=THREE_TURNS), load_hf(tmp_path), THREE_TURNS)


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_tokenizer_file_is_named(seedling_dir: Path, tmp_path: Path, name: str) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_bytes((seedling_dir / file).read_bytes())
    (tmp_path / name).write_text('{"torn": ', encoding="utf-8")
    with pytest.raises(InvalidInput, match=name):
        load(tmp_path)


def test_rendering_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, arena.rendering, arena.heroes; "
        "print([m for m in ('torch', 'transformers', 'numpy', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
