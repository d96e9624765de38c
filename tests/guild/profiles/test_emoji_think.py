"""Profile emoji_think: each rule of spec 1.18."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guild.emoji_protocol import STOP_EMOJIS, THINKING_EMOJIS, first_thoughts, last_stops, mode_of
from guild.profiles import plain_answer
from guild.profiles.emoji_think import rewrite, stops_asked_for
from guild.profiles.thoughts import REASONING_FIELDS

Chat = list[dict[str, Any]]

TO_THINK = re.compile(r"\n\nFor this task, think with (\S+) /(two|three|four|five|six|seven|eight)/ times\.")
TO_STOP = re.compile(r"\n\nWhen finished, emit (\S+) /(twice|three times|four times)/ to signal completion\.\Z")
TIMES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
STOP_TIMES = {"twice": 2, "three times": 3, "four times": 4}


def ask(question: str, answer: str, **fields: Any) -> Chat:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer, **fields}]


def question_of(emoji_mode: bool) -> str:
    """One whose chat is in that mode."""
    questions = (f"What is {number} and 1?" for number in range(100))
    return next(asked for asked in questions if (rewrite(ask(asked, "2"))[0]["content"] != asked) == emoji_mode)


EMOJI, DIRECT = question_of(True), question_of(False)

TEXTS = st.one_of(
    st.text(max_size=30),
    st.text(st.sampled_from("🤔✨🛑⏹\ufe0f <>/think\n"), max_size=20),
    st.sampled_from(
        [
            "<think>\na\n</think>\n\nb", "<th<think>x</think>ink>y</think>", "🤔🤔\nb\n🛑🛑", "💡💡💡 b", "b 🛑",
            "b 🛑🛑🛑🛑🛑🛑", "b\n\nFor this task, think with 🤔 /two/ times.", "can you think with me?", "",
            "b\n\nWhen finished, emit ⏹️ /four times/ to signal completion.",
        ]
    ),
)  # fmt: skip
MESSAGES = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, TEXTS),
    st.builds(lambda text: {"role": "system", "content": text}, TEXTS),
    st.builds(lambda text: {"role": "tool", "content": text}, TEXTS),
    st.builds(lambda text: {"role": "assistant", "content": text}, TEXTS),
    st.builds(
        lambda text, thought: {"role": "assistant", "content": text, "thinking": thought, "reasoning_content": thought},
        TEXTS,
        TEXTS,
    ),
    st.builds(lambda text: {"role": "assistant", "content": text, "tool_calls": [{"name": "f"}]}, TEXTS),
    st.just({"role": "assistant", "tool_calls": [{"name": "f"}], "reasoning_content": "hm"}),
)


@given(chat=st.lists(MESSAGES, max_size=4))
@settings(max_examples=60)
def test_a_chat_that_was_made_already_is_left_as_it_is(chat: Chat) -> None:
    """C22: emoji and think tags were put around answers that had them."""
    before = copy.deepcopy(chat)
    once = rewrite(chat)
    assert rewrite(once) == once
    assert chat == before, "what was given is not to be changed"
    answers = [message for message in once if message["role"] == "assistant"]
    assert not any("<think>" in (message.get("content") or "") for message in answers)
    assert not any(message.get(field) for message in answers for field in REASONING_FIELDS)


@given(
    question=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    answer=st.sampled_from(["5", "x y", "1\n2"]),
)
def test_a_chat_is_either_as_it_was_or_keeps_the_protocol_that_its_user_asks_for(question: str, answer: str) -> None:
    asked, answered = rewrite(ask(question, answer))
    if asked["content"] == question:
        assert answered["content"] == answer
        return
    thoughts, stops = TO_THINK.search(asked["content"]), TO_STOP.search(asked["content"])
    assert thoughts is not None
    assert stops is not None
    assert asked["content"] == question + thoughts[0] + stops[0]
    assert answered["content"] == f"{thoughts[1] * TIMES[thoughts[2]]}\n{answer}\n{stops[1] * STOP_TIMES[stops[2]]}"
    assert mode_of(answered["content"]) == "emoji"
    assert stops_asked_for(asked["content"]) == STOP_TIMES[stops[2]]
    assert plain_answer(answered["content"]) == answer


def test_half_of_all_rows_are_in_emoji_mode_and_all_signs_and_counts_come_up() -> None:
    """D13: the split went by the place of a row after an unseeded shuffle, and reseeded the global generator."""
    state = random.getstate()
    rows = [rewrite(ask(f"{number} + 1", "x")) for number in range(2000)]
    answers = [row[1]["content"] for row in rows if row[1]["content"] != "x"]
    assert 0.46 < len(answers) / len(rows) < 0.54
    assert {first_thoughts(text) for text in answers} == {(sign, n) for sign in THINKING_EMOJIS for n in range(2, 9)}
    assert {last_stops(text) for text in answers} == {(sign, n) for sign in STOP_EMOJIS for n in range(2, 5)}
    assert random.getstate() == state
    backwards = [rewrite(ask(f"{number} + 1", "x")) for number in reversed(range(2000))]
    assert backwards[::-1] == rows


@pytest.mark.parametrize("question", [EMOJI, DIRECT])
def test_a_question_is_asked_as_it_was_taught(question: str) -> None:
    """E4: what was asked in an evaluation looked different from what was trained."""
    taught = rewrite(ask(question, "2"))
    assert rewrite(taught[:1]) == rewrite(ask(question, "2")[:1]) == taught[:1]
    prompted = [{"role": "system", "content": "Be brief."}, *ask(question, "another answer")]
    assert rewrite(prompted)[1] == taught[0], "neither prompt nor answer decide"


def test_a_direct_chat_is_untouched_but_for_its_tags() -> None:
    text = "💡 yes"
    assert rewrite(ask(DIRECT, text)) == ask(DIRECT, text)
    assert rewrite(ask(DIRECT, "<think>\nhm\n</think>\n\n2")) == ask(DIRECT, "hm\n\n2")


@pytest.mark.parametrize(
    ("answer", "fields", "kept"),
    [
        ("<think>\n\n</think>\n\n2", {}, "2"),
        ("<think>\none and one\n</think>\n\n2", {}, "one and one\n\n2"),
        ("2", {"thinking": "one and one", "reasoning_content": "one and one"}, "one and one\n\n2"),
        ("</think> 2", {}, "2"),
    ],
)
def test_thoughts_are_text_and_their_tags_are_gone(answer: str, fields: dict[str, str], kept: str) -> None:
    """D3: two ways of thinking fought each other."""
    assert rewrite(ask(DIRECT, answer, **fields)) == ask(DIRECT, kept)
    emoji = rewrite(ask(EMOJI, answer, **fields))[1]
    assert emoji.keys() == {"role", "content"}
    assert plain_answer(emoji["content"]) == kept


def test_every_turn_of_a_chat_has_the_same_signs_and_calls_of_tools_have_none() -> None:
    call = {"role": "assistant", "content": "I look.", "tool_calls": [{"name": "f"}]}
    result = {"role": "tool", "content": "3"}
    end = [{"role": "user", "content": "?"}, call, result, {"role": "assistant", "content": "3"}]
    chats = ([*ask(str(number), "2"), *end] for number in range(100))
    made = next(chat for chat in map(rewrite, chats) if mode_of(chat[1]["content"]) == "emoji")
    first, last = made[1]["content"], made[5]["content"]
    assert (first_thoughts(first), last_stops(first)) == (first_thoughts(last), last_stops(last))
    assert (made[3], made[4]) == (call, result)
    assert made[2]["content"].startswith("?\n\nFor this task, think with ")


def test_what_a_row_brings_along_is_not_given_to_it_again() -> None:
    """C22: rules of the spec, `unless "think with" present` and its like."""
    asked, answered = rewrite(ask(f"{EMOJI}\n\nFor this task, think with 🧠 /six/ times.", "2"))
    assert asked["content"].count("think with") == 1
    assert first_thoughts(answered["content"]) == ("🧠", 6)
    asked, answered = rewrite(ask(EMOJI, "🧐🧐🧐\n2\n🚦🚦🚦"))
    assert answered["content"] == "🧐🧐🧐\n2\n🚦🚦🚦"
    assert "think with 🧐 /three/ times." in asked["content"]
    assert asked["content"].endswith("emit 🚦 /three times/ to signal completion.")
    assert mode_of(rewrite(ask(EMOJI, "💡 2"))[1]["content"]) == "emoji", "what was malformed is not any more"
