"""The quest board: takes quests in, hands out the next one, and moves each from lane to lane until it is over.

Lanes are directories; the lane a data file lies in is the truth (law 1). Only the process that holds the
realm's lock may change the board; reading it (`find`, `listing`, `counts`) is free to anyone. All methods block on the
disk and are safe to call from several threads. A full or failing disk shows as `OSError`, with nothing moved.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from arena.lanes.admission import Admission, admit_all, copy_ahead
from arena.lanes.forgetting import Forgotten, forget_surplus
from arena.lanes.lookup import SEARCH_ORDER, candidates
from arena.lanes.moves import LaneMover, Move, body_of, fit_name, foreign_keys, quest_of
from arena.lanes.pledges import Pledges
from arena.lanes.reading import DATA_SUFFIX, LaneReader, hash_if_allowed, hash_or_none, stamp_of
from arena.lanes.retention import LaneBudget
from arena.lanes.sweep import LaneSweep, SweepReport
from arena.lanes.views import counts, listing, queue_metadata, queue_view
from arena.quests import QUEST_ID, Quest, QuestRecord, Strike, new_quest_id
from core.errors import Conflict, InvalidInput, NotFound
from core.files import DISK, Files
from core.paths import LANES, PRIORITIES, RealmPaths

logger = logging.getLogger(__name__)
T = TypeVar("T")

KEPT_STRIKES = 20
"""Strikes remembered per quest; three in a row at one place withdraw it."""
MOVED_TOGETHER = 32
"""Quests that are sealed without letting others to the board in between."""


class QuestBoard:
    """All quests of one realm."""

    def __init__(self, paths: RealmPaths, files: Files = DISK) -> None:
        self.paths = paths
        self._files = files
        self._lock = threading.RLock()
        self._lanes = LaneReader(paths)
        self._mover = LaneMover(paths, files, self._lanes)
        self._covered: set[str] = set()
        """Ids of quests that a checkpoint covers, and that the disk keeps from being moved on."""
        self._sweep = LaneSweep(paths, self._lanes, self._mover)
        self._pledges = Pledges()

    # --- in ---------------------------------------------------------------------------------------------

    def admit(self, source: Path, record: QuestRecord, lane: str, name: str, *, now: datetime) -> Quest:
        """Take a checked file in: into a priority lane, or into `failed` when the gates rejected it.

        A taken name gets `_2`, `_3` … Keys of a sidecar dropped beside the source are kept as lineage. A source that
        lies in `lane` already (put there by hand, then checked) stays where it is. Raises `NotFound` when it is gone.
        """
        (admitted,) = self.admit_all([Admission(source, record, lane, name)], now=now)
        if isinstance(admitted, Exception):
            raise admitted
        return admitted

    def admit_all(
        self, admissions: Sequence[Admission], *, now: datetime, tidy_later: bool = False
    ) -> list[Quest | NotFound | OSError]:
        """`admit` for several files at a fraction of the disk's work; each gets its quest, or why it stays.

        With `tidy_later` as for `claim`.
        """
        copied = [copy_ahead(admission, self.paths, self._files) for admission in admissions]
        try:
            with self._lock:
                return admit_all(copied, self._lanes, self._mover, now=now, tidy_later=tidy_later)
        finally:
            for before, after in zip(admissions, copied, strict=True):
                if isinstance(after, Admission) and after.unpacked is not None and before.unpacked is None:
                    with suppress(OSError):  # it goes with its move; of what stays, the next try makes another copy
                        self._files.unlink(after.unpacked.path)

    # --- out --------------------------------------------------------------------------------------------

    def next_waiting(self) -> Quest | None:
        """The first of `waiting`."""
        return next(iter(self.waiting(1)), None)

    def waiting(self, at_most: int) -> list[Quest]:
        """What will be claimed next: high → normal → low, oldest first by (mtime, name).

        Files without a valid record are no quests (law 6), and what the trainer has does not wait for it.
        """
        with self._lock:
            open_quests = (
                quest
                for lane in PRIORITIES
                for quest in self._lanes.quests(lane)
                if quest.record.outcome is None and not self._pledges.hold(quest.quest_id)
            )
            return list(islice(open_quests, at_most))

    def processing(self) -> Quest | None:
        """The claimed quest. Should several lie there by hand: one that has been claimed before, else the oldest."""
        with self._lock:
            return self._sweep.running()

    def promised(self) -> Quest | None:
        """The quest that somebody was told of last, if it still waits."""
        with self._lock:
            promised = self._pledges.promised
            return self._if_waiting(promised) if promised is not None else None

    def running(self) -> Quest | None:
        """The quest that is learned, or about to be: that in `processing/`, else one of the trainer's that waits.

        Where the one in `processing/` is over and cannot leave it, the promised one, once it is begun.
        """
        with self._lock:
            promised, begun = self.promised(), self._pledges.begun
            if promised is not None and promised.quest_id in begun:
                return promised
            waiting = (quest for quest_id in begun if (quest := self._if_waiting(quest_id)) is not None)
            return self.processing() or promised or next(waiting, None)

    def promise(self, quest: Quest, *, behind: str | None = None) -> Quest:
        """Make sure of a waiting quest for somebody who is told of it before `claim` moves it; raises as `claim` does.

        Until that, or `break_promise`, it can neither be removed nor get another priority. `behind` is the id of the
        quest that is over and may still lie in `processing/`. There is one promise at a time: the last one.
        """
        stamp, found = stamp_of(quest.path), hash_or_none(quest.path)
        with self._lock:
            record = self._claimable(quest, found, behind)
            self._pledges.promise(quest.quest_id, stamp)
            return Quest(quest.path, record)

    def break_promise(self) -> None:
        """Whoever was told of a quest does not take it, or has done with it."""
        with self._lock:
            self._pledges.break_promise()

    def note_begun(self, quest_id: str) -> None:
        """The journal holds the claim of this quest, if it is the promised one."""
        with self._lock:
            if quest_id == self._pledges.promised:
                self._pledges.note_begun(quest_id)

    def claim(self, quest: Quest, proof: dict[str, Any] | None = None, *, tidy_later: bool = False) -> Quest:
        """Move a waiting quest into `processing/`; raises `Conflict` when that is occupied or the file was changed.

        `proof` is what the gate before training found; written down with the move, it costs no write of its own.
        A file changed since it passed the gates loses its record and is reported as an orphan by the next sweep. With
        `tidy_later`, `tidy` is to be called once nobody waits for the disk.
        """
        unchanged = self._pledges.is_promised(quest.quest_id, stamp_of(quest.path))
        found = quest.record.content_hash if unchanged else hash_or_none(quest.path)
        with self._lock:
            record = self._claimable(quest, found)
            record = replace(record, attempts=record.attempts + 1).proven(proof)
            claimed = self._relocate(quest.path, "processing", quest.name, record, tidy_later=tidy_later)
            self._sweep.claimed = claimed.quest_id
            self._pledges.break_promise()
            return claimed

    def reclaim(self, begun: Iterable[str]) -> list[Quest]:
        """Quests that were claimed and lie among those that wait: somebody has moved them back, or the realm was killed
        between telling the trainer and `claim`.

        `begun` has the claims of the journal, in its order: from now on, nobody but the trainer may have those of them
        that wait. To be called before another trainer begins.
        """
        claims = dict.fromkeys(begun)
        with self._lock:
            found = {
                record.quest_id: file.path
                for lane in PRIORITIES
                for file, record in self._lanes.records(lane)
                if (record.attempts or record.quest_id in claims) and record.outcome is None
            }
            self._pledges.begin(quest_id for quest_id in claims if quest_id in found)
            return [quest for path in found.values() if (quest := self._read(path)) is not None]

    def take_up(self, begun: Iterable[str]) -> None:
        """`reclaim`, and move the quest that was begun first to `processing/`, where it lay had the realm lived on."""
        waiting = {quest.quest_id: quest for quest in self.reclaim(begun)}
        first = next((waiting[quest_id] for quest_id in self._pledges.begun), None)
        if first is None or self.processing() is not None:
            return
        try:
            self.claim(first)
        except (Conflict, OSError) as error:  # changed by hand, or the disk refuses: it is told to the trainer as it is
            logger.warning("%s stays where it waited: %s", first.name, error, extra={"event": "claim_not_followed"})

    def note_proof(self, quest_id: str, proof: dict[str, Any]) -> Quest:
        """Write down what the gate before training found in a quest that was not claimed with it."""
        with self._lock:
            quest = self._known(quest_id)
            return self._put(quest, quest.lane, quest.record.proven(proof))

    def await_seal(
        self,
        quest_id: str,
        *,
        outcome: str,
        rows_learned: int,
        first_step: int | None,
        last_step: int | None,
        reason: str | None = None,
        loss_first: float | None = None,
        loss_last: float | None = None,
        now: datetime,
        tidy_later: bool = False,
    ) -> Quest:
        """The quest is over, `outcome` learned, skipped or withdrawn; its data stay until a checkpoint covers them.

        Works from any lane, as people move files by hand; said twice (after a replay), the later word counts. One that
        they moved to `failed/` stays there, and its record tells what the weights hold of it. With `tidy_later` as for
        `claim`.
        """
        with self._lock:
            quest = self._known(quest_id)
            record = replace(
                quest.record,
                rows_learned=rows_learned,
                first_step=first_step,
                last_step=last_step,
                loss_first=loss_first,
                loss_last=loss_last,
            )
            if quest.lane == "failed":
                return self._put(quest, "failed", record)
            ended = replace(record, outcome=outcome, reason=reason, finished_at=_iso(now))
            return self._put(quest, "awaiting_seal", ended, tidy_later=tidy_later)

    def tidy(self) -> None:
        """Do what is left of moves that are done: it must not come between two quests."""
        with self._lock:
            self._mover.tidy()

    def seal(self, quest_ids: Iterable[str], *, now: datetime) -> list[Quest]:
        """A checkpoint covers these: learned ones go to `recently_completed/` with the local time in their name, others
        to `failed/`. Ids of quests that are not open are ignored; returns the quests that were moved.

        One that the disk refused to move, now or to `awaiting_seal/` before, is tried again at the next call, also at
        one with no ids.
        """
        with self._lock:
            wanted = self._covered.union(quest_ids)
            awaiting = {record.quest_id: file.path for file, record in self._lanes.records("awaiting_seal")}
            paths = [path for quest_id, path in awaiting.items() if quest_id in wanted]
            self._covered = wanted & awaiting.keys()
            if late := wanted - self._covered:
                before = (*PRIORITIES, "processing")
                self._covered |= late & {record.quest_id for lane in before for _, record in self._lanes.records(lane)}
        sealed = []
        for first in range(0, len(paths), MOVED_TOGETHER):
            with self._lock:
                sealed += self._seal_some(paths[first : first + MOVED_TOGETHER], now)
        return sealed

    def uncover(self, quest_ids: Iterable[str]) -> None:
        """These are learned again: no checkpoint that is left covers them."""
        with self._lock:
            self._covered.difference_update(quest_ids)

    def _seal_some(self, paths: Sequence[Path], now: datetime) -> list[Quest]:
        # Read anew: others may have been to the board since the last ones.
        records = [(path, record) for path in paths if (record := self._lanes.record(path)) is not None]
        quests = [Quest(path, record) for path, record in records if record.quest_id in self._covered]
        moves = []
        for quest in quests:
            lane, name = "failed", quest.name
            if quest.record.outcome == "learned":
                stem = fit_name(name).removesuffix(DATA_SUFFIX)
                lane, name = "recently_completed", f"{stem}_{now.astimezone():%Y%m%d_%H%M%S}{DATA_SUFFIX}"
            moves.append(Move(quest.path, self.paths.lane(lane), name, body_of(quest.record)))
        self._mover.rename_all(moves)
        sealed = []
        for move, quest in zip(moves, quests, strict=True):
            found = quest_of(move, quest.record)
            if isinstance(found, Quest):
                sealed.append(found)
            if isinstance(found, OSError):
                logger.warning("%s cannot be sealed yet: %s", quest.path, found, extra={"event": "seal_failed"})
            else:
                self._covered.discard(quest.quest_id)
        return sealed

    def fail(
        self, quest_id: str, *, outcome: str, reason: str, now: datetime, judged_by: Mapping[str, str] | None = None
    ) -> Quest:
        """Move an open quest to `failed/`; one that is there already gets the new outcome.

        `judged_by` names the validators that did not let it pass (name to version), where it was they.
        """
        with self._lock:
            quest = self._known(quest_id)
            if judged_by is not None:
                self._check_free(quest)  # nobody judges what is learned already
            record = quest.record if judged_by is None else quest.record.judged(judged_by, passed=False)
            return self._put(quest, "failed", replace(record, outcome=outcome, reason=reason, finished_at=_iso(now)))

    def add_strike(self, quest_id: str, strike: Strike) -> Quest:
        """Note a death of the trainer on this quest (`arena.supervision.strikes` decides which are charged)."""
        with self._lock:
            quest = self._known(quest_id)
            record = replace(quest.record, strikes=[*quest.record.strikes, strike][-KEPT_STRIKES:])
            return self._put(quest, quest.lane, record)

    # --- what people ask for ----------------------------------------------------------------------------

    def retry(self, name_or_id: str, *, now: datetime) -> Quest | None:
        """A failed quest waits again, under a new id and without strikes: a retry is a new claim (C5, C6).

        What the gates rejected, what was changed since, and files without a record go back into `inbox/` to be
        checked; then the answer is None.
        """
        path, record = self._locate(name_or_id, ("failed",), "has not failed")
        changed = record is None or hash_or_none(path) != record.content_hash
        with self._lock:
            lane = record.priority if record else "normal"
            if record is None or changed or record.outcome == "rejected":
                self.send_to_gates(path, priority=lane)
                return None
            fresh = record.again(new_quest_id(now), lane, now=now)
            return self._relocate(path, lane, path.name, fresh)

    def remove(self, name_or_id: str) -> Path:
        """Delete a waiting or failed quest for good; returns where it lay."""
        with self._lock:
            path, _ = self._locate(name_or_id, (*PRIORITIES, "failed"), "is neither waiting nor failed")
            # Data first: a sidecar without data is swept away, data without a sidecar are taken in again.
            self._files.unlink(path)
            self._files.fsync_dir(path.parent)
            self._mover.drop_sidecar(path)
            return path

    def move(self, name_or_id: str, priority: str) -> Quest:
        """Give a waiting quest another priority."""
        _check_priority(priority)
        with self._lock:
            path, record = self._locate(name_or_id, PRIORITIES, "is not waiting")
            if record is None or record.outcome is not None:
                raise Conflict(f"{path.name} has not passed the gates yet.", hint="Wait a minute, then try again.")
            return self._put(Quest(path, record), priority, replace(record, priority=priority))

    def send_to_gates(self, path: Path, *, priority: str | None = None) -> Path:
        """Move a data file out of its lane into `inbox/`, to be checked like any other; its lineage goes along."""
        with self._lock:
            lane = path.parent.name
            folder = self.paths.inbox / (priority or (lane if lane in PRIORITIES else "normal"))
            lineage = foreign_keys(self._mover.read_body(path))
            try:
                return self._mover.rename_free(path, folder, fit_name(path.name), lineage)
            except FileNotFoundError as error:
                if os.path.lexists(path):
                    raise
                raise NotFound(f"{path} is gone.") from error

    # --- looking ----------------------------------------------------------------------------------------

    def find(self, name_or_id: str) -> Quest | None:
        """The quest of that id or exact file name; of several with one name, the one nearest to being trained."""
        with self._lock:
            found = (self._read(path) for path in candidates(self._lanes, name_or_id, SEARCH_ORDER))
            return next((quest for quest in found if quest is not None), None)

    def quests(self, lane: str) -> list[Quest]:
        """The quests of one lane, oldest first."""
        return self.look(lambda lanes: list(lanes.quests(_check_lane(lane))))

    def look(self, at: Callable[[LaneReader], T]) -> T:
        """What `at` makes of the lanes while nobody moves anything: it must be quick, and only look."""
        with self._lock:
            return at(self._lanes)

    def counts(self) -> dict[str, Any]:
        """Numbers of quests per lane: see `arena.lanes.views.counts`."""
        return self.look(counts)

    def listing(self, lane: str | None = None) -> list[dict[str, Any]]:
        """One row per file: see `arena.lanes.views.listing`."""
        return self.look(lambda lanes: listing(lanes, LANES if lane is None else (_check_lane(lane),)))

    def queue_view(self) -> dict[str, Any]:
        """The body of `GET /api/training/queue`: see `arena.lanes.views.queue_view`."""
        return self.look(queue_view)

    def write_metadata(self, *, now: datetime) -> None:
        """Write `queue/queue_metadata.json`, a view made from the sidecars alone (C3)."""
        body = {**self.look(queue_metadata), "updated_at": _iso(now)}
        self._files.write_json(self.paths.queue_metadata, body, durable=False)

    # --- upkeep -----------------------------------------------------------------------------------------

    def sweep(self, *, now: datetime) -> SweepReport:
        """Finish half moves, follow moves by hand, find unchecked files: see `arena.lanes.sweep`."""
        with self._lock:
            self._mover.tidy()
            strays = self._sweep.strays_to_hash()
        # Hashing gigabytes must not keep others from the board.
        hashes = {path: hash_if_allowed(path) for path in strays}
        with self._lock:
            self._mover.tidy()
            return self._sweep.run(hashes, now)

    def forget(
        self, lane: str, budget: LaneBudget, *, now: datetime, needed: Callable[[], Container[str]] = frozenset
    ) -> tuple[list[Forgotten], OSError | None]:
        """Delete what a lane of ended quests may not keep any more (law 9, A20); `needed` tells the ids that stay.

        Returns them, oldest first, and why some others could not be deleted, if so.
        """
        return forget_surplus(lane, budget, self._lanes, self._mover, self._lock, now=now, needed=needed)

    # --- inside -----------------------------------------------------------------------------------------

    def _claimable(self, quest: Quest, found: str | None, behind: str | None = None) -> QuestRecord:
        """The record of a waiting quest whose file has the hash `found`; see `promise`."""
        busy = self.processing()
        if busy is not None and busy.quest_id != behind:
            raise Conflict(f"{busy.name} is in processing/; one quest is fought at a time.", quest=busy.quest_id)
        record = self._lanes.record(quest.path)
        gone = found is None or record is None or record.quest_id != quest.quest_id
        if record is None or gone or quest.lane not in PRIORITIES:
            raise Conflict(f"{quest.name} is not waiting any more.", quest=quest.quest_id)
        if found != record.content_hash:
            self._mover.write(quest.path, foreign_keys(record.lineage))
            raise Conflict(f"{quest.name} was changed after it had passed the gates.", quest=quest.quest_id)
        return record

    def _put(self, quest: Quest, lane: str, record: QuestRecord, *, tidy_later: bool = False) -> Quest:
        """Write `record` and have the quest lie in `lane`."""
        if quest.lane == lane:
            self._mover.write(quest.path, body_of(record))
            return Quest(quest.path, record)
        return self._relocate(quest.path, lane, quest.name, record, tidy_later=tidy_later)

    def _relocate(self, source: Path, lane: str, name: str, record: QuestRecord, *, tidy_later: bool = False) -> Quest:
        move = Move(source, self.paths.lane(lane), name, body_of(record))
        self._mover.rename_all([move], tidy_later=tidy_later)
        quest = quest_of(move, record)
        if isinstance(quest, Exception):
            raise quest
        self._pledges.let_go(record.quest_id)
        return quest

    def _read(self, path: Path) -> Quest | None:
        record = self._lanes.record(path)
        return Quest(path, record) if record is not None else None

    def _if_waiting(self, quest_id: str) -> Quest | None:
        path = next(candidates(self._lanes, quest_id, PRIORITIES), None)
        return self._read(path) if path is not None else None

    def _check_free(self, quest: Quest) -> None:
        """Raise `Conflict` for a quest that waits and is the trainer's already."""
        if quest.lane in PRIORITIES and self._pledges.hold(quest.quest_id):
            raise Conflict(f"{quest.name} is about to be learned.", hint="See in a moment what became of it.")

    def _known(self, quest_id: str) -> Quest:
        quest = self.find(quest_id) if QUEST_ID.fullmatch(quest_id) else None
        if quest is None or quest.lane == "recently_completed":
            raise NotFound(f"No open quest has the id {quest_id}.")
        return quest

    def _locate(self, name_or_id: str, lanes: Sequence[str], otherwise: str) -> tuple[Path, QuestRecord | None]:
        with self._lock:
            for path in candidates(self._lanes, name_or_id, lanes):
                record = self._lanes.record(path)
                if record is not None:
                    self._check_free(Quest(path, record))
                return path, record
            elsewhere = next(candidates(self._lanes, name_or_id, SEARCH_ORDER), None)
        if elsewhere is None:
            raise NotFound(f"There is no quest {name_or_id}.", hint="`realm quest list` shows all of them.")
        raise Conflict(
            f"{elsewhere.name} {otherwise}: it lies in {elsewhere.parent.name}/.", lane=elsewhere.parent.name
        )


def _check_priority(priority: str) -> None:
    if priority not in PRIORITIES:
        raise InvalidInput(f"There is no priority {priority!r}.", hint="Use high, normal or low.")


def _check_lane(lane: str) -> str:
    if lane not in LANES:
        raise InvalidInput(f"There is no lane {lane!r}.", hint=f"Use one of {', '.join(LANES)}.")
    return lane


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
