"""The quest board: takes quests in, hands out the next one, and moves each from lane to lane until it is over.

Lanes are directories; the lane a data file lies in is the truth (law 1). Only the process that holds the
realm's lock may change the board; reading it (`find`, `listing`, `counts`) is free to anyone. All methods block on the
disk and are safe to call from several threads. A full or failing disk shows as `OSError`, with nothing moved.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arena.lanes.moves import LaneMover, body_of, fit_name, foreign_keys
from arena.lanes.reading import (
    DATA_SUFFIX,
    LaneReader,
    content_hash,
    lineage_beside,
    stamp_of,
)
from arena.lanes.sweep import LaneSweep, SweepReport
from arena.lanes.views import counts, listing, queue_metadata, queue_view
from arena.quests import QUEST_ID, Quest, QuestRecord, Strike, new_quest_id
from core.errors import Conflict, InvalidInput, NotFound
from core.files import DISK, Files, same_file
from core.paths import LANES, PRIORITIES, RealmPaths

logger = logging.getLogger(__name__)

KEPT_STRIKES = 20
"""Strikes remembered per quest; three in a row at one place withdraw it."""

SEARCH_ORDER = ("processing", "awaiting_seal", *PRIORITIES, "failed", "recently_completed")


class QuestBoard:
    """All quests of one realm."""

    def __init__(self, paths: RealmPaths, files: Files = DISK) -> None:
        self.paths = paths
        self._files = files
        self._lock = threading.RLock()
        self._lanes = LaneReader(paths)
        self._mover = LaneMover(paths, files)
        self._covered: set[str] = set()
        """Ids of sealed quests whose move failed."""
        self._sweep = LaneSweep(paths, self._lanes, self._mover)

    # --- in ---------------------------------------------------------------------------------------------

    def admit(self, source: Path, record: QuestRecord, lane: str, name: str, *, now: datetime) -> Quest:
        """Take a checked file in: into a priority lane, or into `failed` when the gates rejected it.

        A taken name gets `_2`, `_3` … Keys of a sidecar dropped beside the source are kept as lineage. A source that
        lies in `lane` already (put there by hand, then checked) stays where it is. Raises `NotFound` when it is gone.
        """
        if lane not in (*PRIORITIES, "failed"):
            raise InvalidInput(f"A quest cannot be admitted into {lane!r}.", hint="Use high, normal, low or failed.")
        with self._lock:
            half = self._half_admitted(source)
            if half is not None:
                return half
            lineage = foreign_keys({**lineage_beside(source), **record.lineage})
            if lane == "failed":
                outcome = record.outcome or "rejected"
                record = replace(record, lineage=lineage, outcome=outcome, finished_at=_iso(now))
            else:
                record = replace(record, lineage=lineage, priority=lane, outcome=None)
            if source == self.paths.lane(lane) / source.name:
                self._mover.write(source, body_of(record))
                return Quest(source, record)
            return self._relocate(source, lane, fit_name(name), record)

    def _half_admitted(self, source: Path) -> Quest | None:
        """The quest that an interrupted `admit` of this very source left under both names, with the move finished."""
        try:
            if source.lstat().st_nlink < 2:
                return None
        except OSError as error:
            raise NotFound(f"{source} is gone.") from error
        for lane in (*PRIORITIES, "failed"):
            for file in self._lanes.files(lane):
                mark = self._lanes.mark(file.path) if same_file(file.path, source) else None
                if mark is not None and mark.source == source and mark.quest_id is None:
                    self._files.unlink(source)
                    self._mover.finish(source, file.path, self._mover.read_body(file.path))
                    record = self._lanes.record(file.path)
                    return Quest(file.path, record) if record else None
        return None

    # --- out --------------------------------------------------------------------------------------------

    def next_waiting(self) -> Quest | None:
        """high → normal → low, oldest first by (mtime, name). Files without a valid record are no quests (law 6)."""
        with self._lock:
            for lane in PRIORITIES:
                for quest in self._lanes.quests(lane):
                    if quest.record.outcome is None:
                        return quest
            return None

    def processing(self) -> Quest | None:
        """The claimed quest. Should several lie there by hand: one that has been claimed before, else the oldest."""
        with self._lock:
            return self._sweep.running()

    def claim(self, quest: Quest) -> Quest:
        """Move a waiting quest into `processing/`; raises `Conflict` when that is occupied or the file was changed.

        A file changed since it passed the gates loses its record and is reported as an orphan by the next sweep.
        """
        found = _hash_or_none(quest.path)
        with self._lock:
            busy = self.processing()
            if busy is not None:
                raise Conflict(f"{busy.name} is in processing/; one quest is fought at a time.", quest=busy.quest_id)
            record = self._lanes.record(quest.path)
            gone = found is None or record is None or record.quest_id != quest.quest_id
            if record is None or gone or quest.lane not in PRIORITIES:
                raise Conflict(f"{quest.name} is not waiting any more.", quest=quest.quest_id)
            if found != record.content_hash:
                self._mover.write(quest.path, foreign_keys(record.lineage))
                raise Conflict(f"{quest.name} was changed after it had passed the gates.", quest=quest.quest_id)
            claimed = self._relocate(
                quest.path, "processing", quest.name, replace(record, attempts=record.attempts + 1)
            )
            self._sweep.claimed = claimed.quest_id
            return claimed

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
    ) -> Quest:
        """The quest is over, `outcome` learned, skipped or withdrawn; its data stay until a checkpoint covers them.

        Works from any lane, as people move files by hand; said twice (after a replay), the later word counts.
        """
        with self._lock:
            quest = self._known(quest_id)
            record = replace(
                quest.record,
                outcome=outcome,
                reason=reason,
                rows_learned=rows_learned,
                first_step=first_step,
                last_step=last_step,
                loss_first=loss_first,
                loss_last=loss_last,
                finished_at=_iso(now),
            )
            return self._put(quest, "awaiting_seal", record)

    def seal(self, quest_ids: Iterable[str], *, now: datetime) -> list[Quest]:
        """A checkpoint covers these: learned ones go to `recently_completed/` with the local time in their name, others
        to `failed/`. Ids that do not await their seal are ignored; returns the quests that were moved.

        One that the disk refused to move stays and is tried again at the next call, also at one with no ids.
        """
        with self._lock:
            wanted = self._covered.union(quest_ids)
            self._covered = set()
            sealed = []
            for quest in self.quests("awaiting_seal"):
                if quest.quest_id not in wanted:
                    continue
                try:
                    sealed.append(self._seal(quest, now))
                except OSError as error:
                    self._covered.add(quest.quest_id)
                    logger.warning("%s cannot be sealed yet: %s", quest.path, error, extra={"event": "seal_failed"})
            return sealed

    def _seal(self, quest: Quest, now: datetime) -> Quest:
        if quest.record.outcome != "learned":
            return self._relocate(quest.path, "failed", quest.name, quest.record)
        stem = fit_name(quest.name).removesuffix(DATA_SUFFIX)
        name = f"{stem}_{now.astimezone():%Y%m%d_%H%M%S}{DATA_SUFFIX}"
        return self._relocate(quest.path, "recently_completed", name, quest.record)

    def fail(self, quest_id: str, *, outcome: str, reason: str, now: datetime) -> Quest:
        """Move an open quest to `failed/`; one that is there already gets the new outcome."""
        with self._lock:
            quest = self._known(quest_id)
            return self._put(
                quest, "failed", replace(quest.record, outcome=outcome, reason=reason, finished_at=_iso(now))
            )

    def add_strike(self, quest_id: str, strike: Strike) -> Quest:
        """Note a death of the trainer on this quest (`arena.strikes` decides which are charged)."""
        with self._lock:
            quest = self._known(quest_id)
            record = replace(quest.record, strikes=[*quest.record.strikes, strike][-KEPT_STRIKES:])
            return self._put(quest, quest.lane, record)

    # --- what people ask for ----------------------------------------------------------------------------

    def retry(self, name_or_id: str, priority: str | None = None, *, now: datetime) -> Quest | None:
        """A failed quest waits again, under a new id and without strikes: a retry is a new claim (C5, C6).

        What the gates rejected, what was changed since, and files without a record go back into `inbox/` to be
        checked; then the answer is None.
        """
        _check_priority(priority)
        path, record = self._locate(name_or_id, ("failed",), "has not failed")
        changed = record is None or _hash_or_none(path) != record.content_hash
        with self._lock:
            lane = priority or (record.priority if record else "normal")
            if record is None or changed or record.outcome == "rejected":
                self.send_to_gates(path, priority=lane)
                return None
            fresh = QuestRecord(
                quest_id=new_quest_id(now),
                submitted_at=_iso(now),
                priority=lane,
                content_hash=record.content_hash,
                rows=record.rows,
                schema_id=record.schema_id,
                original_name=record.original_name,
                epochs=record.epochs,
                profile=record.profile,
                system_prompt=record.system_prompt,
                lineage={**record.lineage, "retry_of": record.quest_id},
            )
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
            return self._rename(path, folder, fit_name(path.name), lineage)

    # --- looking ----------------------------------------------------------------------------------------

    def find(self, name_or_id: str) -> Quest | None:
        """The quest of that id or exact file name; of several with one name, the one nearest to being trained."""
        with self._lock:
            for path in self._candidates(name_or_id, SEARCH_ORDER):
                record = self._lanes.record(path)
                if record is not None:
                    return Quest(path, record)
            return None

    def quests(self, lane: str) -> list[Quest]:
        """The quests of one lane, oldest first."""
        with self._lock:
            return list(self._lanes.quests(_check_lane(lane)))

    def counts(self) -> dict[str, Any]:
        """Numbers of quests per lane: see `arena.lanes.views.counts`."""
        with self._lock:
            return counts(self._lanes)

    def listing(self, lane: str | None = None) -> list[dict[str, Any]]:
        """One row per file: see `arena.lanes.views.listing`."""
        with self._lock:
            return listing(self._lanes, LANES if lane is None else (_check_lane(lane),))

    def queue_view(self) -> dict[str, Any]:
        """The body of `GET /api/training/queue`: see `arena.lanes.views.queue_view`."""
        with self._lock:
            return queue_view(self._lanes)

    def write_metadata(self, *, now: datetime) -> None:
        """Write `queue/queue_metadata.json`, a view made from the sidecars alone (C3)."""
        with self._lock:
            body = {**queue_metadata(self._lanes), "updated_at": _iso(now)}
        self._files.write_json(self.paths.queue_metadata, body, durable=False)

    # --- upkeep -----------------------------------------------------------------------------------------

    def sweep(self, *, now: datetime) -> SweepReport:
        """Finish half moves, follow moves by hand, find unchecked files: see `arena.lanes.sweep`."""
        with self._lock:
            strays = self._sweep.strays_to_hash()
        # Hashing gigabytes must not keep others from the board.
        hashes = {path: _hash_or_none(path) for path in strays}
        with self._lock:
            return self._sweep.run(hashes, now)

    def forget_completed(self, older_than_days: float, *, now: datetime) -> int:
        """Delete quests that were completed longer ago than that (A20); returns how many."""
        limit = now - timedelta(days=older_than_days)
        forgotten = 0
        for file in self._lanes_files("recently_completed"):
            with self._lock:
                record = self._lanes.record(file)
                if _finished(record, file) >= limit:
                    continue
                with suppress(FileNotFoundError):
                    self._files.unlink(file)
                self._mover.drop_sidecar(file)
                forgotten += 1
        return forgotten

    # --- inside -----------------------------------------------------------------------------------------

    def _lanes_files(self, lane: str) -> list[Path]:
        with self._lock:
            return [file.path for file in self._lanes.files(lane)]

    def _put(self, quest: Quest, lane: str, record: QuestRecord) -> Quest:
        """Write `record` and have the quest lie in `lane`."""
        if quest.lane == lane:
            self._mover.write(quest.path, body_of(record))
            return Quest(quest.path, record)
        return self._relocate(quest.path, lane, quest.name, record)

    def _relocate(self, source: Path, lane: str, name: str, record: QuestRecord) -> Quest:
        target = self._rename(source, self.paths.lane(lane), name, body_of(record))
        logger.info(
            "%s: %s → %s", record.quest_id, source, target, extra={"event": "quest_moved", "quest_id": record.quest_id}
        )
        return Quest(target, record)

    def _rename(self, source: Path, folder: Path, name: str, body: dict[str, Any]) -> Path:
        try:
            return self._mover.rename_free(source, folder, name, body)
        except FileNotFoundError as error:
            if os.path.lexists(source):
                raise
            raise NotFound(f"{source} is gone.") from error

    def _known(self, quest_id: str) -> Quest:
        quest = self.find(quest_id) if QUEST_ID.fullmatch(quest_id) else None
        if quest is None or quest.lane == "recently_completed":
            raise NotFound(f"No open quest has the id {quest_id}.")
        return quest

    def _candidates(self, name_or_id: str, lanes: Sequence[str]) -> Iterable[Path]:
        if QUEST_ID.fullmatch(name_or_id):
            for lane in lanes:
                for file in self._lanes.files(lane):
                    record = self._lanes.peek(lane, file.name)
                    if record is not None and record.quest_id == name_or_id:
                        yield file.path
            return
        if "/" in name_or_id or "\0" in name_or_id or not name_or_id.endswith(DATA_SUFFIX) or name_or_id[0] == ".":
            raise InvalidInput(
                f"{name_or_id!r} is neither a quest id nor the name of a quest file.",
                hint="`realm quest list` shows both.",
            )
        for lane in lanes:
            path = self.paths.lane(lane) / name_or_id
            if stamp_of(path) is not None:
                yield path

    def _locate(self, name_or_id: str, lanes: Sequence[str], otherwise: str) -> tuple[Path, QuestRecord | None]:
        with self._lock:
            for path in self._candidates(name_or_id, lanes):
                return path, self._lanes.record(path)
            elsewhere = next(iter(self._candidates(name_or_id, SEARCH_ORDER)), None)
        if elsewhere is None:
            raise NotFound(f"There is no quest {name_or_id}.", hint="`realm quest list` shows all of them.")
        raise Conflict(
            f"{elsewhere.name} {otherwise}: it lies in {elsewhere.parent.name}/.", lane=elsewhere.parent.name
        )


def _check_priority(priority: str | None) -> None:
    if priority is not None and priority not in PRIORITIES:
        raise InvalidInput(f"There is no priority {priority!r}.", hint="Use high, normal or low.")


def _check_lane(lane: str) -> str:
    if lane not in LANES:
        raise InvalidInput(f"There is no lane {lane!r}.", hint=f"Use one of {', '.join(LANES)}.")
    return lane


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _hash_or_none(path: Path) -> str | None:
    try:
        return content_hash(path)
    except (FileNotFoundError, IsADirectoryError):
        return None


def _finished(record: QuestRecord | None, data_file: Path) -> datetime:
    """When a completed quest ended; the mtime of its data is older than the quest itself."""
    try:
        said = datetime.fromisoformat(record.finished_at) if record and record.finished_at else None
    except ValueError:
        said = None
    if said is not None and said.tzinfo is not None:
        return said
    try:
        return datetime.fromtimestamp(data_file.lstat().st_ctime, UTC)
    except FileNotFoundError:
        return datetime.now(UTC)
