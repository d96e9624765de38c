"""Which problems are never taught, so that examinations ask what nobody has learned by heart (failure C14).

The key alone decides: no list is kept, every process agrees, and a problem is held out on all its levels or on none.
"""

from __future__ import annotations

HELD_OUT_SHARE = 0.1
"""Part of all problems that is never generated for training; examinations and static evaluation sets draw from it."""

_FIRST_TAUGHT = int(HELD_OUT_SHARE * (1 << 64))


def is_held_out(key: bytes) -> bool:
    """Whether the problem of this `Problem.key` belongs to the share that is never taught."""
    return int.from_bytes(key[:8], "big") < _FIRST_TAUGHT
