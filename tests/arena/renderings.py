"""Chats, and the two renderings of them that are compared: ours and that of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from arena.rendering import RenderedRow, Renderer
from guild.profiles import get_profile

Chat = list[dict[str, Any]]

BEFORE_TOOLS = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""What profile chatml was before it could write tools."""


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def system(content: str) -> dict[str, Any]:
    return {"role": "system", "content": content}


def load(folder: Path, profile: str = "chatml") -> Renderer:
    return Renderer.load(folder, get_profile(profile))


def load_hf(folder: Path, profile: str = "chatml") -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    if (template := get_profile(profile).chat_template) is not None:
        tokenizer.chat_template = template
    return tokenizer


def assert_equals_transformers(
    row: RenderedRow, tokenizer: PreTrainedTokenizerBase, chat: Chat, tools: list[dict[str, Any]] | None = None
) -> None:
    assert row.text == tokenizer.apply_chat_template(chat, tools=tools, tokenize=False)
    assert row.token_ids == tokenizer.apply_chat_template(chat, tools=tools, tokenize=True, return_dict=False)


def trained_text(row: RenderedRow, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the trained tokens alone decode to."""
    ids = [token for token, trained in zip(row.token_ids, row.trained, strict=True) if trained]
    text = tokenizer.decode(ids, skip_special_tokens=False)
    assert isinstance(text, str)
    return text
