"""What a checkpoint has learned, quest by quest, and which checkpoints come before and after it.

A quest's rows and steps are those of the journal in the checkpoint, up to its cursor; steps that taught nothing count
as steps, and their rows as not learned. Checkpoints are compared with those that are still there: where the rolling
slot has deleted some in between, what they learned counts for the one that is left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from arena.annals.ancestry import is_ancestor
from arena.cursor import Cursor, read_cursor
from arena.journal import JOURNAL_NAME, History, Place, read_history
from core.checkpoint_ledger import CheckpointLedger, read_sidecar
from core.errors import Conflict
from core.paths import RealmPaths
from vault.checkpoint_facts import Standing, must_stand
from vault.checkpoints import CheckpointDir, CheckpointStore

MOST_LINES = 50
"""Branches that are looked at, the latest ones."""
MOST_STEPS_BACK = 50
"""Checkpoints of the same line that are tried, should the ones just before belong to another past."""

Line = list[CheckpointDir]
"""Checkpoints of `current_model/` or of one branch, oldest first: each goes on from the one before it."""


@dataclass(frozen=True)
class Learned:
    """What a checkpoint holds of one quest."""

    rows: int
    """Counted once per epoch."""
    steps: int


def lineage_of(
    paths: RealmPaths, ledger: CheckpointLedger, reference: str, *, scope: str, offset: int, limit: int
) -> dict[str, Any]:
    """See `arena.hall.answers.Lineage`; `scope` is `since` the checkpoint before it, or `all`. Reads journals."""
    standing = must_stand(paths, ledger, reference)
    told = {
        "checkpoint": _node(standing.found, standing.branch), "known": False, "problem": None, "genesis": None,
        "parent": None, "children": [], "since": None, "total": None, "scope": scope, "offset": offset,
        "quest_count": 0, "quests": [],
    }  # fmt: skip
    try:
        return {**told, **_told(paths, standing, scope, offset, limit)}
    except (Conflict, OSError, ValueError, TypeError) as error:
        # Damaged, or made elsewhere: the page tells the rest of it all the same.
        return {**told, "problem": str(error)}


def learned_until(history: History, cursor: Cursor) -> dict[int, Learned]:
    """What was learned before the cursor, by ordinal; quests that it has not touched are left out."""
    left_out: dict[int, list[int]] = {}
    for ordinal, step in {*history.dropped, *history.quarantined}:
        left_out.setdefault(ordinal, []).append(step)
    found = {}
    for ordinal, claim in sorted(history.claims.items()):
        if (ordinal, 0) >= (cursor.ordinal, cursor.quest_step):
            continue
        steps = cursor.quest_step if ordinal == cursor.ordinal else history.steps_of(ordinal)
        lost = sum(
            claim.rows_after(step + 1) - claim.rows_after(step) for step in left_out.get(ordinal, ()) if step < steps
        )
        found[ordinal] = Learned(claim.rows_after(steps) - lost, steps)
    return found


# --- inside ---------------------------------------------------------------------------------------------------


def _told(paths: RealmPaths, standing: Standing, scope: str, offset: int, limit: int) -> dict[str, Any]:
    folder = standing.found.path
    if not (folder / JOURNAL_NAME).exists():
        raise ValueError("It holds no journal, so nobody can tell what it has learned.")
    history, cursor = read_history(folder / JOURNAL_NAME), read_cursor(folder)
    kin = _Kin(paths)
    parent = kin.parent_of(standing.found)
    total = learned_until(history, cursor)
    before = learned_until(history, read_cursor(parent.path)) if parent else {}
    since = {ordinal: more for ordinal, each in total.items() if (more := _less(each, before.get(ordinal))).steps}
    chosen = since if scope == "since" else total
    page = sorted(chosen, reverse=True)[offset : offset + limit]
    genesis = history.genesis
    return {
        "known": True,
        "genesis": genesis and {
            "hero": genesis.hero, "base_model": genesis.base_model, "at": genesis.at, "checkpoint": genesis.checkpoint
        },
        "parent": parent and _node(parent, kin.branch_of(parent)),
        "children": [_node(each, kin.branch_of(each)) for each in kin.children_of(standing.found)],
        "since": _sum(since),
        "total": _sum(total),
        "quest_count": len(chosen),
        "quests": [_quest(history, cursor, ordinal, chosen[ordinal], total[ordinal]) for ordinal in page],
    }  # fmt: skip


def _less(now: Learned, before: Learned | None) -> Learned:
    return Learned(now.rows - before.rows, now.steps - before.steps) if before else now


def _sum(learned: dict[int, Learned]) -> dict[str, int]:
    return {
        "quests": len(learned),
        "rows": sum(each.rows for each in learned.values()),
        "steps": sum(each.steps for each in learned.values()),
    }


def _quest(history: History, cursor: Cursor, ordinal: int, learned: Learned, total: Learned) -> dict[str, Any]:
    claim = history.claims[ordinal]
    # One whose end a later line of this journal tells is still under way at the cursor.
    is_inside = ordinal == cursor.ordinal
    return {
        "ordinal": ordinal,
        "quest_id": claim.quest_id,
        "file": claim.name,
        "claimed_at": claim.at,
        "content_hash": claim.content_hash,
        "rows": learned.rows,
        "steps": learned.steps,
        "rows_total": total.rows,
        "rows_of_file": claim.rows,
        "epochs": claim.settings.epochs,
        "outcome": "in progress" if is_inside else history.outcome_of(ordinal),
    }


def _node(found: CheckpointDir, branch: str | None) -> dict[str, Any]:
    record = read_sidecar(found.path)
    return {
        "name": found.name,
        "address": found.name if branch is None else f"{branch}/{found.name}",
        "step": found.step,
        "branch": branch,
        "train_loss": record.train_loss if record else None,
    }


class _Kin:
    """Which checkpoints go on from which; what is read of them is read once."""

    def __init__(self, paths: RealmPaths) -> None:
        self._store = CheckpointStore(paths.current_model)
        branches: dict[str, Line] = {}
        for each in self._store.branches():
            branches.setdefault(each.path.parent.name, []).append(each)
        self._lines: list[Line] = [self._store.list(), *list(branches.values())[-MOST_LINES:]]
        self._history = cache(lambda folder: read_history(folder / JOURNAL_NAME))
        self._cursor = cache(lambda folder: _place(folder))

    def branch_of(self, found: CheckpointDir) -> str | None:
        return None if found.path.parent == self._store.root else found.path.parent.name

    def parent_of(self, found: CheckpointDir) -> CheckpointDir | None:
        """The last one before it that its history goes on from; None where there is none any more."""
        own = next((line for line in self._lines if found in line), [found])
        for each in reversed(own[max(0, own.index(found) - MOST_STEPS_BACK) : own.index(found)]):
            if self._goes_on(found, each):
                return each
        # The first of its line: where a rewind has parted it from another one.
        ends = (self._last_before(found, line) for line in self._lines if line is not own)
        parted = [each for each in ends if each is not None]
        return max(parted, key=lambda each: self._cursor(each.path) or (0, 0), default=None)

    def children_of(self, found: CheckpointDir) -> list[CheckpointDir]:
        return [each for each in self._heirs(found) if self.parent_of(each) == found]

    def _heirs(self, found: CheckpointDir) -> Iterator[CheckpointDir]:
        """All that may be a child: the next of its line, and what other lines begin with."""
        for line in self._lines:
            if found in line:
                here = self._cursor(found.path)
                later = (each for each in line[line.index(found) + 1 :] if self._cursor(each.path) != here)
                yield from _first(later)
            else:
                yield from line[:1]

    def _last_before(self, found: CheckpointDir, line: Sequence[CheckpointDir]) -> CheckpointDir | None:
        """Of a line whose beginning is a common past, the last that belongs to it."""
        belongs = bisect_left(range(len(line)), True, key=lambda at: not self._goes_on(found, line[at]))
        return line[belongs - 1] if belongs else None

    def _goes_on(self, later: CheckpointDir, earlier: CheckpointDir) -> bool:
        here, there = self._cursor(later.path), self._cursor(earlier.path)
        return here is not None and there is not None and there < here and is_ancestor(
            earlier.path, self._history(later.path)
        )  # fmt: skip


def _first(found: Iterator[CheckpointDir]) -> list[CheckpointDir]:
    one = next(found, None)
    return [] if one is None else [one]


def _place(folder: Path) -> Place | None:
    try:
        cursor = read_cursor(folder)
    except (OSError, ValueError):
        return None
    return cursor.ordinal, cursor.quest_step
