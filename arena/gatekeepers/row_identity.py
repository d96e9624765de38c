"""When two rows are the same: the one definition behind held-out rows (C14) and duplicates."""

from __future__ import annotations

import msgspec
from blake3 import blake3

from arena.gatekeepers.row_reader import Row

KEY_BYTES = 16
"""Two different rows among a thousand million share a key with a chance of about 1 in 10²⁰."""

_HINT = "weight"
"""The key of a message that says whether it is learned, not what it says."""

_encode = msgspec.json.Encoder(order="sorted").encode


def row_key(row: Row) -> bytes:
    """Equal for rows that say the same: all turns in their order, or the text.

    What is not learned does not count: the row's own system prompt, its tools, weights, and columns that are ignored.
    """
    if row.messages is None:
        said: object = row.text
    else:
        said = [{key: value for key, value in message.items() if key != _HINT} for message in row.messages]
    return blake3(_encode(said)).digest(KEY_BYTES)


def row_size(row: Row) -> int:
    """About how much text a row makes, in bytes; cheap, and never less than the characters of its turns."""
    size = len(_encode(row.messages)) if row.messages is not None else len(row.text or "")
    return size + len(row.system_prompt or "") + (len(_encode(row.tools)) if row.tools else 0)
