"""The checkpoint store: what lies in `current_model/`, which checkpoint is the present one, and how they come and go.

A checkpoint is whole or absent (law 2): it is filled in `.staging-*`, gets its manifest last and is renamed into place;
it leaves by a rename to `.trash-*`; a torn one is renamed to `.quarantine-*`. One that a rewind has left behind is kept
below `branches/`, out of sight of everything that looks for the newest or the best. The trainer saves while the daemon
deletes, so every change of names holds the lock of the root directory. `sweep` and `whole_ones` are for a trainer
that starts, as a sweep takes every staging directory for abandoned.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.checkpoint_records import (
    checkpoint_name,
    checkpoint_names,
    extract_step,
    is_checkpoint_name,
    match_checkpoint,
)
from core.crash_points import crash_point
from core.errors import Conflict, InvalidInput, NotFound
from core.file_lock import locked_directory
from core.files import DISK, Files, read_json
from vault.manifest import QUARANTINE_NOTE, ReadError, check_manifest, write_manifest
from vault.trash import discard, hidden_folders, name_before, to_trash, trashed_in

__all__ = ["CheckpointDir", "CheckpointStore", "Quarantined", "checkpoint_name"]

logger = logging.getLogger(__name__)

HEAD_FILE = "HEAD"
STAGING = ".staging-"
QUARANTINE = ".quarantine-"
BRANCHES = "branches"

_ASIDE_NAME = re.compile(re.escape(QUARANTINE) + r"(?P<name>.+?)(?:-[0-9a-f]{32})?")
_BRANCH_NAME = re.compile(r".*-(?P<number>[0-9]{1,18})")

# The store has a method `list`, which hides the builtin from the annotations inside the class.
Names = list[str]
Folders = list[Path]


@dataclass(frozen=True)
class CheckpointDir:
    """A published checkpoint directory."""

    name: str
    step: int
    path: Path


@dataclass(frozen=True)
class Quarantined:
    """A checkpoint that was set aside, and why."""

    name: str
    reasons: list[str]


SetAside = list[Quarantined]
Branches = list[CheckpointDir]


class CheckpointStore:
    """The directories of one hero's checkpoints, below `root`."""

    def __init__(self, root: Path, files: Files = DISK) -> None:
        self.root = root
        self._files = files

    # --- reading ------------------------------------------------------------------------------------------

    def list(self) -> list[CheckpointDir]:
        """Published checkpoints, oldest first, by step as a number (A10)."""
        return [self._dir(name) for name in checkpoint_names(self.root)]

    def head(self) -> str | None:
        """Name of the present checkpoint, whether or not it is still there; None before the first one."""
        try:
            name = (self.root / HEAD_FILE).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        if is_checkpoint_name(name):
            return name
        logger.warning("HEAD names no checkpoint: %r", name[:100], extra={"event": "head_damaged"})
        return None

    def resolve(self, name_or_id: str) -> CheckpointDir | None:
        """The directory meant by a name, a step, `checkpoint_{step}` or `latest` (that of HEAD, else the newest)."""
        names = checkpoint_names(self.root)
        if name_or_id == "latest":
            head = self.head()
            name = head if head in names else next(reversed(names), None)
        else:
            name = match_checkpoint(name_or_id, names)
        return None if name is None else self._dir(name)

    # --- saving -------------------------------------------------------------------------------------------

    def stage(self) -> Path:
        """A new empty directory to fill; `publish` makes it a checkpoint, `sweep` removes it when nobody does."""
        folder = self.root / f"{STAGING}{uuid.uuid4().hex}"
        folder.mkdir()  # never its parents: where `root` has vanished, none may be begun in its place
        return folder

    def publish(
        self,
        staging: Path,
        name: str,
        *,
        head: bool = True,
        now: datetime | None = None,
        hashes: Mapping[str, str] | None = None,
    ) -> Path:
        """Make `staging` the checkpoint `name` and, unless `head` is False, HEAD; returns its path.

        `hashes`: see `write_manifest`.

        On any error before the rename the staging directory is removed, so that a full disk does not stay full;
        an error after it leaves a whole checkpoint that HEAD does not name.
        """
        if not is_checkpoint_name(name) or staging.parent != self.root or not staging.name.startswith(STAGING):
            raise InvalidInput(f"{staging} cannot be published as {name!r}.")
        crash_point("save.staged")
        try:
            write_manifest(staging, now=now, files=self._files, hashes=hashes)
            crash_point("save.manifest")
            with locked_directory(self.root):
                replaced = self._put_in_place(staging, name)
                crash_point("save.synced")
                if head:
                    self._write_head(name)
        finally:
            # Gone by then, unless something failed.
            if staging.exists():
                discard(staging, self._files)
        crash_point("save.head")
        if replaced is not None:
            discard(replaced, self._files)
        return self.root / name

    def take_back(self, name: str) -> None:
        """Remove a checkpoint that was published without becoming HEAD; one that is HEAD raises `Conflict`."""
        self._known(name)
        if name == self.head():
            raise Conflict(f"{name} is the present checkpoint.")
        with locked_directory(self.root):
            trashed = to_trash(self.root / name, self._files)
        discard(trashed, self._files)

    def set_head(self, name: str) -> None:
        """Name the present checkpoint, durably; raises `NotFound` when there is none of that name."""
        with locked_directory(self.root):
            self._known(name)
            self._write_head(name)

    def forget_head(self) -> None:
        """The history goes on from what it started from: no checkpoint is the present one."""
        with locked_directory(self.root), suppress(FileNotFoundError):
            self._files.unlink(self.root / HEAD_FILE)
            self._files.fsync_dir(self.root)

    # --- finding the one to resume from -------------------------------------------------------------------

    def newest_valid(
        self, *, is_ancestor: Callable[[Path], bool] = lambda folder: True, now: datetime | None = None
    ) -> tuple[CheckpointDir | None, SetAside]:
        """The first of `whole_ones`, and the torn ones that were met before it and set aside."""
        quarantined: SetAside = []
        return next(self.whole_ones(quarantined.append, is_ancestor=is_ancestor, now=now), None), quarantined

    def whole_ones(
        self,
        on_torn: Callable[[Quarantined], object],
        *,
        on_unread: Callable[[CheckpointDir, Names], object] = lambda found, reasons: None,
        is_ancestor: Callable[[Path], bool] = lambda folder: True,
        now: datetime | None = None,
    ) -> Iterator[CheckpointDir]:
        """HEAD when it is whole, then each whole checkpoint of at most HEAD's step, newest first; hashes all files.

        Without a HEAD every checkpoint may come. Torn ones met on the way are set aside and told to `on_torn`. One that
        the disk does not give back stays, as it may be whole, and is told to `on_unread` with the reasons. What is
        newer than HEAD was taken back and is left alone, and so is what `is_ancestor` says no to. HEAD is not changed.
        """
        if self.root.is_dir():
            with locked_directory(self.root):
                self._restore_head()
        head = self.head()
        candidates = [found for found in reversed(self.list()) if head is None or found.step <= extract_step(head)]
        candidates.sort(key=lambda found: found.name != head)
        for found in candidates:
            reasons = check_manifest(found.path)
            if reasons and all(isinstance(reason, ReadError) for reason in reasons):
                on_unread(found, reasons)
            elif reasons:
                with suppress(NotFound):  # somebody has deleted it meanwhile
                    on_torn(self.quarantine(found.name, reasons, now=now))
            elif is_ancestor(found.path):
                yield found

    def quarantine(
        self, name: str, reasons: Names, *, may_be_whole: bool = False, now: datetime | None = None
    ) -> Quarantined:
        """Set a checkpoint aside as `.quarantine-{name}`, with the reasons in `QUARANTINE.json`.

        Raises `NotFound` when it is not there any more. Killed in between, it still stands under its name, and is
        judged anew by whoever looks at it next. `forget_quarantined` spares longest what `may_be_whole`.
        """
        folder = self._known(name).path
        target = self.root / f"{QUARANTINE}{name}"
        if target.exists():
            target = self.root / f"{QUARANTINE}{name}-{uuid.uuid4().hex}"
        logger.warning(
            "checkpoint %s is set aside: %s", name, "; ".join(reasons), extra={"event": "checkpoint_quarantined"}
        )
        note: dict[str, object] = {"reason": "; ".join(reasons), "at": (now or datetime.now(UTC)).isoformat()}
        if may_be_whole:
            note["may_be_whole"] = True
        try:
            self._files.write_json(folder / QUARANTINE_NOTE, note, durable=True)
        except OSError as error:
            # A torn checkpoint must go out of the way even when the disk is too full to say why; the log has it.
            logger.warning("no %s for %s: %s", QUARANTINE_NOTE, name, error, extra={"event": "quarantine_note_failed"})
        crash_point("quarantine.noted")
        with locked_directory(self.root):
            self._known(name)
            self._files.rename_dir(folder, target)
            self._files.fsync_dir(self.root)
        crash_point("quarantine.renamed")
        return Quarantined(name, reasons)

    def set_aside(self) -> SetAside:
        """What lies in quarantine, and why as far as it is noted; the one set aside last comes last."""
        found: SetAside = []
        for folder in sorted(hidden_folders(self.root, QUARANTINE), key=_set_aside_at):
            note = read_json(folder / QUARANTINE_NOTE)
            reason = note.get("reason") if isinstance(note, dict) else None
            found.append(Quarantined(folder.name, [reason] if isinstance(reason, str) else []))
        return found

    # --- branches -----------------------------------------------------------------------------------------

    def branches(self) -> Branches:
        """Checkpoints that rewinds have left behind, oldest first within each branch, the latest branch last."""
        folders = sorted((self.root / BRANCHES).glob("*/"), key=_branch_order)
        return [
            CheckpointDir(name, extract_step(name), folder / name)
            for folder in folders
            for name in checkpoint_names(folder)
        ]

    def move_to_branch(self, name: str, branch: str) -> Path:
        """Take a checkpoint out of the line that HEAD goes on from; it stays whole, in `branches/{branch}/`."""
        folder = self._known(name).path
        target = self.root / BRANCHES / branch / name
        target.parent.mkdir(parents=True, exist_ok=True)
        self._files.fsync_dir(self.root / BRANCHES)
        self._carry(folder, target)
        return target

    def move_from_branch(self, found: CheckpointDir) -> Path:
        """Bring one of `branches()` back; raises `Conflict` when its name is taken."""
        target = self.root / found.name
        if target.exists():
            raise Conflict(f"There is another {found.name} in {self.root}.", hint="Move one of the two away.")
        self._carry(found.path, target)
        with suppress(OSError):  # not empty: others of this branch stay
            found.path.parent.rmdir()
        return target

    def _carry(self, source: Path, target: Path) -> None:
        with locked_directory(self.root):
            self._files.rename_dir(source, target)
            self._files.fsync_dir(target.parent)
            self._files.fsync_dir(source.parent)

    # --- deleting -----------------------------------------------------------------------------------------

    def trash(self, name: str) -> Path:
        """Take exactly this checkpoint out of sight (A29); `empty_trash` frees its space.

        Raises `NotFound`, or `Conflict` for the checkpoint that a restart resumes from.
        """
        self._known(name)
        with locked_directory(self.root):
            # Under the lock, as a checkpoint is seen by others just before HEAD names it.
            if name == self._present():
                raise Conflict(
                    f"{name} is the present checkpoint; without it the hero is lost.", hint="Save a newer one first."
                )
            return to_trash(self.root / name, self._files)

    def trash_of_branch(self, found: CheckpointDir) -> Path:
        """Take one of `branches()` out of sight, for `discard`; raises `NotFound` when it is not there any more."""
        with locked_directory(self.root):
            if found not in self.branches():
                raise NotFound(f"There is no checkpoint at {found.path}.")
            return to_trash(found.path, self._files)

    def empty_trash(self) -> Names:
        """Unlink what lies in the trash; returns the names of the checkpoints that are gone for good."""
        if not self.root.is_dir():
            return []
        with locked_directory(self.root):
            self._restore_head()
            trashed = trashed_in(self.root)
        gone: Names = []
        for folder in trashed:
            name = name_before(folder)
            if discard(folder, self._files) and name is not None:
                gone.append(name)
        return gone

    def forget_quarantined(self, keep: int) -> Names:
        """Delete all but `keep` of those that were set aside; returns the names of the deleted ones.

        Kept before all others are those that may be whole, and then those that hold the most steps: where several were
        set aside at once, the first is the one to miss least.
        """
        aside = sorted(hidden_folders(self.root, QUARANTINE), key=_worth)
        surplus = aside[: max(len(aside) - keep, 0)]
        return [folder.name for folder in surplus if discard(folder, self._files)]

    def sweep(self) -> Names:
        """Finish what a killed process left: deletions and half-made saves; returns the names finally deleted."""
        gone = self.empty_trash()
        for folder in hidden_folders(self.root, STAGING):
            discard(folder, self._files)
        for leftover in self.root.glob(f".{HEAD_FILE}.*.tmp"):
            self._files.unlink(leftover)
        return gone

    # --- inside -------------------------------------------------------------------------------------------

    def _dir(self, name: str) -> CheckpointDir:
        return CheckpointDir(name, extract_step(name), self.root / name)

    def _known(self, name: str) -> CheckpointDir:
        if name not in checkpoint_names(self.root):
            raise NotFound(f"There is no checkpoint {name!r} in {self.root}.", hint="`realm ledger list` shows them.")
        return self._dir(name)

    def _present(self) -> str | None:
        """The checkpoint that a restart takes first: HEAD, or what stands in for it when its directory is gone."""
        names = checkpoint_names(self.root)
        head = self.head()
        if head is None or head in names:
            return head or next(reversed(names), None)
        return next((name for name in reversed(names) if extract_step(name) <= extract_step(head)), None)

    def _write_head(self, name: str) -> None:
        self._files.write_atomic(self.root / HEAD_FILE, f"{name}\n".encode(), durable=True)

    def _put_in_place(self, staging: Path, name: str) -> Path | None:
        """Rename `staging` to `name`; returns where the checkpoint that had the name lies now."""
        target = self.root / name
        replaced = to_trash(self.root / name, self._files) if target.exists() else None
        try:
            self._files.rename_dir(staging, target)
        except OSError:
            if replaced is not None:
                self._files.rename_dir(replaced, target)
            raise
        crash_point("save.renamed")
        self._files.fsync_dir(self.root)
        return replaced

    def _restore_head(self) -> None:
        """Undo half a replacement: HEAD is never trashed but by `publish`, which puts a new one in its place at once.

        Killed between these two renames, only the trash holds the present checkpoint.
        """
        head = self.head()
        if head is None or (self.root / head).exists():
            return
        trashed = [path for path in trashed_in(self.root) if name_before(path) == head]
        for path in sorted(trashed, key=lambda path: path.stat().st_ctime_ns, reverse=True):
            if not check_manifest(path, deep=False):
                self._files.rename_dir(path, self.root / head)
                self._files.fsync_dir(self.root)
                logger.warning("%s was restored from the trash", head, extra={"event": "head_restored"})
                return


def branch_number(name: str) -> int:
    """Of a directory in `branches/`, the number of the journal line that made it (`healed-31`); 0 of any other."""
    match = _BRANCH_NAME.fullmatch(name)
    return int(match["number"]) if match else 0


def _branch_order(folder: Path) -> tuple[int, str]:
    return branch_number(folder.name), folder.name


def _set_aside_at(folder: Path) -> tuple[int, str]:
    """When a directory was put into quarantine: renaming it was the last change of its inode."""
    return folder.stat().st_ctime_ns, folder.name


def _worth(aside: Path) -> tuple[bool, int, tuple[int, str]]:
    """Of a directory in quarantine: the greatest is the last that may be deleted."""
    note = read_json(aside / QUARANTINE_NOTE)
    may_be_whole = isinstance(note, dict) and note.get("may_be_whole") is True
    name = _ASIDE_NAME.fullmatch(aside.name)
    return may_be_whole, extract_step(name["name"]) if name else 0, _set_aside_at(aside)
