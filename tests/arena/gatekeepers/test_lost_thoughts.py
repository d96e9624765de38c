"""Reasoning that a model's own template does not write is missed before training, not after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arena.gatekeepers.proving import messages_of, prove
from tests.arena.gatekeepers.scroll_making import chat, lines, told
from tests.arena.qwen_like import make_qwen_like
from tests.arena.renderings import BEFORE_TOOLS


@pytest.fixture(scope="module")
def thoughtless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose template knows nothing of reasoning."""
    folder = make_qwen_like(tmp_path_factory.mktemp("models") / "thoughtless")
    (folder / "chat_template.jinja").write_text(BEFORE_TOOLS, encoding="utf-8")
    return folder


@pytest.mark.parametrize("profile", ["native", "chatml"])
def test_a_template_that_leaves_out_the_reasoning_is_told_once(tmp_path: Path, thoughtless: Path, profile: str) -> None:
    """D3: template and data disagreed about <think>."""
    question, answer = chat()["messages"]
    row = {"messages": [question, {**answer, "reasoning_content": "three and four"}]}
    verdict = prove(tmp_path / "x.jsonl", lines(chat(), row, row), tokenizer=str(thoughtless), profile=profile)
    assert verdict["accepted"]
    if profile == "chatml":
        assert verdict["warnings"] == []
    else:
        assert told(verdict, "warnings") == [(2, "messages[1].content")]
        assert "leaves out the reasoning of this turn" in messages_of(verdict, "warnings")[0]
