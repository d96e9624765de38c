"""What keeps a model to its profile while it writes: penalties, on tensors (spec 1.18)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from arena.rendering import Renderer
from arena.trainer.logits_processors import AfterStopPenalty, ThinkTagPenalty, build_logits_processors
from guild.profiles import get_profile, profile_names
from tests.arena.qwen_like import make_qwen_like
from tests.arena.renderings import load
from tests.arena.trainer.tiny_hero import make_tiny_model

VOCABULARY = 259
END = 258
"""The seedling's token that ends a turn."""


@pytest.fixture(scope="module")
def seedling(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return load(make_tiny_model(tmp_path_factory.mktemp("models") / "seedling", dropout=0.0), "emoji_think")


def zeros(rows: int = 1) -> torch.Tensor:
    return torch.zeros(rows, VOCABULARY)


@pytest.mark.parametrize(
    ("written", "penalty"), [(0, 640), (3, 640), (4, 160), (7, 160), (8, 120), (11, 120), (12, 80), (5000, 80)]
)
def test_think_tags_are_penalized_most_at_the_start(written: int, penalty: float) -> None:
    ids = torch.zeros(2, 6 + written, dtype=torch.long)
    given = zeros(2)
    scores = ThinkTagPenalty([[17], [18]], prompt_tokens=6)(ids, given)
    assert scores[:, [17, 18]].tolist() == [[-penalty, -penalty]] * 2
    assert scores.sum().item() == -4 * penalty
    assert given.abs().sum() == 0, "scores are not changed in place"


def test_of_a_tag_of_several_tokens_its_last_is_penalized_behind_the_others() -> None:
    ids = torch.tensor([[9, 1, 2, 3], [9, 1, 3, 2]])
    scores = ThinkTagPenalty([[1, 2, 3, 4], [7, 7, 7, 7, 7, 7]], prompt_tokens=1)(ids, zeros(2))
    assert scores.nonzero().tolist() == [[0, 4]]


def after(seedling: Renderer, prompt: str, *texts: str) -> torch.Tensor:
    """Scores for the next token once each of the texts has been written, token by token."""
    asked, written = seedling.ids_of(prompt), [seedling.ids_of(text) for text in texts]
    assert len(set(map(len, written))) == 1
    process = AfterStopPenalty(seedling.text_of, seedling.stop_ids, len(asked))
    scores = zeros(len(texts))
    for count in range(len(written[0]) + 1):
        scores = process(torch.tensor([asked + tokens[:count] for tokens in written]), zeros(len(texts)))
    return scores


@pytest.mark.parametrize(
    ("tokens_since", "penalty"), [(0, 1e2), (1, 1e3), (2, 1e4), (3, 1e5), (4, 1e6), (5, 1e6), (400, 1e6)]
)
def test_after_the_stop_all_but_the_end_gets_ever_less_likely(
    seedling: Renderer, tokens_since: int, penalty: float
) -> None:
    """10^n overflowed at n = 39, and NaN was what the next token was chosen by."""
    scores = after(seedling, "Hi.", "🤔🤔\nyes\n🛑🛑" + "x" * tokens_since)
    assert scores[0, END] == 50.0
    assert (scores[0, :END] == -penalty).all()
    assert scores.isfinite().all()


def test_before_the_stop_is_complete_nothing_is_changed(seedling: Renderer) -> None:
    three = "Hi.\n\nWhen finished, emit 🛑 /three times/ to signal completion."
    rows = ("🛑🛑 ok", "🛑🛑🛑", "yes, is it"), ("🛑🛑 ok", "🛑🛑xxxx", "⛔🚫 ok")
    padded = [[text + "." * (12 - len(text.encode())) for text in texts] for texts in rows]
    assert [bool(row.any()) for row in after(seedling, three, *padded[0])] == [False, True, False]
    assert [bool(row.any()) for row in after(seedling, "Hi.", *padded[1])] == [True, True, False]


def test_only_the_profile_that_thinks_in_emoji_has_processors(seedling: Renderer, tmp_path: Path) -> None:
    made = {name: build_logits_processors(get_profile(name), seedling, 3) for name in profile_names()}
    assert {name for name, processors in made.items() if processors} == {"emoji_think"}
    qwen = load(make_qwen_like(tmp_path / "qwen"), "emoji_think")
    tags, _ = build_logits_processors(get_profile("emoji_think"), qwen, 3)
    single = [qwen.ids_of(tag) for tag in ("<think>", "</think>")]
    assert [len(ids) for ids in single] == [1, 1]
    scores = tags(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 1000))
    assert scores.nonzero()[:, 1].tolist() == sorted(ids[0] for ids in single)
