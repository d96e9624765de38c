"""When a rolling checkpoint is worth its time (DESIGN section 4, Seal)."""

from __future__ import annotations


class SavePolicy:
    """Decides from monotonic seconds only; the trainer itself saves milestones, on stop and after a recovery."""

    def __init__(self, *, budget: float, minutes: float) -> None:
        self._budget = budget
        self._seconds = minutes * 60
        self._not_before = float("-inf")

    def note_save(self, seconds: float, now: float) -> None:
        """After a save that took `seconds`, rest until saving is back within its part of the wall time."""
        self._not_before = now + seconds / self._budget

    def reason(self, now: float, *, board_empty: bool, oldest_awaiting: float | None) -> str | None:
        """Why to save now, or None. `oldest_awaiting`: monotonic time at which the oldest unsealed quest ended."""
        if oldest_awaiting is None or now < self._not_before:
            return None
        if board_empty:
            return "the board is empty"
        if now - oldest_awaiting >= self._seconds:
            return f"a quest has waited {self._seconds / 60:g} minutes for its seal"
        return None
