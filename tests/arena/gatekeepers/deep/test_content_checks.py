"""Each content check of DEEP: what it finds, and what it lets pass although it looks like it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arena.gatekeepers.deep.degenerate import poverty
from arena.gatekeepers.deep.encoding import damage
from arena.gatekeepers.deep.flow import flow_faults
from arena.gatekeepers.deep.leakage import leak
from arena.gatekeepers.deep.ratio import disproportion
from arena.gatekeepers.deep.repetition import repetition
from arena.gatekeepers.deep.samples import Answer
from guild.emoji_protocol import stop_fault
from tests.arena.gatekeepers.deep.test_deep_gate import deep
from tests.arena.gatekeepers.proving import messages_of
from tests.arena.gatekeepers.scroll_making import chat, told


@pytest.mark.parametrize(
    ("asked", "text", "what"),
    [
        ("Say: the quick fox", "the quick fox", "the whole answer stands"),
        ("He said: the quick fox\nruns", "the quick fox\nsleeps now", "begins with words of its prompt"),
        ("Is (1 2 3 4 5) sorted?", "Yes: (1 2 3 4 5)", "the numbers (1 2 3 4 5) of the answer"),
        ("Is it A or B?", "B", None),
        ("What is f(2)?", "f(2) is 4, as you see", None),
        ("", "the quick fox", None),
    ],
)
def test_an_answer_that_stands_in_its_prompt_is_a_leak(asked: str, text: str, what: str | None) -> None:
    assert what in (leak(Answer("", text, asked)) or "") if what else leak(Answer("", text, asked)) is None


def test_what_was_said_before_the_last_answer_is_no_prompt(tmp_path: Path) -> None:
    """Only the user's words right before an answer can leak it; a tool's result is there to be used."""
    call = {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {}}]}
    messages = [
        {"role": "user", "content": "Tell me of the quick fox."},
        call,
        {"role": "tool", "content": "the quick fox sleeps"},
        {"role": "assistant", "content": "the quick fox sleeps"},
        {"role": "user", "content": "And then?"},
        {"role": "assistant", "content": "Tell me of the quick fox."},
    ]
    content = deep(tmp_path, {"messages": messages})["content"]
    assert (content["leakage_samples_checked"], content["leakage_found"]) == (1, 0)
    assert content["flow_stats"] == {"checked": 1, "system_not_first": 0, "orphan_assistant": 0, "doubled_roles": 0}


@pytest.mark.parametrize(
    ("text", "issue"),
    [
        ("🤔🤔\nyes\n🛑🛑", None),
        ("💭 yes 🔚🔚🔚🔚 \n", None),
        ("⚡ yes ⏹\ufe0f⏹\ufe0f", None),
        ("🤔 yes", "no stop emoji ends it"),
        ("🤔 yes 🛑", "1 stop emoji ends it"),
        ("🤔 yes 🛑🛑🛑🛑🛑", "5 stop emoji end it"),
        ("🤔 yes 🛑⛔", "1 stop emoji ends it"),
    ],
)
def test_two_to_four_stop_emoji_of_one_kind_end_an_answer(text: str, issue: str | None) -> None:
    """The first system took five and more for an end too."""
    assert stop_fault(text) == issue


def protocol_rows(emoji: int, direct: int) -> list[dict[str, Any]]:
    answers = ["🤔 yes 🛑🛑"] * emoji + ["yes, of course"] * direct
    return [chat(answer, f"{number}?") for number, answer in enumerate(answers)]


def test_every_answer_of_a_chat_is_held_to_the_protocol(tmp_path: Path) -> None:
    """The first system looked at the first answer only."""
    (row,) = protocol_rows(1, 0)
    row["messages"] += chat("🧠 no, never", "And?")["messages"]
    verdict = deep(tmp_path, row)
    assert verdict["content"]["protocol_stats"] == {
        "protocol_checked": 2,
        "emoji_mode_valid": 1,
        "direct_mode_valid": 0,
        "malformed": 1,
        "malformed_details": [{"idx": 0, "preview": "🧠 no, never", "issue": "no stop emoji ends it"}],
        "emoji_mode_pct": 50.0,
        "direct_mode_pct": 0.0,
    }
    assert told(verdict, "warnings") == [(1, "messages[3].content")]


def test_emoji_as_ornament_are_no_broken_protocol(tmp_path: Path) -> None:
    """Profile chatml teaches no protocol, and no answer of the file keeps it."""
    verdict = deep(tmp_path, chat("✨ Welcome, stranger!"))
    assert (verdict["warnings"], verdict["content"]["protocol_stats"]["malformed"]) == ([], 1)


@pytest.mark.parametrize(("emoji", "direct", "warned"), [(10, 10, False), (19, 1, True), (1, 19, True), (18, 1, False)])
def test_a_mix_far_from_half_and_half_is_told_from_20_answers_on(
    tmp_path: Path, emoji: int, direct: int, warned: bool
) -> None:
    messages = messages_of(deep(tmp_path, *protocol_rows(emoji, direct)), "warnings")
    assert any("in emoji mode, the others direct" in message for message in messages) == warned


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("no no No no no", "repeated_words"),
        ("It is a very small world. Yes. It is a very small world.", "repeated_sentences"),
        ("a" * 51, "one_letter"),
        ("no no no no", None),
        ("0 0 0 0 0 0 0", None),
        ("Yes. Yes. Yes.", None),
        ("    return self.value\n" * 3, None),
        ("a" * 50, None),
        ("x" * 300_000 + " y" * 100_000, "repeated_words"),
    ],
)
def test_repetition_is_named_by_its_kind(text: str, kind: str | None) -> None:
    assert (repetition(text) or (None,))[0] == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [(" \n", "empty"), ("?!…", "punctuation_only"), ("42", "too_short"), ("Coal.", None), ("火と水と木", None)],
)
def test_poor_answers_are_named_by_their_kind(text: str, kind: str | None) -> None:
    assert poverty(text) == kind


@pytest.mark.parametrize(
    ("answer", "checked", "invalid"),
    [
        ('{"a": 1}', 1, 0),
        ("{'a': 1}", 1, 1),
        ('[{"a": 1}, {"a": ', 1, 1),
        ("[1, 2, 3", 1, 1),
        ('{"a": 1} is the answer', 1, 1),
        ("[a link](https://example.org)", 0, 0),
        ("[1] The first footnote", 0, 0),
        ("{name} is a placeholder", 0, 0),
    ],
)
def test_an_answer_that_begins_like_json_must_be_json(tmp_path: Path, answer: str, checked: int, invalid: int) -> None:
    verdict = deep(tmp_path, chat(answer, "What is it?"))
    assert verdict["content"]["json_stats"] == {"checked": checked, "invalid": invalid}
    assert told(verdict, "warnings") == [(1, "messages[1].content")] * invalid


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("cafÃ©", "mojibake"),
        ("itâ€™s", "mojibake"),
        ("ðŸ˜€", "mojibake"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "mojibake"),
        ("lost \ufffd", "replacement_characters"),
        ("a\x1b[31m", "control_characters"),
        ("„Das macht Spaß“, «allé…» NÃO Â", None),
        ("tab\tand\r\nline", None),
        ("火 Привет 😀 é", None),
    ],
)
def test_damaged_texts_are_told_from_foreign_ones(text: str, kind: str | None) -> None:
    assert (damage(text) or (None,))[0] == kind


@pytest.mark.parametrize(
    ("roles", "faults"),
    [
        ("system user assistant user assistant", []),
        ("user assistant tool tool assistant", []),
        ("user system assistant", [(1, "system_not_first")]),
        ("system assistant user assistant", [(1, "orphan_assistant")]),
        ("user user assistant assistant", [(1, "doubled_roles")]),
    ],
)
def test_turns_out_of_order_are_named_with_their_place(roles: str, faults: list[tuple[int, str]]) -> None:
    assert list(flow_faults(roles.split())) == faults


@pytest.mark.parametrize(
    ("prompt", "answer", "what"),
    [(2000, 99, "the prompt is 20 times"), (11, 551, "the answer is 50 times"), (400, 1, None), (2, 400, None)],
)
def test_proportions_are_told_of_long_texts_only(prompt: int, answer: int, what: str | None) -> None:
    told = disproportion(Answer("", "a" * answer, "p" * prompt))
    assert told is None if what is None else (told or "").startswith(what)
