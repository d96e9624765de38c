"""A turn of the history: one journal line decides it, and HEAD, branches, lanes, ledger and charts follow.

    1. the plan in `current_model/.turn.json`, and an adopted checkpoint in its place, not yet HEAD
                                               crash: the journal does not have the line: it never happened
    2. the line in the journal (the commit)    crash: whoever starts next finishes it
    3. HEAD; the checkpoints left behind go to `branches/`; ledger, charts, quests; the saga tells of it
    4. the plan is removed

Every step of 3 may be done twice. Once the journal has gone on, only the quests are left to be moved.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Literal

import msgspec

from arena.academy.taking_back import take_back
from arena.annals.ancestry import is_ancestor
from arena.journal import JOURNAL_NAME, Genesis, History, Journal, Rewind, read_history
from arena.lanes.undoing import LaneUndoing
from arena.supervision.position_file import Phase, PositionFile
from core.checkpoint_ledger import CheckpointLedger
from core.crash_points import crash_point
from core.errors import Conflict, NotFound, RealmError
from core.files import DISK, Files
from core.paths import RealmPaths
from core.saga import Saga, open_saga
from vault.checkpoints import CheckpointStore

logger = logging.getLogger(__name__)

PLAN = ".turn.json"


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one quest; see the methods of `LaneUndoing`."""

    quest_id: str
    do: Literal["set_aside", "queue_again", "go_on", "let_wait", "complete_again"]
    rows_learned: int = 0
    new_id: str = ""
    mtime_ns: int = 0


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The plan of a turn: all that has to be known to finish it."""

    kind: Literal["rewound", "adopted"]
    seq: int
    """The journal line that makes it true."""
    at: str
    message: str
    """For the saga, and the reason in the ledger."""
    head: str | None
    """The present checkpoint afterwards; None when the model is what its history started from."""
    cursor: tuple[int, int]
    """(ordinal, quest_step) of that checkpoint."""
    series_until: int
    """Points of charts after this step are not of this history; -1 for all."""
    staging: str | None = None
    """Directory of an adopted checkpoint before it gets its name."""
    fates: list[Fate] = []


def carry_out(
    paths: RealmPaths, entry: Rewind | Genesis, turn: Turn, *, saga: Saga | None = None, files: Files = DISK
) -> None:
    """Turn the history; the caller holds the locks of realm and model. On `OSError` nothing has happened.

    `saga` is that of a realm that is up: whoever listens to it is told. None has it opened for this.
    """
    plan = paths.current_model / PLAN
    files.write_atomic(plan, msgspec.json.encode(turn), durable=True)
    crash_point("turn.planned")
    try:
        if turn.staging is not None and turn.head is not None:
            store = CheckpointStore(paths.current_model, files)
            store.publish(
                paths.current_model / turn.staging, turn.head, head=False, now=datetime.fromisoformat(turn.at)
            )
        Journal(paths.current_model / JOURNAL_NAME, files=files).append(entry)
    except OSError:
        _never_happened(paths, turn, files)
        raise
    finish_turn(paths, saga=saga, files=files)


def finish_turn(paths: RealmPaths, *, saga: Saga | None = None, files: Files = DISK) -> str | None:
    """Finish what was decided, or forget what was not; returns what it was. The caller holds the locks; `saga` as for
    `carry_out`."""
    turn = _read_plan(paths)
    if turn is None:
        return None
    history = read_history(paths.current_model / JOURNAL_NAME)
    if history.seq < turn.seq:
        _never_happened(paths, turn, files)
        return None
    if history.seq == turn.seq:
        _place_checkpoints(paths, turn, history, files)
        _reset_position(paths, turn)
        _in_saga(paths, saga, lambda saga: _cut_series(paths, turn, saga, files))
        forget_status(paths)
    _move_quests(paths, turn, files)
    # Pages ask anew when they hear of it.
    _in_saga(paths, saga, lambda saga: _tell(turn, saga))
    crash_point("turn.quests")
    files.unlink(paths.current_model / PLAN)
    return turn.message


def is_turning(paths: RealmPaths) -> bool:
    """True when a turn was cut off."""
    return (paths.current_model / PLAN).exists()


def forget_status(paths: RealmPaths) -> None:
    """What the last realm told of its model is not true any more; the next one tells anew (law 7)."""
    for file in (paths.training_status, paths.battle_status, paths.places):
        file.unlink(missing_ok=True)


def _read_plan(paths: RealmPaths) -> Turn | None:
    plan = paths.current_model / PLAN
    try:
        return msgspec.json.decode(plan.read_bytes(), type=Turn)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        hint = "Compare it with the journal's last line, then delete it."
        raise Conflict(f"{plan} is damaged: {error}.", hint=hint) from error


def _never_happened(paths: RealmPaths, turn: Turn, files: Files) -> None:
    if turn.staging is not None:
        shutil.rmtree(paths.current_model / turn.staging, ignore_errors=True)
        with suppress(NotFound):
            CheckpointStore(paths.current_model, files).take_back(turn.head or "")
    with suppress(FileNotFoundError):
        files.unlink(paths.current_model / PLAN)


def _place_checkpoints(paths: RealmPaths, turn: Turn, history: History, files: Files) -> None:
    """HEAD and the checkpoints of the present history in `current_model/`, all others in branches."""
    store = CheckpointStore(paths.current_model, files)
    ledger = CheckpointLedger.of(paths, files)
    now = datetime.fromisoformat(turn.at)
    for found in reversed(store.branches()):
        if is_ancestor(found.path, history) and not (store.root / found.name).exists():
            store.move_from_branch(found)
    if turn.head is None:
        store.forget_head()
    else:
        store.set_head(turn.head)
    crash_point("turn.head")
    for found in store.list():
        if found.name != turn.head and not is_ancestor(found.path, history):
            place = store.move_to_branch(found.name, f"{turn.kind}-{turn.seq}")
            ledger.forget(found.name, f"{turn.message}; it is kept in {place.parent}", now=now)
            crash_point("turn.branched")
    ledger.reconcile(now=now)


def _reset_position(paths: RealmPaths, turn: Turn) -> None:
    """What comes after the checkpoint was never stepped in this history: it is no replay."""
    position = PositionFile(paths.current_model / ".position")
    ordinal, quest_step = turn.cursor
    position.furthest = (ordinal, quest_step - 1)
    position.write(Phase.EXITED, ordinal, quest_step)
    position.close()


def _move_quests(paths: RealmPaths, turn: Turn, files: Files) -> None:
    lanes = LaneUndoing(paths, files)
    now = datetime.fromisoformat(turn.at)
    for fate in turn.fates:
        match fate.do:
            case "set_aside":
                lanes.set_aside(fate.quest_id, rows_learned=fate.rows_learned, reason=turn.message, now=now)
            case "queue_again":
                lanes.queue_again(fate.quest_id, fate.new_id, mtime_ns=fate.mtime_ns, now=now)
            case "go_on":
                lanes.go_on_with(fate.quest_id)
            case "let_wait":
                lanes.let_wait(fate.quest_id)
            case "complete_again":
                lanes.complete_again(fate.quest_id, rows_learned=fate.rows_learned, now=now)


def _in_saga(paths: RealmPaths, saga: Saga | None, work: Callable[[Saga], object]) -> None:
    """A saga that cannot be written is no reason to stop half way."""
    if saga is None and not paths.saga_db.exists():
        return
    try:
        with open_saga(paths) if saga is None else nullcontext(saga) as opened:
            work(opened)
    except RealmError as error:
        logger.warning("the saga does not tell of a turn: %s", error, extra={"event": "saga_failed"})


def _cut_series(paths: RealmPaths, turn: Turn, saga: Saga, files: Files) -> None:
    """Charts and curriculum."""
    saga.cut_back(turn.series_until)
    take_back(paths, saga, turn.series_until, files)


def _tell(turn: Turn, saga: Saga) -> None:
    """Once, however often it is finished."""
    told = saga.newest_of(turn.kind)
    if told is None or told.at != turn.at:
        saga.append(turn.kind, turn.message, now=datetime.fromisoformat(turn.at))
