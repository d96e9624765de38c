"""What lies in the inbox, for people: how much waits, and what is not taken and why (law 7)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from arena.doorstep.inbox import Inbox, Scan


def inbox_report(root: Path, waiting: int, scan: Scan | None, blocked: str | None = None) -> dict[str, Any]:
    """`{"waiting", "left_lying", "named": [{"file", "reason"}], "blocked"}`.

    `waiting` files will be taken by themselves. Those `left_lying` will not, as they are strange, or held back for a
    trouble of their own; the first ones are named, by their paths from the inbox down; without a `scan` nobody has
    looked for them yet. `blocked` says why nothing at all is taken at the moment; None when that is not so.
    """
    named = [{"file": _shown(strange.path, root), "reason": strange.reason} for strange in (scan.named if scan else ())]
    return {"waiting": waiting, "left_lying": scan.left if scan else None, "named": named, "blocked": blocked}


def look_into_inbox(root: Path) -> dict[str, Any]:
    """The report of an inbox that no realm watches at the moment: one look, and nothing is still expected."""
    if not root.exists():
        return inbox_report(root, 0, Scan([], 0, []))
    scan = Inbox(root, settle_seconds=0.0, incomplete_seconds=0.0).scan(0.0)
    return inbox_report(root, scan.waiting + len(scan.ready), scan)


def _shown(path: Path, root: Path) -> str:
    """Text that any encoder takes: names of files need not be Unicode."""
    place = root.name if path == root else path.relative_to(root)
    return os.fsencode(place).decode("utf-8", "backslashreplace")
