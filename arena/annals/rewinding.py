"""Going back to an earlier checkpoint, or over to one that an earlier rewind left behind (`realm rewind`).

What is undone is told quest by quest, and may be queued again. Nothing is deleted: later checkpoints move to a branch,
from which the same verb brings them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from arena.annals.ancestry import can_be_resumed, is_ancestor
from arena.annals.turning import Fate, Turn, carry_out
from arena.cursor import Cursor, read_cursor
from arena.journal import JOURNAL_NAME, ClaimEntry, History, Rewind, is_same_history, read_history
from arena.lanes.undoing import ENDED_OTHERWISE, LaneUndoing
from arena.quests import Quest, new_quest_id
from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import match_checkpoint
from core.errors import Conflict, NotFound
from core.files import DISK, Files
from core.paths import RealmPaths
from core.saga import Saga
from vault.checkpoints import BRANCHES, CheckpointDir, CheckpointStore
from vault.manifest import check_manifest

BASE = "base"
"""Stands for what the history started from: the base model, or an adopted checkpoint."""

MTIME_STEP_NS = 1_000_000


@dataclass(frozen=True)
class UndoneQuest:
    """A quest, or the last part of one, that the model will not have learned."""

    quest_id: str
    file: str
    rows_undone: int
    """Rows that had been claimed for learning and are not in the weights, counted once per epoch."""
    rows_kept: int
    outcome: str
    found: bool
    """Whether its data file is still there."""
    queued_as: str | None
    """Its new id when it is queued again; its own when the rest of it goes on."""


@dataclass(frozen=True)
class Rewound:
    """What a rewind does, or did."""

    checkpoint: str | None
    step: int
    from_checkpoint: str | None
    from_step: int
    undone: list[UndoneQuest]
    redone: list[str]
    """Files of quests that are part of the history again."""
    left_behind: list[str]
    """Checkpoints that move to a branch."""
    branch: str | None
    """Directory of the branch."""


@dataclass(frozen=True)
class _Target:
    """Where a rewind leads: a checkpoint, or None for the beginning of the history."""

    found: CheckpointDir | None
    to_seq: int
    cursor: Cursor


class Rewinder:
    """Looks at one standing realm and takes its history back. The caller holds the locks of realm and model."""

    def __init__(self, paths: RealmPaths, files: Files = DISK, *, saga: Saga | None = None) -> None:
        """`saga` as for `arena.annals.turning.carry_out`."""
        self._paths = paths
        self._files = files
        self._saga = saga
        self._store = CheckpointStore(paths.current_model, files)
        self._lanes = LaneUndoing(paths, files)
        self._journal = paths.current_model / JOURNAL_NAME
        self._history = read_history(self._journal)

    def rewind(
        self, reference: str, *, now: datetime, requeue: bool, whole: bool = False, dry_run: bool = False
    ) -> Rewound | None:
        """Make the checkpoint meant by `reference` the present one; None when it is, and nothing was learned since.

        `requeue` queues the undone quests again and goes on with the one that the checkpoint lies in, or queues it
        too with `whole`. Raises `NotFound` for a checkpoint that is not there and `Conflict` for one that is torn, of
        another history, or without an optimizer.
        """
        target = self._target(reference)
        entry = self._entry(target, now, goes_on=requeue and not whole)
        after = self._history_after(entry)
        head = self._store.head()
        name = target.found.name if target.found else None
        if name == head and not (whole and _is_inside(entry)) and self._learned_nothing_since(target, now):
            return None
        fates = list(self._fates(after, entry, requeue=requeue, now=now))
        left_behind = [each.name for each in self._store.list() if not self._stays(each, after, name)]
        told = Rewound(
            checkpoint=name,
            step=entry.step,
            from_checkpoint=head,
            from_step=self._present_step(head),
            undone=[self._undone(after, entry, ordinal, fates) for ordinal in self._taken_back(after, entry)],
            redone=[after.claims[ordinal].name for ordinal in after.undone_by(self._history)],
            left_behind=left_behind,
            branch=str(self._store.root / BRANCHES / f"rewound-{entry.seq}") if left_behind else None,
        )
        if not dry_run:
            turn = Turn(
                kind="rewound", seq=entry.seq, at=entry.at, message=entry.reason, head=name,
                cursor=(entry.ordinal, entry.quest_step), series_until=entry.step, fates=fates,
            )  # fmt: skip
            carry_out(self._paths, entry, turn, saga=self._saga, files=self._files)
        return told

    # --- the target ---------------------------------------------------------------------------------------

    def _target(self, reference: str) -> _Target:
        genesis = self._history.genesis
        if genesis is None:
            raise Conflict("This model has learned nothing yet, so there is nothing to go back to.")
        if reference == BASE and genesis.checkpoint is not None:
            reference = genesis.checkpoint
        found = self._find(reference)
        if found is None and reference in (BASE, "0") and genesis.checkpoint is None:
            return _Target(None, genesis.seq, Cursor())
        if found is None:
            raise NotFound(
                f"There is no checkpoint {reference!r}, neither in {self._store.root} nor in its branches.",
                hint="`realm ledger list` shows the checkpoints; `realm rewind base` goes back to the beginning.",
            )
        if problems := check_manifest(found.path):
            raise Conflict(f"{found.name} is not whole: {'; '.join(problems)}.", hint="Choose another checkpoint.")
        copy = found.path / JOURNAL_NAME
        if not is_same_history(copy, self._journal):
            raise Conflict(
                f"{found.name} was not trained in the history that {self._journal} tells.",
                hint="`realm ledger adopt` begins a history with a checkpoint from elsewhere.",
            )
        then = read_history(copy)
        if not can_be_resumed(found.path, then):
            raise Conflict(
                f"{found.name} holds weights only: training cannot go on from it.",
                hint="Choose one that was saved with its optimizer; `realm ledger list` shows the checkpoints.",
            )
        return _Target(found, then.seq, read_cursor(found.path))

    def _find(self, reference: str) -> CheckpointDir | None:
        if reference == "best":
            best = CheckpointLedger.of(self._paths, self._files).get_best()
            reference = best.canonical_name if best else reference
        if found := self._store.resolve(reference):
            return found
        branches = self._store.branches()
        if found := next((each for each in branches if f"{each.path.parent.name}/{each.name}" == reference), None):
            return found
        name = match_checkpoint(reference, [each.name for each in branches])
        return next((each for each in reversed(branches) if each.name == name), None)

    def _entry(self, target: _Target, now: datetime, *, goes_on: bool) -> Rewind:
        step = target.found.step if target.found else 0
        name = target.found.name if target.found else None
        return Rewind(
            seq=self._history.seq + 1, at=now.astimezone(UTC).isoformat(), checkpoint=name, step=step,
            to_seq=target.to_seq, ordinal=target.cursor.ordinal, quest_step=target.cursor.quest_step, goes_on=goes_on,
            reason=f"The hero went back to step {step} ({name or 'the weights it began with'})",
        )  # fmt: skip

    def _learned_nothing_since(self, target: _Target, now: datetime) -> bool:
        return not self._history.undone_by(self._history_after(self._entry(target, now, goes_on=True)))

    def _history_after(self, entry: Rewind) -> History:
        after = read_history(self._journal)
        after.add(entry)
        return after

    def _present_step(self, head: str | None) -> int:
        present = self._store.resolve(head) if head else None
        return present.step if present else 0

    def _stays(self, checkpoint: CheckpointDir, after: History, target: str | None) -> bool:
        return checkpoint.name == target or is_ancestor(checkpoint.path, after)

    # --- the quests ---------------------------------------------------------------------------------------

    def _taken_back(self, after: History, entry: Rewind) -> list[int]:
        """Ordinals of the quests that are undone, wholly or from the cursor on."""
        goes_on = {entry.ordinal} if entry.goes_on and _is_inside(entry) else set()
        return sorted({*self._history.undone_by(after), *(goes_on & self._history.claims.keys())})

    def _fates(self, after: History, entry: Rewind, *, requeue: bool, now: datetime) -> Iterator[Fate]:
        mtime_ns = 0
        for ordinal in self._taken_back(after, entry):
            claim = self._history.claims[ordinal]
            quest = self._lanes.find(claim.quest_id)
            if entry.goes_on and after.claims.get(ordinal) == claim:
                yield from self._make_room(claim)
                yield Fate(quest_id=claim.quest_id, do="go_on")
            elif requeue and quest is not None and self._history.outcome_of(ordinal) not in ENDED_OTHERWISE:
                mtime_ns = max(quest.path.stat().st_mtime_ns, mtime_ns + MTIME_STEP_NS)
                new_id = new_quest_id(now)
                yield Fate(quest_id=claim.quest_id, do="queue_again", new_id=new_id, mtime_ns=mtime_ns)
            else:
                rows = _rows_kept(after, entry, claim)
                yield Fate(quest_id=claim.quest_id, do="set_aside", rows_learned=rows)
        for ordinal in after.undone_by(self._history):
            yield self._fate_of_gained(after, entry, after.claims[ordinal])

    def _fate_of_gained(self, after: History, entry: Rewind, claim: ClaimEntry) -> Fate:
        """What becomes of a quest that an earlier rewind had undone, and this one brings back."""
        if entry.goes_on and claim.ordinal == entry.ordinal:
            return Fate(quest_id=claim.quest_id, do="go_on")
        learned = after.outcome_of(claim.ordinal) == "learned"
        rows = _rows_kept(after, entry, claim)
        return Fate(quest_id=claim.quest_id, do="complete_again" if learned else "set_aside", rows_learned=rows)

    def _make_room(self, claim: ClaimEntry) -> Iterator[Fate]:
        """Only the quest that goes on may lie in `processing/`."""
        for quest in self._lanes.in_lanes("processing"):
            if quest.quest_id != claim.quest_id and self._history.ordinal_of(quest.quest_id) is None:
                yield Fate(quest_id=quest.quest_id, do="let_wait")

    def _undone(self, after: History, entry: Rewind, ordinal: int, fates: list[Fate]) -> UndoneQuest:
        claim = self._history.claims[ordinal]
        quest = self._lanes.find(claim.quest_id)
        fate = next(fate for fate in fates if fate.quest_id == claim.quest_id)
        kept = _rows_kept(after, entry, claim)
        return UndoneQuest(
            quest_id=claim.quest_id, file=quest.record.original_name if quest else claim.name,
            rows_undone=max(self._rows_before(claim, quest) - kept, 0), rows_kept=kept,
            outcome=self._history.outcome_of(ordinal), found=quest is not None,
            queued_as={"queue_again": fate.new_id, "go_on": claim.quest_id}.get(fate.do),
        )  # fmt: skip

    def _rows_before(self, claim: ClaimEntry, quest: Quest | None) -> int:
        """Rows of a quest that were learned so far; of one that runs, as many as the present checkpoint holds."""
        present = self._store.resolve("latest")
        if quest is None or quest.record.outcome is not None or present is None:
            return self._history.rows_learned(claim.ordinal)
        cursor = read_cursor(present.path)
        if cursor.ordinal > claim.ordinal:
            return self._history.rows_learned(claim.ordinal)
        return claim.rows_after(cursor.quest_step) if cursor.ordinal == claim.ordinal else 0


def _is_inside(entry: Rewind) -> bool:
    """True when the checkpoint lies within a quest."""
    return entry.quest_step > 0


def _rows_kept(after: History, entry: Rewind, claim: ClaimEntry) -> int:
    """Rows of a quest that stay learned."""
    if after.claims.get(claim.ordinal) != claim:
        return 0
    return claim.rows_after(entry.quest_step) if claim.ordinal == entry.ordinal else after.rows_learned(claim.ordinal)
