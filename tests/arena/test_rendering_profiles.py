"""Profiles in the one renderer: what they make of a chat is what gates, Inspector, trainer and examinations see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arena.gatekeepers.measures.renderers import load_renderer
from arena.rendering import Renderer, lost_thoughts
from arena.tokens.token_recipe import TokenRecipe
from guild.emoji_protocol import mode_of
from guild.profiles import CHATML_TEMPLATE, get_profile, plain_answer, profile_names
from guild.profiles.emoji_think import SYSTEM_PROMPT
from tests.arena.qwen_like import make_qwen_like
from tests.arena.renderings import Chat, assistant, load, system, user
from tests.arena.trainer.tiny_hero import make_tiny_model

OTHER_PROFILES = ["emoji_think", "regime3"]
LLAMA_LIKE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}<|endoftext|>{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def qwen_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen_like(tmp_path_factory.mktemp("models") / "qwen")


@pytest.fixture(scope="module")
def seedling_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "seedling", dropout=0.0)


def chats(count: int = 8) -> list[Chat]:
    """In both modes of emoji_think."""
    return [[user(f"What is {number} and 1?"), assistant(str(number + 1))] for number in range(count)]


def taught(renderer: Renderer, chat: Chat) -> str:
    """The text that is learned of the chat's only answer, with its end."""
    row = renderer.render(messages=chat)
    ((start, end),) = row.target_spans
    return row.text[start:end]


@pytest.mark.parametrize("profile", OTHER_PROFILES)
def test_a_template_that_thinks_by_itself_is_replaced_by_plain_chatml(qwen_dir: Path, profile: str) -> None:
    """D3: Qwen3's template put <think> around every answer, against the profile."""
    for chat in [*chats(), [user("1+1?"), assistant("2", reasoning="one and one")]]:
        row = load(qwen_dir, profile).render(messages=chat)
        assert "think>" not in row.text
        made = [{"role": "system", "content": get_profile(profile).system_prompt}, *chat]
        rewritten = (get_profile(profile).rewrite or list)(made)
        assert row.text == "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in rewritten)
        assert lost_thoughts(chat, row.text) == []


@pytest.mark.parametrize("profile", OTHER_PROFILES)
def test_a_template_without_thoughts_stays_and_a_model_without_one_gets_chatml(
    qwen_dir: Path, tmp_path: Path, profile: str
) -> None:
    config = json.loads((qwen_dir / "tokenizer_config.json").read_text())
    for template in (LLAMA_LIKE, None):
        (qwen_copy := tmp_path / str(template is None)).mkdir()
        (qwen_copy / "tokenizer.json").write_bytes((qwen_dir / "tokenizer.json").read_bytes())
        (qwen_copy / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": template}))
        text = load(qwen_copy, profile).render(messages=chats(1)[0]).text
        assert text.startswith("[system] " if template else "<|im_start|>system\n")
    assert get_profile(profile).template_over(CHATML_TEMPLATE) == CHATML_TEMPLATE


def test_a_prompt_that_somebody_has_set_wins_over_that_of_the_profile(seedling_dir: Path) -> None:
    """D5: the system prompt was hard-coded, and what was asked for was ignored."""
    renderer, (question, answer) = load(seedling_dir, "emoji_think"), chats(1)[0]
    for messages, prompt, wanted in (
        ([question, answer], None, SYSTEM_PROMPT),
        ([question, answer], "Mine.", "Mine."),
        ([system("Its own."), question, answer], None, "Its own."),
        ([system("Its own."), question, answer], "Mine.", "Mine."),
    ):
        text = renderer.render(messages=messages, system_prompt=prompt).text
        assert text.startswith(f"<|im_start|>system\n{wanted}<|im_end|>\n<|im_start|>user\n")
        assert text.count("<|im_start|>system") == 1
    own = load(seedling_dir, "chatml").render(messages=[system("Its own."), question, answer], system_prompt="Mine.")
    assert own.text.startswith("<|im_start|>system\nIts own.")


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("prompt", [None, "Be brief."])
def test_a_question_is_the_beginning_of_what_was_taught(seedling_dir: Path, profile: str, prompt: str | None) -> None:
    """E4: an evaluation asked in another format than was trained, and found 0 %."""
    renderer = load(seedling_dir, profile)
    for chat in chats():
        row = renderer.render(messages=chat, system_prompt=prompt)
        asked = renderer.prompt_ids(chat[:1], prompt)
        assert row.token_ids[: len(asked)] == asked
        assert not any(row.trained[: len(asked)])
        written = row.token_ids[len(asked) : -1]
        assert all(row.trained[len(asked) : -1])
        stop = next(number for number, token in enumerate(written) if token in renderer.stop_ids)
        assert plain_answer(renderer.text_of(written[:stop])) == chat[1]["content"]


def test_both_modes_are_taught_and_both_are_told_apart_from_their_end(seedling_dir: Path) -> None:
    renderer = load(seedling_dir, "emoji_think")
    modes = [mode_of(taught(renderer, chat).removesuffix("<|im_end|>")) for chat in chats(20)]
    assert {mode: modes.count(mode) > 3 for mode in modes} == {"emoji": True, "direct": True}


@pytest.mark.parametrize("profile", ["chatml", "native"])
def test_the_tokens_that_end_an_answer_are_those_that_are_learned(qwen_dir: Path, tmp_path: Path, profile: str) -> None:
    renderer = load(qwen_dir, profile)
    assert renderer.stop_ids == {renderer.ids_of("<|im_end|>")[0]}
    config = json.loads((qwen_dir / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer.json").write_bytes((qwen_dir / "tokenizer.json").read_bytes())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": LLAMA_LIKE}))
    end, turn_end = (renderer.ids_of(token)[0] for token in ("<|endoftext|>", "<|im_end|>"))
    assert load(tmp_path, "native").stop_ids == {end, turn_end}


def test_text_of_new_tokens_has_no_control_tokens(seedling_dir: Path) -> None:
    """E5: text was cut at the length of the prompt after control tokens were gone, which took 30 characters off."""
    renderer = load(seedling_dir)
    ids = renderer.ids_of("Größe 🙂<|im_end|>\n")
    assert renderer.text_of(ids) == "Größe 🙂\n"
    assert renderer.text_of(ids[:8]).startswith("Größe ")


def test_each_profile_has_tokens_of_its_own(seedling_dir: Path) -> None:
    """Tokens of one profile must never be taken out of the cache for another."""
    prints = {load(seedling_dir, name).fingerprint for name in profile_names()}
    unmade = {load_renderer("seedling", name).renderer.fingerprint for name in profile_names()}
    verdicts = {load_renderer("seedling", name).fingerprint for name in ("chatml", *OTHER_PROFILES)}
    # The seedling's own template is that of chatml.
    assert len(prints) == len(profile_names()) - 1
    assert unmade == prints
    assert len(verdicts) == 3
    keys = {
        TokenRecipe.of(
            load(seedling_dir, name), content_hash="x", schema_id="chat_sft_v1", system_prompt=None, max_length=9,
            claimed_at=None,
        ).key
        for name in ("plain", *profile_names())
    }  # fmt: skip
    assert len(keys) == len(prints)
