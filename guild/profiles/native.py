"""Profile `native`: the model's own chat template, and nothing in a chat changed."""

from __future__ import annotations

from guild.profiles.definition import Profile

NATIVE = Profile(
    name="native",
    chat_template=None,
    description="The chat template that the model brings along, unchanged.",
)
