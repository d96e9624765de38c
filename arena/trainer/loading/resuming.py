"""Which checkpoint training goes on from: HEAD, else its newest ancestor that is whole and can be loaded.

A whole checkpoint that cannot be loaded, or one that the disk does not give back, is set aside only once an older one
could be loaded. What keeps all of them from loading (another version of a library, another base model, a disk that
fails) is no fault of theirs: then nothing is moved, the start fails, and training never begins at the base model again
by itself. Nor does it fall back to where the data of what came after are gone: that would be lost without a word.
"""

from __future__ import annotations

import logging
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerState
from transformers.trainer_pt_utils import safe_globals

from arena.annals.ancestry import can_be_resumed, was_left_behind
from arena.cursor import CURSOR_NAME, Cursor, read_cursor
from arena.journal import JOURNAL_NAME, History, is_same_history, read_history
from arena.trainer.loading.blame import is_about_this_machine
from arena.trainer.loading.model_loading import LoadedModel, UnloadableFiles
from arena.trainer.loading.moments import moments_misfit
from arena.trainer.saving.writing import RANDOM_FILE, SCHEDULER_FILE, STATE_FILE
from core.checkpoint_survey import OPTIMIZER_FILE
from core.errors import Conflict, InvalidInput, NotFound, Unavailable, first_line
from vault.checkpoints import CheckpointDir, CheckpointStore, Quarantined
from vault.manifest import listed_files
from vault.reading import readable_part

logger = logging.getLogger(__name__)

TRIED_AT_MOST = 5
"""What five checkpoints in a row have in common is no longer their own fault, and each may take minutes to load."""

NAMED_AT_MOST = 5
"""Quests that one sentence names."""

Load = Callable[[Path | None], LoadedModel]
"""Loads the model from this directory, or the base model."""
Tell = Callable[[str, str], None]
"""Tells people: the kind of the event and a sentence."""


@dataclass(frozen=True)
class ResumePoint:
    """Where training goes on, with everything of it that is loaded before the engine exists."""

    checkpoint: Path | None
    """None when the hero starts from its base model."""
    reading: Path | None
    """Where the engine finds optimizer, scheduler and random state: the checkpoint, or links to its listed files."""
    loaded: LoadedModel
    cursor: Cursor


class _Unloadable(Exception):
    """The checkpoint is whole, and yet training cannot go on from it; the message says why."""


def find_resume_point(
    store: CheckpointStore, journal: Path, load: Load, tell: Tell, has_data: Callable[[str], bool]
) -> ResumePoint:
    """Load HEAD, else its newest ancestor that can be loaded; what a rewind left behind is passed over.

    Torn checkpoints are set aside at once; those that could not be loaded, or that the disk did not give back, as soon
    as an older one could. `has_data` tells of a quest, by its id, whether it can be learned again. Raises `Conflict`
    when whole ones are there and none can be loaded, when one is of another journal, or when what came after the one
    that is left can not be learned again; `Unavailable` when none is left but what the disk does not give back.
    """
    history = read_history(journal)

    def may_go_on(folder: Path) -> bool:
        return not was_left_behind(folder, journal, history) and can_be_resumed(folder, history)

    def note_torn(torn: Quarantined) -> None:
        aside.append(torn.name)
        _tell_set_aside(torn, tell)

    def note_unread(found: CheckpointDir, reasons: list[str]) -> None:
        with suppress(InvalidInput, Unavailable):  # its manifest cannot be read either
            if not may_go_on(found.path):
                return
        unread[found.name] = "; ".join(reasons)
        logger.error("%s: %s", found.name, unread[found.name], extra={"event": "checkpoint_unread"})

    aside: list[str] = []
    unread: dict[str, str] = {}
    refused: dict[str, str] = {}
    head = store.head()
    for found in store.whole_ones(note_torn, on_unread=note_unread, is_ancestor=may_go_on):
        _check_same_history(found.path, journal)
        try:
            point = _load_all(found, load, tell)
        except _Unloadable as error:
            refused[found.name] = str(error)
            logger.error("%s cannot be loaded: %s", found.name, error, extra={"event": "checkpoint_unloadable"})
            if len(refused) == TRIED_AT_MOST:
                break
            continue
        given_up = [*aside, *unread, *refused]
        if found.name != head and (head is not None or given_up):
            _check_data(history, point, given_up, has_data)
        whole = {name: f"it is whole but cannot be loaded: {reason}" for name, reason in refused.items()}
        for name, reason in (unread | whole).items():
            with suppress(NotFound):  # retention has deleted it meanwhile
                _tell_set_aside(store.quarantine(name, [reason], may_be_whole=True), tell)
        return point
    _check_none_may_be_whole(refused, unread)
    point = ResumePoint(None, None, load(None), Cursor())
    if head is not None or aside:
        _check_data(history, point, aside, has_data)
        if history.claims:
            tell("no_checkpoint_left", "No whole checkpoint is left: everything is learned again from where it began.")
    return point


def _check_none_may_be_whole(refused: dict[str, str], unread: dict[str, str]) -> None:
    """Raise where checkpoints are left that may be mended; both are reasons by name."""
    told = "; ".join(f"{name} ({reason})" for name, reason in (refused | unread).items())
    if refused:
        raise Conflict(
            f"Training cannot go on: none of the newest whole checkpoints can be loaded: {told}. Nothing was moved.",
            hint="Take back what changed last, such as an update of torch or transformers, or another base model.",
        )
    if unread:
        raise Unavailable(
            f"Training cannot go on: the disk does not give back {told}, and no other checkpoint is left. It was left "
            "where it is.",
            hint="Look at the disk (dmesg, smartctl); bring back a copy from snapshots/ where it stays so.",
        )


def _check_data(history: History, point: ResumePoint, given_up: list[str], has_data: Callable[[str], bool]) -> None:
    """Raise `Conflict` where what the checkpoints held that were given up can not be learned again: they may be mended.

    A quest whose data are gone otherwise ends as `lost`, and what comes after it is learned without it.
    """
    left = history.left_from(point.cursor.ordinal, point.cursor.quest_step)
    gone = [claim.name for claim in left if not has_data(claim.quest_id)]
    if not gone:
        return
    where = point.checkpoint.name if point.checkpoint else "the weights that the history began with"
    some = ", ".join([*gone[:NAMED_AT_MOST], *(["…"] if len(gone) > NAMED_AT_MOST else [])])
    raise Conflict(
        f"{', '.join(given_up) or 'The present checkpoint'} cannot be gone on from, and going back to {where} loses "
        f"what {len(gone)} quests have taught, as their data are gone: {some}.",
        hint="Stop the realm, `cp -r` the newest checkpoint of snapshots/ to current_model/ and `realm rewind` to it, "
        "or bring the data files back. What was set aside lies in current_model/.quarantine-*. To go on without what "
        f"was learned since: `realm rewind {point.checkpoint.name if point.checkpoint else 'base'}`.",
    )


def _check_same_history(checkpoint: Path, journal: Path) -> None:
    """A checkpoint continues only the journal it was trained from: which rows it holds is unknown otherwise."""
    copy = checkpoint / JOURNAL_NAME
    if not journal.exists():
        raise Conflict(
            f"{journal} is missing, but {checkpoint.name} was trained from it.", hint=f"Copy it back from {copy}."
        )
    if copy.exists() and not is_same_history(copy, journal):
        raise Conflict(
            f"{journal} does not go on from what {checkpoint.name} was trained with.",
            hint=f"Compare it with {copy}; the two must begin alike.",
        )


def _tell_set_aside(aside: Quarantined, tell: Tell) -> None:
    tell("checkpoint_quarantined", f"Checkpoint {aside.name} was set aside: {'; '.join(aside.reasons)}.")


def _load_all(found: CheckpointDir, load: Load, tell: Tell) -> ResumePoint:
    """Everything that the engine will ask of this checkpoint; raises `_Unloadable` where that is in vain."""
    reading, strays = readable_part(found.path)
    files = listed_files(found.path)
    if missing := [name for name in (CURSOR_NAME, STATE_FILE) if name not in files]:
        raise _Unloadable(f"it has no {missing[0]}")
    if OPTIMIZER_FILE in files and SCHEDULER_FILE not in files:
        # transformers leaves out both then, without a word.
        raise _Unloadable(f"it has {OPTIMIZER_FILE} but no {SCHEDULER_FILE}")
    _blaming(STATE_FILE, _check_step, reading, found.step)
    cursor = _blaming(CURSOR_NAME, read_cursor, found.path)
    if RANDOM_FILE in files:
        _blaming(RANDOM_FILE, _check_random_state, reading / RANDOM_FILE)
    try:
        loaded = load(reading)
    except UnloadableFiles as error:
        if error.details.get("folder") != str(reading):
            raise  # the base model is at fault
        raise _Unloadable(error.message.rstrip(".")) from error
    if OPTIMIZER_FILE in files:
        _blaming(SCHEDULER_FILE, _read_tensors, reading / SCHEDULER_FILE)
        theirs = _blaming(OPTIMIZER_FILE, _read_tensors, reading / OPTIMIZER_FILE)
        if misfit := moments_misfit(theirs, loaded.model):
            raise _Unloadable(f"{OPTIMIZER_FILE} does not fit: {misfit}")
    if strays:
        tell("strays_ignored", f"{found.name} holds what was not saved with it, and is not read: {', '.join(strays)}.")
    return ResumePoint(found.path, reading, loaded, cursor)


def _blaming(name: str, read: Callable[..., Any], *arguments: Any) -> Any:
    """What `read` gives; an error that is not about this machine is the fault of the file of that name."""
    try:
        return read(*arguments)
    except Exception as error:  # torch's unpickler, zip reader and random states raise whatever comes to them
        if is_about_this_machine(error):
            raise
        raise _Unloadable(f"{name} cannot be loaded: {first_line(error)}") from error


def _check_step(reading: Path, step: int) -> None:
    told = TrainerState.load_from_json(str(reading / STATE_FILE)).global_step
    if told != step:
        raise ValueError(f"it tells step {told}, the name of the checkpoint {step}")


def _read_tensors(file: Path) -> Any:
    # Mapped where the format lets it: shapes are all that is looked at, and the moments may be many gigabytes.
    return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))


def _check_random_state(file: Path) -> None:
    """Set throw-away generators to it, as the engine will set the global ones."""
    with safe_globals():  # type: ignore[no-untyped-call]
        state = torch.load(file, map_location="cpu", weights_only=True)
    random.Random().setstate(state["python"])
    np.random.RandomState().set_state(state["numpy"])
    torch.Generator().set_state(state["cpu"])
