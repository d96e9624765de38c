"""Which sub-folders of the inbox were dropped along with their files and can go once they stand empty.

A folder that someone made to drop files into now and then must stay: their next `cp` would find no folder, and make a
file of its name. So only folders go that appeared while the realm looked on, were filled within a minute, and have
been empty for ten. What was there when the realm started may be anybody's, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.paths import PRIORITIES

FILLED_SECONDS = 60.0
"""A tree that is copied in fills its folders that soon after it has made them."""
EMPTY_SECONDS = 600.0
"""A copy that is still under way leaves no folder empty for longer."""

Folder = tuple[str, ...]
"""Names from the inbox down."""


@dataclass(slots=True)
class _Seen:
    since: float
    is_tree: bool = False
    empty_since: float | None = None
    scan: int = 0


class DroppedTrees:
    """Fed by every scan: `see` for each folder, then `deserted` once. Time is monotonic and passed in."""

    def __init__(self) -> None:
        self._seen: dict[Folder, _Seen] = {}
        self._scan = 0

    def see(self, folder: Folder, now: float, *, is_empty: bool) -> None:
        """Note one folder of this scan; the inbox itself and its priority folders are never noted."""
        if not folder or (len(folder) == 1 and folder[0] in PRIORITIES):
            return
        seen = self._seen.setdefault(folder, _Seen(now))
        seen.scan = self._scan
        if not is_empty:
            seen.empty_since = None
            # What the first scan finds was there before.
            seen.is_tree |= self._scan > 0 and now - seen.since <= FILLED_SECONDS
        elif seen.empty_since is None:
            seen.empty_since = now

    def deserted(self, now: float) -> list[Folder]:
        """The folders that can go; ends the scan."""
        self._seen = {folder: seen for folder, seen in self._seen.items() if seen.scan == self._scan}
        self._scan += 1
        return [
            folder
            for folder, seen in self._seen.items()
            if seen.is_tree and seen.empty_since is not None and now - seen.empty_since >= EMPTY_SECONDS
        ]
