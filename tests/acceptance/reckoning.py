"""What must hold in the end, whatever was killed: every difference from an undisturbed run, in words.

Read from the files of a realm that is down, as anybody can do it: lanes, journal, checkpoints, ledger, saga.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from arena.cursor import read_cursor
from arena.journal import JOURNAL_NAME, History, read_history
from arena.lanes.reading import MOVED_FROM, REPORT_SUFFIX
from arena.quests import SIDECAR_SUFFIX, Quest, read_sidecar
from core.checkpoint_ledger import CheckpointLedger
from core.paths import LANES, RealmPaths
from core.temporaries import TEMPORARY, drop_temporaries
from tests.replaying import tensor_hashes
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest

OUTCOMES = ("learned", "skipped", "withdrawn", "rejected")
DEATHS = ("realm_was_cut_off", "trainer_died", "trainer_interrupted")
HIDDEN = re.compile(r"\.(staging|trash|quarantine)-.+")


@dataclass(frozen=True)
class Dropped:
    """A file that was put into the inbox once, and what must have become of it."""

    name: str
    """With its suffix, without its folder."""
    rows: int
    epochs: int = 1
    outcome: str = "learned"


def differences(paths: RealmPaths, dropped: Iterable[Dropped], oracle: Path) -> list[str]:
    """Everything that is not as it must be; `oracle` is the checkpoint of an undisturbed run fed the same journal."""
    files, history = list(dropped), read_history(paths.current_model / JOURNAL_NAME)
    quests: dict[str, list[Quest]] = defaultdict(list)
    nameless = []
    for path in _data_files(paths):
        record = read_sidecar(path)
        if record is None:
            nameless.append(f"{path.relative_to(paths.base)} has no record")
        else:
            quests[record.original_name].append(Quest(path, record))
    return [
        *nameless,
        *_in_lanes(quests, files),
        *_in_journal(history, quests, files),
        *_in_weights(paths, history, oracle),
        *_in_ledger(paths),
        *_in_catalog(paths),
        *_in_saga(paths, history, quests),
        *_left_over(paths),
    ]


def _data_files(paths: RealmPaths) -> Iterator[Path]:
    for lane in LANES:
        for path in sorted(paths.lane(lane).glob("[!.]*.jsonl*")):
            if not path.name.endswith((SIDECAR_SUFFIX, REPORT_SUFFIX)):
                yield path


def _in_lanes(quests: dict[str, list[Quest]], dropped: list[Dropped]) -> Iterator[str]:
    """Each quest in exactly one place, the right one, with its end in its sidecar."""
    for file in dropped:
        places = quests.get(file.name, [])
        if len(places) != 1:
            lanes = ", ".join(quest.lane for quest in places) or "no lane"
            yield f"{file.name} was dropped once and lies in {lanes}"
            continue
        (quest,) = places
        home = "recently_completed" if file.outcome == "learned" else "failed"
        if (quest.lane, quest.record.outcome) != (home, file.outcome):
            yield f"{file.name} lies in {quest.lane}/ as {quest.record.outcome}, not in {home}/ as {file.outcome}"
        elif MOVED_FROM in quest.record.lineage:
            yield f"{file.name} in {quest.lane}/ still bears the mark of a move"
    for name in sorted(quests.keys() - {file.name for file in dropped}):
        yield f"{name} lies in {quests[name][0].lane}/ and was never dropped"


def _in_journal(history: History, quests: dict[str, list[Quest]], dropped: list[Dropped]) -> Iterator[str]:
    """Each quest claimed once, and its rows the same in the file, the journal and the sidecar."""
    claimed = Counter(claim.quest_id for claim in history.claims.values())
    for quest_id, times in claimed.items():
        if times > 1:
            yield f"{quest_id} was claimed {times} times"
    for file in dropped:
        for quest in quests.get(file.name, []):
            claimed.pop(quest.quest_id, None)
            ordinal = history.ordinal_of(quest.quest_id)
            if file.outcome == "rejected":
                if ordinal is not None:
                    yield f"{file.name} was rejected, and learned as quest {ordinal}"
                continue
            if ordinal is None:
                yield f"{file.name} is {quest.record.outcome}, and the journal does not know it"
                continue
            told = (history.outcome_of(ordinal), history.rows_learned(ordinal))
            if told != (quest.record.outcome, quest.record.rows_learned):
                yield f"{file.name}: the journal says {told}, its sidecar {quest.record.rows_learned} rows"
            if file.outcome == "learned" and told[1] != file.rows * file.epochs:
                yield f"{file.name}: {told[1]} rows learned of {file.rows * file.epochs}"
    for quest_id in claimed:
        yield f"the journal learned {quest_id}, which lies in no lane"


def _in_weights(paths: RealmPaths, history: History, oracle: Path) -> Iterator[str]:
    """Bit for bit those of the undisturbed run, after the same number of steps and rows."""
    head = CheckpointStore(paths.current_model).resolve("latest")
    if head is None:
        yield "there is no checkpoint"
        return
    ours, theirs = tensor_hashes(head.path), tensor_hashes(oracle)
    if ours != theirs:
        unlike = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
        yield f"{len(unlike)} of {len(theirs)} weights differ from those of the undisturbed run, first {unlike[0]}"
    steps = sum(history.steps_of(ordinal) for ordinal in history.claims)
    undisturbed = int(oracle.name.split("-")[1])
    if not head.step == steps == undisturbed:
        yield f"{head.name} stands at step {head.step}, the journal at {steps}, the undisturbed run at {undisturbed}"
    here, there = read_cursor(head.path), read_cursor(oracle)
    if (here.ordinal, here.quest_step, here.rows_total) != (there.ordinal, there.quest_step, there.rows_total):
        yield f"the cursor is {here}, that of the undisturbed run {there}"
    rows = sum(history.rows_learned(ordinal) for ordinal in history.claims)
    if here.rows_total != rows:
        yield f"the cursor counts {here.rows_total} rows, the journal {rows}"


def _in_ledger(paths: RealmPaths) -> Iterator[str]:
    """Index, sidecars and files agree, and the last word of the history on each checkpoint is true."""
    for name, problems in CheckpointLedger.of(paths).verify(check_manifest, deep=True).items():
        yield f"{name}: {'; '.join(problems)}"
    last_word = {}
    for line in paths.ledger_history.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # cut by a kill; the next line began anew
            continue
        last_word[entry["canonical_name"]] = entry["event"]
    there = {found.name for found in CheckpointStore(paths.current_model).list()}
    for name in sorted(there | last_word.keys()):
        expected = "recorded" if name in there else "forgotten"
        if last_word.get(name) != expected:
            yield f"{name}: the ledger's history says {last_word.get(name)}, not {expected}"


def _in_catalog(paths: RealmPaths) -> Iterator[str]:
    """It has exactly the checkpoints that are on the disk."""
    with closing(sqlite3.connect(f"file:{paths.catalog_db}?mode=ro", uri=True)) as catalog:
        rows = catalog.execute(
            "SELECT assets.name, locations.path FROM assets JOIN locations USING (asset_id) "
            "WHERE asset_type = 'checkpoint'"
        ).fetchall()
        (counted,) = catalog.execute("SELECT sum(entries) FROM counters WHERE kind = 'type'").fetchone()
        (there,) = catalog.execute("SELECT count(*) FROM assets").fetchone()
    listed = {name for name, path in rows if path == f"{paths.current_model.name}/{name}"}
    on_disk = {found.name for found in CheckpointStore(paths.current_model).list()}
    for name in sorted(listed ^ on_disk):
        yield f"{name} is {'in the catalog and not' if name in listed else 'not in the catalog and'} on the disk"
    if counted != there:
        yield f"the catalog counts {counted} assets and has {there}"


def _in_saga(paths: RealmPaths, history: History, quests: dict[str, list[Quest]]) -> Iterator[str]:
    """The true end is told once, unless a kill came in between; none but that one is told."""
    with closing(sqlite3.connect(f"file:{paths.saga_db}?mode=ro", uri=True)) as saga:
        told = saga.execute("SELECT id, kind, message, data FROM events ORDER BY id").fetchall()
    ends: dict[str, list[tuple[str, str]]] = defaultdict(list)
    starts: dict[int, str] = {}
    deaths = [number for number, kind, _, _ in told if kind in DEATHS]
    for number, kind, message, data in told:
        quest_id = (json.loads(data or "{}") or {}).get("quest_id")
        if quest_id is not None and kind.startswith("quest_"):
            ends[quest_id].append((kind.removeprefix("quest_"), message))
            if kind == "quest_started":
                starts[number] = quest_id
    for quest in (quest for found in quests.values() for quest in found):
        outcomes = [each for each in ends[quest.quest_id] if each[0] in OUTCOMES]
        if not outcomes and quest.record.outcome in OUTCOMES and not _may_be_untold(quest.quest_id, starts, deaths):
            yield f"{quest.name} is {quest.record.outcome}, and the saga tells of no end"
        for kind, message in outcomes:
            if kind != quest.record.outcome:
                yield f"{quest.name} is {quest.record.outcome}, and the saga says: {message}"
            ordinal = history.ordinal_of(quest.quest_id)
            if ordinal is not None and f"({history.rows_learned(ordinal)} rows)" not in message:
                yield f"{quest.name}: {history.rows_learned(ordinal)} rows were learned, and the saga says: {message}"
        for kind, times in Counter(kind for kind, _ in ends[quest.quest_id]).items():
            if times > 1 and kind in (*OUTCOMES, "accepted", "sealed"):
                yield f"{quest.name}: the saga tells {times} times that it is {kind}"


def _may_be_untold(quest_id: str, starts: dict[int, str], deaths: list[int]) -> bool:
    """Whether a process was killed between the start of a quest and that of the next one; by ids of events."""
    if quest_id not in starts.values():
        return bool(deaths)
    begun = max(number for number, each in starts.items() if each == quest_id)
    following = min((number for number in starts if number > begun), default=None)
    return any(death > begun and (following is None or death < following) for death in deaths)


def _left_over(paths: RealmPaths) -> Iterator[str]:
    """Nothing that a killed process had begun lies about once housekeeping and sweep have come round a minute later."""
    folders = (paths.queue, paths.inbox, paths.control, paths.status, paths.current_model)
    lanes = [paths.lane(lane) for lane in LANES]
    drop_temporaries((*folders, *lanes), now=datetime.now(UTC) + timedelta(minutes=2))
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(paths.base)
            if TEMPORARY.fullmatch(path.name) or HIDDEN.fullmatch(path.name):
                yield f"{name} is left over"
            elif path.name.endswith(SIDECAR_SUFFIX) and not path.with_name(path.name[: -len(SIDECAR_SUFFIX)]).exists():
                yield f"{name} has lost its data"
            elif path.is_file() and (folder == paths.inbox or path.parent == paths.unpacking):
                yield f"{name} was not taken"
