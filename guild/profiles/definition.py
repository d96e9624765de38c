"""What a profile is: everything that decides how a chat becomes text, beside the chat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Messages = list[dict[str, Any]]

THINKS_BY_ITSELF = ("<think>", "</think>", "reasoning_content", "enable_thinking")
"""What a chat template that puts `<think>` blocks around answers holds (spec 1.18)."""


@dataclass(frozen=True)
class Profile:
    """One way to render chats."""

    name: str
    chat_template: str | None
    """Jinja source that replaces the model's own template; None keeps the model's own."""
    description: str
    control_tokens: tuple[str, ...] = ()
    """Tokens of the template in place of the model's own that the tokenizer must know as single tokens."""
    template_without_thoughts: str | None = None
    """Replaces the model's own template where that thinks by itself, which fights the profile (failure D3), or where
    there is none."""
    system_prompt: str | None = None
    """For chats without a system message where nobody has set a prompt."""
    replaces_system: bool = False
    """Whether a prompt that somebody has set takes the place of a system message in the chat."""
    rewrite: Callable[[Messages], Messages] | None = None
    """Makes the chat what it is to be before it is rendered. A function of the messages alone, and of them without an
    answer too: a question is asked as it was taught. Twice is as once (failure C22)."""

    def template_over(self, own: str | None) -> str | None:
        """The template to render with, for a model whose own is `own`."""
        if self.chat_template is not None:
            return self.chat_template
        without = self.template_without_thoughts
        if without is not None and (own is None or any(sign in own for sign in THINKS_BY_ITSELF)):
            return without
        return own
