"""The gates render with what the trainer renders with, also before the trainer has made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arena.gatekeepers.measures.renderers import load_renderer
from arena.rendering import Renderer
from core.errors import InvalidInput
from guild.profiles import get_profile, profile_names
from tests.arena.qwen_like import make_qwen_like
from tests.arena.trainer.tiny_hero import make_tiny_model

CHATS = [
    [{"role": "user", "content": "Größe? 你好 🙂 <|im_end|>"}, {"role": "assistant", "content": " schön \n"}],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": ""},
    ],
]


@pytest.mark.parametrize("profile", profile_names())
def test_the_seedling_is_rendered_as_from_its_directory(tmp_path: Path, profile: str) -> None:
    made = Renderer.load(make_tiny_model(tmp_path / "seedling", dropout=0.0), get_profile(profile))
    unmade = load_renderer("seedling", profile).renderer
    for chat in CHATS:
        assert unmade.render(messages=chat, system_prompt="Hi.") == made.render(messages=chat, system_prompt="Hi.")
        assert unmade.special_tokens_in_content(chat) == made.special_tokens_in_content(chat)
    assert unmade.render(text="Es war 🙂") == made.render(text="Es war 🙂")


def test_a_changed_template_is_loaded_again_and_has_another_fingerprint(tmp_path: Path) -> None:
    model = make_qwen_like(tmp_path / "model")
    before = load_renderer(str(model), "native")
    assert load_renderer(str(model), "native") is before
    assert load_renderer(str(model), "chatml").fingerprint != before.fingerprint
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": "{{ messages[0].content }}"}))
    after = load_renderer(str(model), "native")
    assert after.fingerprint != before.fingerprint
    assert after.renderer.render(messages=[{"role": "user", "content": "hi"}]).text == "hi"


def test_an_unknown_profile_is_an_error(tmp_path: Path) -> None:
    """D12: an unknown profile silently fell back to another one."""
    with pytest.raises(InvalidInput, match="no profile named"):
        load_renderer("seedling", "nonsense")
