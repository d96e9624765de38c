"""The sweep: makes the lanes consistent again after a crash, and follows what people moved by hand.

Runs at start, before anything is claimed, and then every minute. It acts on what lies on the disk alone, so
running it twice changes nothing more. What it cannot know (a file nobody checked) it reports as an orphan.
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.lanes.moves import NO_FILE, LaneMover, body_of, foreign_keys
from arena.lanes.reading import (
    DATA_SUFFIX,
    MOVED_FROM,
    OPEN_LANES,
    REPORT_SUFFIX,
    LaneReader,
    Mark,
    Stamp,
    content_hash,
    scan_folder,
    stamp_of,
)
from arena.quest_names import is_quest_name, report_of
from arena.quests import SIDECAR_SUFFIX, Quest, QuestRecord, sidecar_of
from core.files import same_file
from core.paths import LANES, PRIORITIES, RealmPaths
from core.temporaries import drop_temporaries

SETTLE_SECONDS = 2.0
"""An unchecked file is reported once it has stood still this long: someone may still be copying it."""

GRACE_SECONDS = 60.0
"""Age at which sidecars without data are taken for leftovers."""

COARSEST_TIME_NS = 2_000_000_000
"""FAT keeps times to two seconds, so a copy onto it differs by that much."""

SEALED_NAME = re.compile(r"(.+)_[0-9]{8}_[0-9]{6}(_[0-9]+)?\.jsonl")


@dataclass(frozen=True)
class Orphan:
    """A data file in a lane that no valid, open record belongs to: to be sent to the gates (law 6, C9)."""

    path: Path


@dataclass
class SweepReport:
    """What a sweep did, in sentences for the saga, and what it leaves to the daemon."""

    notes: list[str] = field(default_factory=list)
    orphans: list[Orphan] = field(default_factory=list)


class LaneSweep:
    """Upkeep of the lanes; called by the quest board under its lock."""

    def __init__(self, paths: RealmPaths, lanes: LaneReader, mover: LaneMover) -> None:
        self.paths = paths
        self.lanes = lanes
        self.mover = mover
        self.claimed: str | None = None
        """Id of the quest that this process claimed last."""
        self._unsettled: dict[Path, Stamp] = {}
        self._hashes: dict[Path, tuple[Stamp, str]] = {}
        self._told: set[Path] = set()

    def running(self) -> Quest | None:
        """The quest in `processing/`; of several, the one claimed by us, else one claimed before, else the oldest."""
        found = [quest for quest in self.lanes.quests("processing") if quest.record.outcome is None]
        return min(found, key=lambda each: (each.quest_id != self.claimed, each.record.attempts == 0), default=None)

    def strays_to_hash(self) -> list[Path]:
        """Data files without a record whose content must be known because some sidecar lost its data file."""
        strays = self._strays()
        if not strays or not any(record for _, record in self._lost_sidecars()):
            self._hashes = {}
            return []
        self._hashes = {path: known for path, known in self._hashes.items() if path in strays}
        return [path for path in strays if self._known_hash(path) is None]

    def run(self, hashes: Mapping[Path, str | None], now: datetime) -> SweepReport:
        """Sweep once. `hashes` are those of `strays_to_hash`, computed without the lock."""
        report = SweepReport()
        for path, value in hashes.items():
            stamp = stamp_of(path)
            if stamp is not None and value is not None:
                self._hashes[path] = (stamp, value)
        with self.lanes.steady():
            self._drop_leftovers(now)
            self._finish_half_moves(report)
            self._part_twins(report)
            self._reunite(report)
            self._follow_hands(report, now)
            self._report_orphans(report, now)
            self._tell_oddities(report)
            self._drop_lost_sidecars(report, now)
        return report

    # --- half moves -------------------------------------------------------------------------------------

    def _finish_half_moves(self, report: SweepReport) -> None:
        for target in list(self._possible_targets()):
            mark = self._move_under_way(target)
            if mark is None:
                continue
            source, body, lane = mark.source, self.mover.read_body(target), target.parent.name
            name = mark.dropped.name
            there, here = stamp_of(source), stamp_of(target)
            if here is None:
                if there is not None:
                    self.mover.drop_sidecar(target)
                    report.notes.append(f"{name}: a move to {lane}/ had not begun; it stays")
            elif there is None and (here[1] or mark.original is None):
                self._complete(mark, target, body)
            elif there and _is_rest(mark, there, target, here):
                self.mover.files.unlink(source)
                self._complete(mark, target, body)
                report.notes.append(f"{target.name}: a move to {lane}/ that was cut off is finished")
            elif there and self._is_whole(target, here):
                # It was all there, only its mark had not gone yet. What lies at the old name has still to come in.
                self.mover.finish(mark.dropped, target, body, mark.sidecar or NO_FILE)
                report.notes.append(f"{target.name}: its move to {lane}/ is finished; {name} is another file by now")
            else:
                # A copy across file systems claims the name with an empty file before the data arrive. The rows of a
                # packed file are never empty: where they are gone, the packed file has them still.
                if here[1] == 0:
                    self.mover.files.unlink(target)
                self.mover.drop_sidecar(target)
                report.notes.append(f"{name}: a move to {lane}/ failed; it stays")

    def _complete(self, mark: Mark, target: Path, body: dict[str, Any]) -> None:
        """Do what is left to do of a move whose data lie at `target`."""
        packed = mark.original
        there = stamp_of(packed.path) if packed is not None else None
        if packed is not None and there is not None:
            # The same bytes under the same name, of the same time: nobody has dropped another file there since.
            if not _may_be(mark.stamp, there) or content_hash(packed.path) != packed.content_hash:
                self.mover.finish(mark.source, target, body)
                return
            self.mover.files.unlink(packed.path)
        self.mover.finish(mark.dropped, target, body, mark.sidecar)

    def _is_whole(self, target: Path, here: Stamp) -> bool:
        """Whether all data of a quest have arrived where a move was to take them."""
        record = self.lanes.record(target) if self.lanes.is_in_lane(target) else None
        return record is not None and here[1] > 0 and content_hash(target) == record.content_hash

    def _move_under_way(self, target: Path) -> Mark | None:
        """The mark of a move to `target` that may not be complete; None for a mark that means nothing any more."""
        mark = self.lanes.mark(target)
        if mark is None or mark.quest_id is None:
            return mark
        record = self.lanes.record(mark.source) if self.lanes.is_in_lane(mark.source) else None
        same = same_file(mark.source, target) if record is None else record.quest_id == mark.quest_id
        return mark if same else None

    def _possible_targets(self) -> Iterator[Path]:
        for lane in (*OPEN_LANES, "failed"):
            for name in self.lanes.names(lane).sidecars:
                record = self.lanes.peek(lane, name)
                if record is None or MOVED_FROM in record.lineage:
                    yield self.paths.lane(lane) / name
        awaiting = self.lanes.names("awaiting_seal")
        stems = {name.removesuffix(DATA_SUFFIX) for name in awaiting.data | awaiting.sidecars}
        for name in self.lanes.names("recently_completed").sidecars:
            match = SEALED_NAME.fullmatch(name)
            if match and match[1] in stems:
                yield self.paths.lane("recently_completed") / name
        for folder, _, names in os.walk(self.paths.inbox):
            for name in names:
                if name.endswith(SIDECAR_SUFFIX) and is_quest_name(name.removesuffix(SIDECAR_SUFFIX)):
                    yield Path(folder) / name.removesuffix(SIDECAR_SUFFIX)

    def _part_twins(self, report: SweepReport) -> None:
        """A quest copied by hand with its sidecar: the copy nearest to being trained keeps the identity."""
        seen: set[str] = set()
        for lane in ("processing", "awaiting_seal", "failed", *PRIORITIES):
            for file, record in self.lanes.records(lane):
                if record.quest_id in seen:
                    self.mover.write(file.path, foreign_keys(record.lineage))
                    report.notes.append(
                        f"{file.name} in {lane}/ is a copy of another quest; it is checked as a new one"
                    )
                seen.add(record.quest_id)

    # --- data and sidecars that were parted -------------------------------------------------------------

    def _reunite(self, report: SweepReport) -> None:
        strays = [path for path in self._strays() if self._known_hash(path)]
        if not strays:
            return
        owned = {record.quest_id for lane in (*OPEN_LANES, "failed") for _, record in self.lanes.records(lane)}
        lost = [(path, record) for path, record in self._lost_sidecars() if record and record.quest_id not in owned]
        for stray in strays:
            found = self._known_hash(stray)
            matching = [(path, record) for path, record in lost if record.content_hash == found]
            if not matching:
                continue
            path, record = min(
                matching,
                key=lambda each: (
                    self._move_under_way(each[0]) is not None,
                    each[0].name != stray.name,
                    each[1].quest_id,
                ),
            )
            lost.remove((path, record))
            kept = foreign_keys({**record.lineage, **self.mover.read_body(stray)})
            again = stray.parent.name in (*PRIORITIES, "processing") and record.outcome is not None
            self.mover.write(stray, kept if again else body_of(replace(record, lineage=kept)))
            self.mover.drop_sidecar(path)
            report.notes.append(f"{stray.name} in {stray.parent.name}/ was moved by hand; it has its record again")

    def _strays(self) -> list[Path]:
        """Data files without a record, in any lane."""
        strays = []
        for lane in LANES:
            names = self.lanes.names(lane)
            folder = self.paths.lane(lane)
            strays += [folder / name for name in sorted(names.data - names.sidecars)]
            if lane in OPEN_LANES:
                both = sorted(names.data & names.sidecars)
                strays += [folder / name for name in both if self.lanes.peek(lane, name) is None]
        return strays

    def _lost_sidecars(self) -> list[tuple[Path, QuestRecord | None]]:
        """Names at which a sidecar lies without a data file, and what it says."""
        lost = []
        for lane in LANES:
            names = self.lanes.names(lane)
            for name in sorted(names.sidecars - names.data):
                path = self.paths.lane(lane) / name
                lost.append((path, self.lanes.record(path)))
        return lost

    def _ids_with_data(self) -> set[str]:
        """Quests that have a data file somewhere, and those that are told again under a new id."""
        records = [record for lane in LANES for _, record in self.lanes.records(lane)]
        return {record.quest_id for record in records} | {str(record.lineage.get("retry_of")) for record in records}

    def _known_hash(self, path: Path) -> str | None:
        known = self._hashes.get(path)
        return known[1] if known and known[0] == stamp_of(path) else None

    def _drop_lost_sidecars(self, report: SweepReport, now: datetime) -> None:
        # While a file is still being copied into a lane, any lost sidecar may turn out to be its own.
        if self._unsettled:
            return
        lost = self._lost_sidecars()
        elsewhere = self._ids_with_data() if lost else set()
        for path, record in lost:
            if record is not None and record.quest_id in elsewhere:
                self.mover.drop_sidecar(path)
            elif _age(sidecar_of(path), now) > GRACE_SECONDS:
                self.mover.drop_sidecar(path)
                if record is not None:
                    report.notes.append(
                        f"the data of {record.quest_id} ({path.name}) are gone from {path.parent.name}/"
                    )
        failed = self.paths.lane("failed")
        for entry in scan_folder(failed):
            data_file = failed / entry.name.removesuffix(REPORT_SUFFIX)
            loose = entry.name.endswith(REPORT_SUFFIX) and stamp_of(data_file) is None
            if loose and _age(report_of(data_file), now) > GRACE_SECONDS:
                self.mover.drop_sidecar(data_file)

    # --- moved by hand ----------------------------------------------------------------------------------

    def _follow_hands(self, report: SweepReport, now: datetime) -> None:
        for lane in PRIORITIES:
            for file, record in self.lanes.records(lane):
                if record.outcome is None and record.priority != lane:
                    self.mover.write(file.path, body_of(replace(record, priority=lane)))
                    report.notes.append(f"{file.name} was moved to {lane}/ by hand")
        for file, record in self.lanes.records("failed"):
            if record.outcome is None:
                ended = replace(
                    record,
                    outcome="withdrawn",
                    reason="moved to failed/ by hand",
                    finished_at=now.astimezone(UTC).isoformat(),
                )
                self.mover.write(file.path, body_of(ended))
                report.notes.append(f"{file.name} was moved to failed/ by hand")
        running = self.running()
        misplaced = [
            Quest(file.path, record) for file, record in self.lanes.records("awaiting_seal") if _untouched(record)
        ]
        misplaced += [
            quest
            for quest in self.lanes.quests("processing")
            if running and quest.path != running.path and quest.record.outcome is None
        ]
        for quest in misplaced:
            lane = quest.record.priority
            self.mover.rename_free(quest.path, self.paths.lane(lane), quest.name, body_of(quest.record))
            report.notes.append(f"{quest.name} was put into {quest.lane}/ by hand; it waits in {lane}/ again")

    def _report_orphans(self, report: SweepReport, now: datetime) -> None:
        unsettled: dict[Path, Stamp] = {}
        for lane in (*PRIORITIES, "processing"):
            for file in self.lanes.files(lane):
                record = self.lanes.peek(lane, file.name)
                if record is not None and record.outcome is None:
                    continue
                still = self._unsettled.get(file.path) == file.stamp
                if still or now.timestamp() - file.mtime_ns / 1e9 >= SETTLE_SECONDS:
                    report.orphans.append(Orphan(file.path))
                else:
                    unsettled[file.path] = file.stamp
        self._unsettled = unsettled

    def _tell_oddities(self, report: SweepReport) -> None:
        """What nobody can act on but a person: said once while it is there."""
        odd = {}
        for lane in LANES:
            names = self.lanes.names(lane)
            for entry in scan_folder(self.paths.lane(lane)):
                if is_quest_name(entry.name) and entry.name[0] != "." and entry.name not in names.data:
                    odd[Path(entry.path)] = "is not a regular file; it is left alone"
            if lane == "awaiting_seal":
                nameless = [self.paths.lane(lane) / name for name in names.data]
                missing = "has lost its record; move it to inbox/ to have it learned again, or delete it"
                odd |= {path: missing for path in nameless if self.lanes.record(path) is None}
        report.notes += [f"{path.name} in {path.parent.name}/ {odd[path]}" for path in sorted(odd.keys() - self._told)]
        self._told = set(odd)

    def _drop_leftovers(self, now: datetime) -> None:
        folders = [self.paths.lane(lane) for lane in LANES] + [Path(each) for each, _, _ in os.walk(self.paths.inbox)]
        drop_temporaries(folders, now=now, files=self.mover.files)


def _is_rest(mark: Mark, there: Stamp, target: Path, here: Stamp) -> bool:
    """Whether the file at the old name is what a move has left there, and not one that was dropped since."""
    if same_file(mark.source, target):
        return True
    stamp = mark.stamp if mark.original is None else None
    # A link keeps the inode: what has another one is another file, were it the same to the byte.
    was_linked = here == stamp and mark.source.lstat().st_dev == target.lstat().st_dev
    return not was_linked and _may_be(stamp, there) and _is_copy_of_ours(mark.source, there, target, here)


def _may_be(before: Stamp | None, now: Stamp) -> bool:
    """Whether it is the file of before, as far as stamps tell; some network shares change inodes by themselves."""
    return before is None or before[1:] == now[1:]


def _is_copy_of_ours(source: Path, there: Stamp, target: Path, here: Stamp) -> bool:
    """Without hard links a half move leaves two files; it keeps the time of the data, which `cp` by hand does not."""
    same_time = abs(here[2] - there[2]) <= COARSEST_TIME_NS
    return same_time and here[1] == there[1] and filecmp.cmp(source, target, shallow=False)


def _untouched(record: QuestRecord) -> bool:
    return record.outcome is None and record.attempts == 0


def _age(path: Path, now: datetime) -> float:
    try:
        return now.timestamp() - path.lstat().st_mtime
    except OSError:
        return 0.0
