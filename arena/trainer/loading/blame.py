"""Whether an error while loading tells of the files, or only of this machine at this moment.

A checkpoint is given up for what is in it, never because memory, rights or a library were missing.
"""

from __future__ import annotations

import re

import torch

from core.files import WRONG_PLACE

_SAID = re.compile(
    r"\(os error (?!(?:2|20|21)\))\d+\)|allocate memory|out of memory|no space left|CUDA error|too many open files",
    re.IGNORECASE,
)
"""torch and safetensors tell with words what the system refused them."""


def is_about_this_machine(error: BaseException) -> bool:
    """True for missing memory, space, rights, handles, devices or libraries, also where another error wraps it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError | torch.OutOfMemoryError | ImportError):
            return True
        if isinstance(seen, OSError) and seen.errno is not None and seen.errno not in WRONG_PLACE:
            return True
        if _SAID.search(str(seen)):
            return True
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return False
