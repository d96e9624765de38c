"""When a rolling checkpoint is worth its time (DESIGN section 4, Seal)."""

from __future__ import annotations

from arena.protocol import Save

REST_FACTOR = 10
"""A checkpoint that took so long to write is followed by a rest of this many times as long: the disk is for others
too, and wears out."""


class SavePolicy:
    """Decides from monotonic seconds only; the trainer itself saves milestones, on stop and after a recovery."""

    def __init__(self, *, budget: float, minutes: float) -> None:
        self._budget = budget
        self._seconds = minutes * 60
        self._not_before = float("-inf")
        self._asked: Save | None = None
        """What the trainer was asked for and has not answered."""

    def note_save(self, now: float, *, seconds: float, cost_seconds: float) -> None:
        """After a save that took `seconds`, `cost_seconds` of them from training: rest until both are within bounds."""
        self._asked = None
        self._not_before = now + max(cost_seconds / self._budget, seconds * REST_FACTOR)

    def forget_asked(self) -> None:
        """A new trainer knows of no wish."""
        self._asked = None

    def ask(self, now: float, *, board_empty: bool, oldest_awaiting: float | None) -> Save | None:
        """The save to ask the trainer for now, each one once; None when none is due.

        `oldest_awaiting`: monotonic time at which the oldest unsealed quest ended.
        """
        if oldest_awaiting is None:
            return None
        overdue = now - oldest_awaiting >= self._seconds
        if self._asked is not None:
            # It may wait for room on the disk: from some time on, training has to wait with it.
            due = overdue and not self._asked.urgent
        else:
            due = now >= self._not_before and (overdue or board_empty)
        if not due:
            return None
        reason = f"a quest has waited {self._seconds / 60:g} minutes for its seal" if overdue else "the board is empty"
        self._asked = Save(reason=reason, urgent=overdue)
        return self._asked
