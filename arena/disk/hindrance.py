"""Why the disk lets no work go on, in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["full", "short", "read_only", "missing", "failing"]

EVENTS: dict[Kind, str] = {
    "full": "disk_full",
    "short": "disk_short",
    "read_only": "disk_read_only",
    "missing": "disk_missing",
    "failing": "disk_failing",
}


@dataclass(frozen=True)
class Hindrance:
    """One trouble with one place; the same as long as `kind` and `place` are."""

    kind: Kind
    """`full`: less than the reserve is left. `short`: the trainer has no room for a save, and knows itself how long it
    can do without. `read_only`: mounted so. `missing`: the directory is gone, or another one lies in its place.
    `failing`: the disk answers with errors."""
    place: str
    """`current_model`, `queue` or `status`."""
    message: str

    @property
    def event(self) -> str:
        """The kind of the event that tells of it."""
        return EVENTS[self.kind]

    @property
    def reason(self) -> str:
        """Why training is paused."""
        return f"disk: {self.message}"

    @property
    def holds_work(self) -> bool:
        """Whether training pauses and files stay in the inbox; a save that does not fit leaves room for both."""
        return self.kind != "short"

    @property
    def bars_trainer(self) -> bool:
        """Whether a trainer that starts now could not read or write what it lives on."""
        return self.kind in ("read_only", "missing", "failing")

    def is_still(self, other: Hindrance | None) -> bool:
        return other is not None and (self.kind, self.place) == (other.kind, other.place)
