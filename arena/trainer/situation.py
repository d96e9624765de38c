"""What the parts of the battle share: where it stands, whom it talks to, and what is on record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from arena.cursor import Cursor
from arena.journal import Entry, Journal
from arena.protocol import Arithmetic, Begin, Claim, ExamSheet, QuestSettings, State, Trouble
from arena.supervision.position_file import Phase, PositionFile
from arena.trainer.generation import Manner
from arena.trainer.link import DaemonLink
from arena.trainer.orders import Orders
from arena.trainer.row_notes import RowNotes
from arena.trainer.saving.snapshot import EngineState

LOOK_SECONDS = 0.5
"""How long a wait for commands lasts before the world is looked at again."""


class Arms(Protocol):
    """What the battle needs of the engine."""

    @property
    def global_step(self) -> int: ...

    def snapshot(self, *, in_place: bool) -> EngineState: ...

    def validation_loss(self) -> tuple[float, int] | None: ...

    def settle(self, settings: QuestSettings) -> QuestSettings: ...

    def answers(
        self, prompts: Sequence[Sequence[int]], manner: Manner, arithmetic: Arithmetic | None
    ) -> list[list[int] | None]: ...


@dataclass
class Situation:
    """One per child; shared by `Battle`, `QuestTaker` and `Saver`."""

    link: DaemonLink
    journal: Journal
    position: PositionFile
    begin: Begin
    orders: Orders
    cursor: Cursor
    row_notes: RowNotes
    arms: Arms = field(init=False)
    quest_id: str | None = None
    """The quest whose rows are in memory."""
    worth_saving: bool = True
    """False when the present weights are not what the journal tells."""
    sheets: dict[str, ExamSheet] = field(default_factory=dict)
    """Of quests that this child was told of and has not examined, by quest id."""
    curriculum: dict[str, Any] | None = None
    """Written into each checkpoint as it is."""
    _told_state: tuple[str, str | None] = ("loading", None)
    """State and reason."""

    def __post_init__(self) -> None:
        self._furthest_before = self.position.furthest
        self.sheets |= {quest.quest_id: sheet for quest in self.begin.open_quests if (sheet := quest.examination)}
        self.curriculum = self.begin.curriculum

    def take_along(self, claim: Claim) -> None:
        """What comes with a claim beside the quest."""
        if claim.examination is not None:
            self.sheets[claim.quest_id] = claim.examination
        if claim.curriculum is not None:
            self.curriculum = claim.curriculum

    @property
    def here(self) -> tuple[int, int]:
        return self.cursor.ordinal, self.cursor.quest_step

    @property
    def replaying(self) -> bool:
        """True when the step at the cursor was begun before this child started."""
        return self.here <= self._furthest_before

    @property
    def quest_is_over(self) -> bool:
        """True when the journal's quest at the cursor has no step left."""
        ordinal, quest_step = self.here
        history = self.journal.history
        return ordinal in history.claims and quest_step >= history.steps_of(ordinal)

    def note(self, phase: Phase) -> None:
        """Write the position down for the daemon."""
        # A disk that refuses this one costs a wrong blame at most; training waits where something of weight is refused.
        with suppress(OSError):
            self.position.write(phase, *self.here)

    def tell(self, state: str, quest_id: str | None = None, reason: str | None = None) -> None:
        """Report a change of state, or of the reason for it."""
        if (state, reason) != self._told_state:
            self._told_state = (state, reason)
            self.link.send(State(state=state, quest_id=quest_id or self.quest_id, reason=reason))

    def end_unsaved(self, reason: str) -> None:
        """End at the next boundary without a checkpoint, as the present state must not be one."""
        self.worth_saving = False
        self.orders.stop(reason)

    def write_down(self, entry: Entry) -> bool:
        """Append to the journal; a full disk is waited out, warm. False when a stop came before there was room."""
        told = False
        while True:
            try:
                self.journal.append(entry)
                return True
            except OSError as error:
                if not told:
                    message = f"The journal cannot be written, so training waits: {error}"
                    self.link.send(Trouble(what="journal_failed", message=message, quest_id=self.quest_id))
                    told = True
                self.tell("paused", reason=f"disk: the journal cannot be written: {error}")
            # Nobody is to blame for a full disk, should the trainer die meanwhile.
            self.note(Phase.WAITING)
            self.orders.wait(LOOK_SECONDS)
            if self.orders.stop_reason is not None:
                return False


def utc_now() -> str:
    """The wall clock as the journal writes it."""
    return datetime.now(UTC).isoformat()
