"""The key of tokens: whatever can change a token is in it, and the gate and the trainer come to the same one."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arena.gatekeepers.measures.renderers import load_renderer
from arena.rendering import Renderer
from arena.tokens.token_recipe import MAKERS, TokenRecipe, made_with
from core.paths import CHECKOUT
from guild.profiles import CHATML_TEMPLATE, get_profile
from tests.arena.qwen_like import make_qwen_like
from tests.arena.trainer.tiny_hero import make_tiny_model

RECIPE = TokenRecipe("content", "chat_sft_v1", "rendering", None, 256, None)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(TokenRecipe)])
def test_each_part_of_a_recipe_changes_the_key(field: str) -> None:
    """Law 3: tokens of another content, template, prompt, length or time are never taken for these."""
    other = dataclasses.replace(RECIPE, **{field: 257 if field == "max_length" else "other"})
    assert other.key != RECIPE.key
    assert dataclasses.replace(RECIPE).key == RECIPE.key


LOAD = """
import sys
import arena.gatekeepers.row_reader, arena.rendering
for name, module in sys.modules.items():
    if name.startswith(("arena.", "guild.")) and not module.__file__.endswith("__init__.py"):
        print(module.__file__)
"""


def test_all_code_that_makes_tokens_is_counted_in() -> None:
    """A change of the renderer must not meet the tokens of before."""
    counted = {str(file) for pattern in MAKERS for file in CHECKOUT.glob(pattern)}
    loaded = subprocess.run([sys.executable, "-c", LOAD], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    makers = set(loaded.stdout.split())
    assert str(CHECKOUT / "arena/rendering.py") in makers
    assert makers <= counted
    assert len(made_with()) == 64


def test_a_template_another_tokenizer_and_another_profile_have_fingerprints_of_their_own(tmp_path: Path) -> None:
    model = make_qwen_like(tmp_path / "model")
    plain = Renderer.load(model, get_profile("chatml")).fingerprint
    assert Renderer.load(model, get_profile("chatml")).fingerprint == plain
    assert Renderer.load(model, get_profile("native")).fingerprint != plain
    assert Renderer.load(make_tiny_model(tmp_path / "tiny", dropout=0.0), get_profile("chatml")).fingerprint != plain
    changed = tmp_path / "changed"
    shutil.copytree(model, changed)
    tokenizer = changed / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<|im_end|>", "<|im_stop|>"))
    native = get_profile("native")
    assert Renderer.load(changed, native).fingerprint != Renderer.load(model, native).fingerprint


@pytest.mark.parametrize("profile", ["chatml", "native"])
def test_the_gate_and_the_trainer_agree_on_the_seedling(tmp_path: Path, profile: str) -> None:
    """The one makes its tokenizer on the spot, the other reads it from the model's directory."""
    model = make_tiny_model(tmp_path / "tiny", dropout=0.0)
    of_trainer = Renderer.load(model, get_profile(profile)).fingerprint
    assert load_renderer("seedling", profile).renderer.fingerprint == of_trainer
    assert load_renderer(str(model), profile).renderer.fingerprint == of_trainer


def test_a_template_that_prints_the_time_needs_one(tmp_path: Path) -> None:
    """Law 3: the text holds the time of the claim, and so do the tokens."""
    model = make_tiny_model(tmp_path / "tiny", dropout=0.0)
    (model / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}" + CHATML_TEMPLATE)
    dated, plain = (Renderer.load(model, get_profile(profile)) for profile in ("native", "chatml"))
    told = {"content_hash": "c", "schema_id": "chat_sft_v1", "system_prompt": None, "max_length": 256}
    with pytest.raises(ValueError, match="nobody knows"):
        TokenRecipe.of(dated, **told, claimed_at=None)  # type: ignore[arg-type]
    first, second = (TokenRecipe.of(dated, **told, claimed_at=at) for at in ("2025", "2026"))  # type: ignore[arg-type]
    assert first.key != second.key
    first, second = (TokenRecipe.of(plain, **told, claimed_at=at) for at in ("2025", None))  # type: ignore[arg-type]
    assert first.key == second.key
