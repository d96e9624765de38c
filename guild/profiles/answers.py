"""What of a model's text is its answer: graders see no marker of any profile (failures D4, E4)."""

from __future__ import annotations

from guild.emoji_protocol import without_markers
from guild.profiles.regime3 import END, START
from guild.profiles.thoughts import after_thoughts


def plain_answer(text: str) -> str:
    """`text` without `<think>` blocks, the markers of regime3 and of the emoji protocol, and the spaces around it.

    Nothing where the model never came to its answer.
    """
    text = after_thoughts(text)
    if START in text:
        text = text.partition(START)[2]
    return without_markers(text.partition(END)[0])
