"""How many tokens go through the model at once where the settings leave that to the trainer.

The trainer measures it once for a hero on a machine and keeps it beside the weights. It is a matter of speed and
memory, but the order of floating-point sums depends on it, so that each claim carries what it is made with (law 3). The
file may be deleted at any time: the next claim is made with what is measured then.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from core.files import DISK, Files

logger = logging.getLogger(__name__)

PASS_SIZE_NAME = ".pass_size.json"


class PassSize(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one machine."""

    machine: str
    """On what it was measured, and how it was computed."""
    tokens: int
    """Padded tokens of one forward and backward pass at most."""
    pass_tokens: int
    """What a pass takes beside its tokens, counted in tokens."""


_decode = msgspec.json.Decoder(PassSize).decode
_encode = msgspec.json.Encoder().encode


def read_pass_size(folder: Path) -> PassSize | None:
    """What was measured for the model in `folder`; None when nothing was, or when it cannot be read."""
    try:
        return _decode((folder / PASS_SIZE_NAME).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None


def keep_pass_size(folder: Path, size: PassSize, *, files: Files = DISK) -> None:
    """In place of what was measured before. A disk that refuses it costs the next start a second."""
    try:
        files.write_atomic(folder / PASS_SIZE_NAME, _encode(size), durable=False)
    except OSError as error:
        logger.warning("the size of a pass is not kept: %s", error, extra={"event": "pass_size_not_kept"})


def lower_pass_size(folder: Path, tokens: int, *, files: Files = DISK) -> None:
    """More than `tokens` did not fit into memory: later claims are made with no more."""
    size = read_pass_size(folder)
    if size is not None and size.tokens > tokens:
        keep_pass_size(folder, msgspec.structs.replace(size, tokens=tokens), files=files)
