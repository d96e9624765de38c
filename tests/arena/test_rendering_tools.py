"""Tools, calls and results, weights and reasoning: rendered as by transformers, and what of it is learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.language.chat_templates import compile_template
from arena.rendering import lost_thoughts
from core.errors import InvalidInput
from guild.profiles import CHATML_TEMPLATE
from tests.arena.qwen_like import make_qwen_like
from tests.arena.renderings import (
    BEFORE_TOOLS,
    Chat,
    assert_equals_transformers,
    assistant,
    load,
    load_hf,
    system,
    trained_text,
    user,
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How is it in the <city>? Größe egal.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
TOOLS = [WEATHER, CLOCK]


def calling(*names: str, content: str = "", **fields: Any) -> dict[str, Any]:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": {"city": "Köln", "n": [n, 0.5]}}}
        for n, name in enumerate(names)
    ]
    return assistant(content, tool_calls=calls, **fields)


def result(content: str) -> dict[str, Any]:
    return {"role": "tool", "content": content}


LOOP: Chat = [
    system("Be brief."),
    user("How is the weather?"),
    calling("weather", content="Let me look."),
    result("rain"),
    calling("weather", "clock"),
    result("12:30"),
    result('{"sky": "grey"}'),
    assistant("It rains."),
]
CHATS: dict[str, Chat] = {
    "loop": LOOP,
    "no system": LOOP[1:],
    "ends with a call": LOOP[:3],
    "no call": [user("hi"), assistant("ho")],
    "late system": [user("hi"), system("Be kind."), assistant("ho")],
    "reasoning": [user("1+1?"), assistant("2", reasoning_content="\none and one\n")],
    "reasoning and call": [user("?"), calling("clock", content="\nwell", reasoning_content="a clock"), result("12:30")],
    "results first": [result("a"), result("b"), assistant("c")],
}


@pytest.fixture(scope="module")
def qwen_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen_like(tmp_path_factory.mktemp("models") / "qwen")


CALLS = [f'{{"name": "{name}", "arguments": {{"city": "Köln", "n": [{n}, 0.5]}}}}' for name, n in
         [("weather", 0), ("weather", 0), ("clock", 1)]]  # fmt: skip
LEARNED = (
    f"Let me look.\n<tool_call>\n{CALLS[0]}\n</tool_call><|im_end|>"
    f"<tool_call>\n{CALLS[1]}\n</tool_call>\n<tool_call>\n{CALLS[2]}\n</tool_call><|im_end|>"
    "It rains.<|im_end|>"
)


@pytest.mark.parametrize("tools", [None, TOOLS], ids=["no tools", "tools"])
@pytest.mark.parametrize("profile", ["chatml", "native"])
@pytest.mark.parametrize("name", CHATS)
def test_chats_with_tools_equal_those_of_transformers(
    qwen_dir: Path, profile: str, name: str, tools: list[dict[str, Any]] | None
) -> None:
    row = load(qwen_dir, profile).render(messages=CHATS[name], tools=tools)
    assert_equals_transformers(row, load_hf(qwen_dir, profile), CHATS[name], tools)


@pytest.mark.parametrize("name", CHATS)
def test_chatml_writes_tools_and_calls_as_qwen3_does(qwen_dir: Path, name: str) -> None:
    """D3: all but the empty thought that Qwen3's own template puts before the last answer."""
    rows = [load(qwen_dir, profile).render(messages=CHATS[name], tools=TOOLS) for profile in ("chatml", "native")]
    assert rows[0].text == rows[1].text.replace("<think>\n\n</think>\n\n", "")


@pytest.mark.parametrize("profile", ["chatml", "native"])
def test_calls_are_learned_with_their_stop_token_and_results_are_not(qwen_dir: Path, profile: str) -> None:
    """D1, D2: what was learned was not what the assistant said."""
    row = load(qwen_dir, profile).render(messages=LOOP, tools=TOOLS)
    learned = trained_text(row, load_hf(qwen_dir, profile))
    # Qwen3's own template opens the last answer with an empty thought, which is learned like the rest of it.
    assert learned.replace("<think>\n\n</think>\n\n", "") == LEARNED
    assert ("<think>" in learned) == (profile == "native")
    assert all(text not in learned for text in ("rain<", "12:30", "grey", "# Tools", "Be brief."))


def test_a_system_prompt_stands_before_the_tools(qwen_dir: Path) -> None:
    """D5: the system prompt was hard-coded and the argument ignored."""
    row = load(qwen_dir).render(messages=LOOP[1:], system_prompt="Be brief.", tools=TOOLS)
    assert row == load(qwen_dir).render(messages=LOOP, tools=TOOLS)
    assert row.text.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n\n")


def test_rows_bring_their_tools_along(qwen_dir: Path) -> None:
    renderer = load(qwen_dir)
    rows = renderer.render_many([{"messages": LOOP, "tools": TOOLS}, {"messages": LOOP}])
    assert rows == [renderer.render(messages=LOOP, tools=TOOLS), renderer.render(messages=LOOP)]


@pytest.mark.parametrize("profile", ["chatml", "native"])
def test_what_stands_before_an_answer_lists_the_tools(qwen_dir: Path, profile: str) -> None:
    """D4: what is asked at evaluation is what was learned."""
    asked = load_hf(qwen_dir, profile).apply_chat_template(
        LOOP[:-1], tools=TOOLS, add_generation_prompt=True, tokenize=False
    )
    row = load(qwen_dir, profile).render(messages=LOOP, tools=TOOLS)
    assert row.text[: row.target_spans[-1][0]] == asked


@pytest.mark.parametrize("profile", ["chatml", "native"])
def test_a_turn_of_weight_0_is_rendered_but_not_learned(qwen_dir: Path, profile: str) -> None:
    renderer = load(qwen_dir, profile)
    for number in (2, 4, 7):
        chat = [{**message, "weight": 0} if n == number else message for n, message in enumerate(LOOP)]
        whole, part = renderer.render(messages=LOOP), renderer.render(messages=chat)
        assert (part.text, part.token_ids) == (whole.text, whole.token_ids)
        left = {2: [1, 2], 4: [0, 2], 7: [0, 1]}[number]
        assert part.target_spans == [whole.target_spans[n] for n in left]
        assert 0 < part.target_tokens < whole.target_tokens


def test_a_template_that_rewrites_a_turn_after_its_result_is_refused(qwen_dir: Path) -> None:
    """D3: Qwen3's template drops <think> from the turns before the last question, so that no mask fits."""
    with pytest.raises(InvalidInput, match="profile chatml"):
        load(qwen_dir, "native").render(messages=[*LOOP, user("thanks"), assistant("my pleasure")], tools=TOOLS)


def test_a_chat_with_tools_may_begin_with_an_answer(qwen_dir: Path) -> None:
    """ShareGPT sets have such chats; the whole file was refused with an error of the template engine."""
    rendered = load(qwen_dir, "chatml").render(messages=[assistant("Hello!"), *LOOP[1:3]], tools=TOOLS)
    assert trained_text(rendered, load_hf(qwen_dir, "chatml")).startswith("Hello!<|im_end|>")
    with pytest.raises(InvalidInput, match="takes no chat that begins with an answer"):
        load(qwen_dir, "native").render(messages=[assistant("Hello!"), *LOOP[1:3]], tools=TOOLS)


def test_thoughts_that_the_template_leaves_out_are_found(qwen_dir: Path) -> None:
    """D3: Qwen3's template and the data disagreed about <think>."""
    chat = [
        user("1+1?"),
        assistant("2", reasoning_content="one and one"),
        user("2+2?"),
        assistant("<think>\ntwo and two\n</think>\n\n4"),
        user("3+3?"),
        assistant("6", thinking="three and three"),
    ]
    native = load_hf(qwen_dir, "native").apply_chat_template(chat, tokenize=False)
    assert isinstance(native, str)
    assert lost_thoughts(chat, native) == [1, 3]
    assert lost_thoughts(chat, load(qwen_dir).render(messages=chat).text) == []


OLD_TEMPLATE, NEW_TEMPLATE = compile_template(BEFORE_TOOLS), compile_template(CHATML_TEMPLATE)
PLAIN_MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text(max_size=8) | st.just("\n{{ x }}\n")}
)


@given(messages=st.lists(PLAIN_MESSAGES, max_size=6), generation=st.booleans())
@settings(deadline=None)
def test_plain_chats_are_rendered_as_before_there_were_tools(messages: Chat, generation: bool) -> None:
    """A journal of then must be replayed with the same tokens (DESIGN law 3)."""
    old, new = (
        template.render(messages=messages, tools=None, add_generation_prompt=generation)
        for template in (OLD_TEMPLATE, NEW_TEMPLATE)
    )
    assert old == new


def test_arguments_in_a_string_are_written_as_they_are(qwen_dir: Path) -> None:
    """The gates hand objects over; a chat from elsewhere may still have the string of OpenAI."""
    call = {"name": "clock", "arguments": json.dumps({"city": "Köln"}, ensure_ascii=False)}
    chat = [user("?"), assistant("", tool_calls=[call])]
    row = load(qwen_dir).render(messages=chat)
    assert row.text.endswith('<tool_call>\n{"name": "clock", "arguments": {"city": "Köln"}}\n</tool_call><|im_end|>\n')
    assert_equals_transformers(row, load_hf(qwen_dir), chat)
