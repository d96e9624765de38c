"""Carries out the saves that are due, one at a time, and tells the daemon what each checkpoint covers.

The daemon asks for rolling checkpoints (`arena.command.save_policy`); milestones, those after a crash and the last one
before the end are the trainer's own. A checkpoint is written while training goes on, and told of at the first boundary
after it is durable; nothing is sealed before. A save that fails costs its time and nothing else (ADR 0010).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from arena.protocol import CheckpointSaved, DiskShort, SaveFailed, Trouble
from arena.supervision.position_file import Phase
from arena.trainer.measuring import Measuring
from arena.trainer.saving.due import DueSaves, Wish
from arena.trainer.saving.save_room import Outlook, Room, SaveRoom
from arena.trainer.saving.snapshot import SaveFacts
from arena.trainer.saving.writing import CheckpointWriter, SaveOutcome
from arena.trainer.situation import Situation
from core.checkpoint_records import CheckpointRecord
from core.errors import first_line

logger = logging.getLogger(__name__)

DISK_LOOK_SECONDS = 1.0
DISK_TOLD_SECONDS = 30.0
"""While a save waits for room, the disk is looked at and the daemon reminded this often."""

GUESSED_BYTES_PER_SECOND = 100e6
GUESSED_SECONDS = 0.05
"""How fast a checkpoint is written, before the first one has told."""


@dataclass
class Flight:
    """The save that is being written."""

    wish: Wish
    facts: SaveFacts
    at: tuple[int, int]
    """The cursor up to which it holds all steps."""
    replaying: bool
    cost_seconds: float
    """How long training stood still for it."""


class Saver:
    """See the module docstring; its methods are called between two steps."""

    def __init__(
        self,
        situation: Situation,
        writer: CheckpointWriter,
        room: SaveRoom,
        measuring: Measuring,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._situation = situation
        self._writer = writer
        self._room = room
        self._measuring = measuring
        self._clock = clock
        self._due = DueSaves(situation, save_seconds=room.size / GUESSED_BYTES_PER_SECOND + GUESSED_SECONDS)
        self._saved_at = situation.here
        """Cursor of the last valid checkpoint; at first the one that this child started from."""
        self._flight: Flight | None = None
        self._next_look = float("-inf")
        self._next_telling = float("-inf")
        self.shortage: str | None = None
        """What is missing on the disk for a save that waits for it."""
        self.holds_training = False
        """Whether training must not go on before that save is made."""
        self.unsaved = False
        """True after the last save failed."""

    def begin(self) -> None:
        """The state is loaded."""
        self._due.begin(self._clock())

    def quest_over(self, cursor_before: tuple[int, int]) -> None:
        """The cursor went on to the next quest without a step."""
        # A checkpoint that holds all steps up to there seals this quest too, by journal alone.
        if self._saved_at == cursor_before:
            self._saved_at = self._situation.here
        if self._flight is not None and self._flight.at == cursor_before:
            self._flight.at = self._situation.here

    def save_when_due(self, covers_too: list[str]) -> None:
        """Tell of the save that is done, and begin the one that is due at this boundary.

        `covers_too` loses the quests that a checkpoint was told to cover.
        """
        self._hear(covers_too)
        wish = self._due.wish(self._clock(), self._saved_at)
        if wish is None:
            self._note_room()
        else:
            self._carry_out(wish, covers_too)
        self._measuring.measure_when_due()

    def save_last(self, reason: str, covers_too: list[str]) -> None:
        """The last save before the end, after the one that is still being written."""
        self.land(covers_too)
        self._note_room()
        self._carry_out(self._due.last_wish(reason), covers_too)
        if self.shortage is not None:
            self.unsaved = True
            self._situation.link.send(SaveFailed(reason=f"{reason}: {self.shortage}", seconds=0.0))

    def _carry_out(self, wish: Wish, covers_too: list[str]) -> None:
        if self._flight is not None:
            if not wish.at_once and not wish.exact:
                return  # it stays due, and is made after the present one
            self.land(covers_too)
        if self._situation.here == self._saved_at and (wish.last or not wish.milestone) and not wish.anew:
            self._due.note_covered()
            self._note_room()
            self.unsaved = False
            self._announce(None, None, covers_too)
            return
        room = self._room_for(wish)
        if room is Room.NONE:
            return
        self._flight = self._take_off(wish, covers_too, resumable=room is Room.FULL)
        if self._flight.wish.at_once:
            self.land(covers_too)

    # --- room on the disk --------------------------------------------------------------------------------------

    def _room_for(self, wish: Wish) -> Room:
        """How much of a checkpoint may be written; where it is nothing, the wish waits and the daemon is told."""
        now = self._clock()
        self.holds_training = wish.urgent
        if self.shortage is not None and now < self._next_look:
            return Room.NONE
        if not self._situation.journal.path.exists():
            # Its disk has vanished, and a checkpoint must not be begun in the directory that is left in its place.
            self._tell_journal_gone(wish)
            return Room.NONE
        outlook = self._room.look(into_reserve=wish.last)
        # Where a whole checkpoint holds this step already, its weights alone may not take its name.
        news = self._situation.here != self._saved_at
        weights_will_do = wish.milestone and not wish.last and news and self._due.weights_alone_will_do
        if outlook.room is Room.FULL or (outlook.room is Room.WEIGHTS and weights_will_do):
            self._note_room()
            return outlook.room
        self._next_look = now + DISK_LOOK_SECONDS
        if self.shortage is None or now >= self._next_telling:
            self._next_telling = now + DISK_TOLD_SECONDS
            self._tell_shortage(wish, outlook)
        return Room.NONE

    def _tell_shortage(self, wish: Wish, outlook: Outlook) -> None:
        self.shortage = outlook.reason
        short = DiskShort(what=wish.reason, needed_bytes=outlook.needed_bytes, free_bytes=outlook.free_bytes)
        self._situation.link.send(short)
        logger.warning("a save (%s) waits; %s", wish.reason, outlook.reason, extra={"event": "disk_short"})

    def _tell_journal_gone(self, wish: Wish) -> None:
        before, self.shortage = self.shortage, f"disk: {self._situation.journal.path} is gone"
        if self.shortage != before:
            # It is no room that is short: nothing must be deleted for it.
            message = f"A checkpoint ({wish.reason}) waits; {self.shortage}"
            self._situation.link.send(Trouble(what="journal_failed", message=message))
            logger.error("%s", message, extra={"event": "journal_gone"})

    def _note_room(self) -> None:
        """Nothing waits for room on the disk."""
        self.shortage, self.holds_training = None, False

    # --- one save, from the snapshot to the news of it ---------------------------------------------------------

    def _take_off(self, wish: Wish, covers_too: list[str], *, resumable: bool) -> Flight:
        """Take the snapshot, which holds all steps so far, and let it be written."""
        situation, began = self._situation, self._clock()
        self._due.note_begun(wish)
        self._measuring.measure()
        situation.note(Phase.WAITING)
        if wish.at_once:
            situation.tell("saving")
        claims, cursor = situation.journal.history.claims, situation.cursor
        facts = SaveFacts(
            step=situation.arms.global_step,
            taken_at=datetime.now(UTC),
            cursor=replace(cursor),
            claim=claims.get(cursor.ordinal if cursor.quest_step else cursor.ordinal - 1),
            journal_bytes=situation.journal.size,
            milestone=wish.milestone or self._due.at_milestone,
            resumable=resumable,
            covers_too=tuple(covers_too),
            curriculum=situation.curriculum,
        )
        situation.row_notes.flush()
        state = situation.arms.snapshot(in_place=wish.at_once)
        self._writer.begin(state, facts)
        # Without memory for a copy, training must not touch the state before it is written.
        wish = replace(wish, at_once=state.in_place)
        return Flight(wish, facts, situation.here, situation.replaying, self._clock() - began)

    def land(self, covers_too: list[str]) -> None:
        """Wait for the save that is being written, if there is one, and tell of it."""
        if self._flight is None:
            return
        began = self._clock()
        self._situation.note(Phase.WAITING)
        self._situation.tell("saving")
        self._writer.wait()
        self._flight.cost_seconds += self._clock() - began
        self._hear(covers_too)

    def _hear(self, covers_too: list[str]) -> None:
        """Tell of the save that is done, if there is one."""
        outcome, flight = self._writer.take(), self._flight
        if outcome is None or flight is None:
            return
        self._flight = None
        if outcome.record is None:
            self._note_failed(flight, outcome)
            return
        self._note_saved(flight, outcome, outcome.record)
        self._announce(flight, outcome, covers_too)

    def _note_failed(self, flight: Flight, outcome: SaveOutcome) -> None:
        if not isinstance(outcome.error, OSError | MemoryError):
            self._situation.note(Phase.WAITING)  # no quest is to blame for what a save dies of
            raise outcome.error or RuntimeError("a save ended with nothing")
        why = first_line(outcome.error)
        logger.warning("save failed: %s", why, extra={"event": "save_failed"})
        self.unsaved = True
        self._due.note_failed(flight.wish, self._clock(), outcome.seconds)
        self._situation.link.send(SaveFailed(reason=f"{flight.wish.reason}: {why}", seconds=outcome.seconds))

    def _note_saved(self, flight: Flight, outcome: SaveOutcome, record: CheckpointRecord) -> None:
        name, resumable = record.canonical_name, flight.facts.resumable
        logger.info("saved %s (%s)", name, flight.wish.reason, extra={"event": "checkpoint_saved"})
        self.unsaved = False
        self._due.note_saved(self._clock(), outcome.seconds, resumable=resumable, in_replay=flight.replaying)
        if resumable:
            self._saved_at = flight.at
            self._situation.cursor.checkpoint = name
            if record.size_bytes is not None:
                self._room.note_saved(record.size_bytes)
        else:
            message = f"The disk has room for weights alone: {name} can be used, but training cannot go on from it."
            self._situation.link.send(Trouble(what="weights_only", message=message))

    def _announce(self, flight: Flight | None, outcome: SaveOutcome | None, covers_too: list[str]) -> None:
        """Tell of a new checkpoint, or without a flight that the last one covers all."""
        situation = self._situation
        told: dict[str, Any] = {"name": situation.cursor.checkpoint, "step": situation.arms.global_step, "record": {}}
        told |= {"milestone": False, "seconds": 0.0}
        if flight is not None and outcome is not None and outcome.record is not None:
            told = {
                "name": outcome.record.canonical_name, "step": flight.facts.step, "record": outcome.record.to_json(),
                "milestone": flight.facts.milestone, "seconds": outcome.seconds,
                # What training waited for, it did not have to share the processor with.
                "cost_seconds": flight.cost_seconds + (0.0 if flight.wish.at_once else outcome.cpu_seconds),
            }  # fmt: skip
        situation.link.send(CheckpointSaved(covers=self._covered_by(flight, covers_too), **told))

    def _covered_by(self, flight: Flight | None, covers_too: list[str]) -> list[str]:
        """The quests that had ended at the snapshot and were not told of before."""
        if flight is not None and not flight.facts.resumable:
            return []
        cursor, claims = self._situation.cursor, self._situation.journal.history.claims
        up_to, again = cursor.ordinal, tuple(covers_too)
        # Where no step was made since, it covers what has ended since as well.
        if flight is not None and flight.at != self._situation.here:
            up_to, again = flight.facts.cursor.ordinal, flight.facts.covers_too
        covers = [claims[ordinal].quest_id for ordinal in range(cursor.announced, up_to)]
        covers += [quest_id for quest_id in again if quest_id not in covers]
        cursor.announced = up_to
        covers_too[:] = [quest_id for quest_id in covers_too if quest_id not in covers]
        return covers
