"""Taking steps back: the model returns to a checkpoint from before them, and the journal leaves them out (ADR 0012).

    1. HEAD names a checkpoint from before the steps     crash: trained to here again, and decided again
    2. the line in the journal (the commit)              crash: what holds the steps is no ancestor any more
    3. checkpoints that hold them go to `branches/`      crash: the next trainer moves them
    4. the child ends, and the next one begins at HEAD

No claim is taken back, unlike by a rewind: what came before the steps is learned again, to the same weights.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from arena.annals.ancestry import can_be_resumed, is_ancestor, was_left_behind
from arena.cursor import Cursor, read_cursor
from arena.journal import End, History, Place, Quarantine
from arena.protocol import WentBack
from arena.trainer.situation import Situation
from core.checkpoint_records import extract_step
from core.crash_points import crash_point
from core.errors import RealmError
from vault.checkpoints import CheckpointDir, CheckpointStore
from vault.manifest import check_manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footing:
    """Where learning can begin again."""

    checkpoint: CheckpointDir | None
    """None for the weights that the history began with."""
    cursor: Cursor

    @property
    def name(self) -> str | None:
        return self.checkpoint.name if self.checkpoint else None

    @property
    def step(self) -> int:
        return self.checkpoint.step if self.checkpoint else 0


def find_footing(
    store: CheckpointStore, history: History, before: Place, has_data: Callable[[str], bool]
) -> Footing | None:
    """The newest whole checkpoint of this history that holds no step from `before` on, else its beginning.

    None where that cannot be learned from again: the data of a quest in between are gone. `has_data` is asked for ids.
    """
    footing = next(_whole_ones(store, history, before), None)
    if footing is None and history.genesis is not None and history.genesis.checkpoint is None:
        footing = Footing(None, Cursor())
    if footing is None:
        return None
    left = history.left_from(footing.cursor.ordinal, footing.cursor.quest_step)
    return footing if all(has_data(claim.quest_id) for claim in left if claim.ordinal < before[0]) else None


def go_back(situation: Situation, store: CheckpointStore, footing: Footing, entry: Quarantine | End) -> None:
    """Make it true and ask the child to end; nothing more is done where a stop comes before the journal takes it.

    Raises `NotFound` when the checkpoint was deleted meanwhile; then nothing has happened.
    """
    try:
        # First, as the daemon deletes what HEAD does not name.
        _set_head(store, footing.name)
    except OSError as error:
        # The journal alone decides: the next trainer passes over a HEAD that is no ancestor.
        logger.warning("HEAD is not moved back yet: %s", error, extra={"event": "head_not_moved"})
    crash_point("heal.head")
    if not situation.write_down(entry):
        return
    crash_point("heal.journaled")
    situation.end_unsaved(f"it goes back to {footing.name or 'the weights it began with'}: {entry.reason}")
    moved, branch = _leave_behind(situation, store, footing.name)
    situation.link.send(
        WentBack(
            checkpoint=footing.name, step=footing.step, left_behind=moved, branch=branch, reason=entry.reason,
            quest_id=situation.quest_id,
        )
    )  # fmt: skip


def finish_going_back(situation: Situation, store: CheckpointStore, resumed: Path | None) -> None:
    """At a start from `resumed`: what a kill left of `go_back` is done, which the journal has decided."""
    name = resumed.name if resumed else None
    moved, branch = _leave_behind(situation, store, name)
    if not moved:
        return
    with suppress(OSError):  # the next start has another try
        _set_head(store, name)
    reason = "what was left to be done of an earlier going back is done"
    step = extract_step(name) if name else 0
    situation.link.send(WentBack(checkpoint=name, step=step, left_behind=moved, branch=branch, reason=reason))


def _set_head(store: CheckpointStore, name: str | None) -> None:
    if name is None:
        store.forget_head()
    else:
        store.set_head(name)


def _leave_behind(situation: Situation, store: CheckpointStore, head: str | None) -> tuple[list[str], str]:
    """Move to a branch what the history does not go on from any more; returns names and branch."""
    journal = situation.journal
    branch = f"healed-{journal.history.seq}"
    moved = []
    for found in store.list():
        if found.name == head or not was_left_behind(found.path, journal.path, journal.history):
            continue
        try:
            store.move_to_branch(found.name, branch)
        except (OSError, RealmError) as error:  # passed over all the same, and moved by the next start
            logger.warning("%s stays for now: %s", found.name, error, extra={"event": "branch_failed"})
            continue
        moved.append(found.name)
        crash_point("heal.branched")
    return moved, branch


def _whole_ones(store: CheckpointStore, history: History, before: Place) -> Iterator[Footing]:
    """The checkpoints that training could resume from, newest first."""
    for found in reversed(store.list()):
        try:
            cursor = read_cursor(found.path)
            early = (cursor.ordinal, cursor.quest_step) <= before
            if not (early and is_ancestor(found.path, history) and can_be_resumed(found.path, history)):
                continue
            torn = check_manifest(found.path)
        except (OSError, RealmError, ValueError) as error:  # deleted or damaged: the next start sees to it
            logger.warning("%s is passed over: %s", found.name, error, extra={"event": "checkpoint_passed_over"})
            continue
        if not torn:
            yield Footing(found, cursor)
