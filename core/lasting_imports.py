"""Importing large libraries for the life of a process, without looking for garbage in them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def lasting_imports(*, without: Sequence[str] = ()) -> Iterator[None]:
    """What is imported in this block is never looked through for garbage, neither now nor at exit.

    It pays where much is imported: a quarter of the CPU time of a trainer that starts with torch and ends again.
    Packages in `without` count as not installed from now on: libraries import some wherever they find them.
    """
    for package in without:
        sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # as the import system itself does it
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
