"""Profiles: how a chat becomes text. The registry is closed; an unknown name is an error, never a fallback."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from core.errors import InvalidInput

CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""Plain ChatML (spec 1.18). Unlike Qwen3's own template it puts no `<think>` block around answers (failure D3)."""


@dataclass(frozen=True)
class Profile:
    """One way to render chats."""

    name: str
    chat_template: str | None
    """Jinja source that replaces the model's own template; None keeps the model's own."""
    description: str
    control_tokens: tuple[str, ...] = ()
    """Tokens of the template that the tokenizer must know as single tokens."""


_PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="chatml",
            chat_template=CHATML_TEMPLATE,
            description="Plain ChatML in place of the model's own template; answers carry no <think> block.",
            control_tokens=("<|im_start|>", "<|im_end|>"),
        ),
        Profile(
            name="native",
            chat_template=None,
            description="The chat template that the model brings along, unchanged.",
        ),
    )
}


def profile_names() -> list[str]:
    """Names of all profiles, in alphabetical order."""
    return sorted(_PROFILES)


def get_profile(name: str) -> Profile:
    """The profile of that name; raises `InvalidInput` naming the known ones (failure D12)."""
    try:
        return _PROFILES[name]
    except KeyError:
        close = difflib.get_close_matches(name, _PROFILES, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"The profiles are {', '.join(profile_names())}."
        raise InvalidInput(f"There is no profile named {name!r}.", hint=hint) from None
