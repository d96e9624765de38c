"""The wishes of people: files in `control/`, written by hand, by the CLI and by buttons, read by the daemon.

`.pause` and `.stop` are levels: they hold while the file is there. `.resume` is an edge that removes both and itself;
deleting the levels by hand does the same. `.skip` and `.save` are edges bound to the running quest and consumed once
(DESIGN section 5). A file holds `reason`, ISO time and, for a pause that frees the accelerator, `cool`, one a line; an
empty file made with `touch` is as good. No wish is ever dropped at start (B15).
"""

from __future__ import annotations

import codecs
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from arena.quests import QUEST_ID
from core.crash_points import crash_point
from core.errors import InvalidInput
from core.files import DISK, Files, read_json
from core.status_files import write_status

logger = logging.getLogger(__name__)

ACTIONS = ("pause", "resume", "stop", "skip", "save")
NO_REASON = "no reason given"
READ_BYTES = 4096
REASON_SIGNS = 500
BOUND_SKIP = re.compile(rf"\.skip\.({QUEST_ID.pattern})")


@dataclass(frozen=True)
class Wish:
    """One control file."""

    reason: str
    at: datetime
    """When it was wished, UTC: the time in the file, else the file's own."""
    cool: bool = False
    """Only for a pause: free the accelerator meanwhile."""
    touched_ns: int = 0
    """Modification time of the file; tells which of two wishes is the later one."""


@dataclass(frozen=True)
class Wishes:
    """All that is wished at one moment; stop wins over pause."""

    pause: Wish | None = None
    stop: Wish | None = None
    skip: Wish | None = None
    save: Wish | None = None
    resume: bool = False

    @property
    def held(self) -> bool:
        """True while training is meant to stand still."""
        return self.pause is not None or self.stop is not None


class BattleControl:
    """Reads, writes and consumes control files. Odd ones (directories, binary content) count, and never raise."""

    def __init__(self, control_dir: Path, files: Files = DISK) -> None:
        self.folder = control_dir
        self._files = files
        self._stuck: set[str] = set()
        self._standing: dict[str, int] = {}
        """When the wishes were made that were there before a resume."""
        self._paused_at: str | None = None
        self._state_read = False

    def read(self) -> Wishes:
        """What is wished now; one directory scan, meant to be called several times a second."""
        names = self._names()
        levels = {action: self._wish(f".{action}") for action in ACTIONS if f".{action}" in names}
        if "resume" not in levels:
            standing = {f".{action}": wish for action, wish in levels.items() if wish is not None}
            self._standing = {name: wish.touched_ns for name, wish in standing.items()}
        return Wishes(
            pause=levels.get("pause"),
            stop=levels.get("stop"),
            skip=levels.get("skip"),
            save=levels.get("save"),
            resume=levels.get("resume") is not None,
        )

    def write(self, action: str, reason: str, *, now: datetime) -> None:
        """Wish for `action`, exactly as a person with an editor can; raises `InvalidInput` naming the valid ones."""
        if action not in ACTIONS:
            raise InvalidInput(f"There is no action {action!r}.", hint=f"Use one of {', '.join(ACTIONS)}.")
        plain = "".join(sign if sign.isprintable() else " " for sign in reason[:REASON_SIGNS])
        lines = [" ".join(plain.split()) or NO_REASON, now.astimezone(UTC).isoformat()]
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f".{action}"
        if path.is_dir():
            self._remove(path.name)
        text = "\n".join(lines) + "\n"
        self._files.write_atomic(path, text.encode(errors="replace"), durable=True)

    def apply_resume(self) -> bool:
        """Consume `.resume`: the levels that are not newer than it go, then it goes itself. True if it was there.

        A pause wished after the resume stays (B12); `.resume` is consumed also when nothing is paused. What was seen to
        hold before the resume came is older than it, whatever the times say: the clock may have been set back.
        """
        resume = self._wish(".resume")
        if resume is None:
            return False
        for name in (".pause", ".stop"):
            level = self._wish(name)
            if level is None:
                continue
            held_before = self._standing.get(name) == level.touched_ns
            if held_before or (level.touched_ns, level.at) <= (resume.touched_ns, resume.at):
                self._remove(name)
        crash_point("control.resumed")
        self._remove(".resume")
        return True

    # --- edges ------------------------------------------------------------------------------------------

    def bind_skip(self, quest_id: str) -> Wish | None:
        """Turn `.skip` into a wish about this very quest, in one rename, so that no other quest is ever skipped (B14).

        None when there is no `.skip` (any more). The bound wish outlives a crash: see `bound_skip`.
        """
        if not QUEST_ID.fullmatch(quest_id):
            raise InvalidInput(f"{quest_id!r} is not a quest id.")
        wish = self._wish(".skip")
        bound = f".skip.{quest_id}"
        if wish is None:
            return None
        if (self.folder / bound).is_dir():
            self._remove(bound)
        try:
            self._files.replace(self.folder / ".skip", self.folder / bound)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._complain(".skip", error)
            return None
        crash_point("control.skip_bound")
        return wish

    def bound_skip(self) -> tuple[str, Wish] | None:
        """The quest that a skip was bound to and not carried out yet; the newest of several."""
        found = []
        for name in self._names():
            match = BOUND_SKIP.fullmatch(name)
            wish = self._wish(name) if match else None
            if match and wish:
                found.append((match[1], wish))
        return max(found, key=lambda each: each[1].touched_ns, default=None)

    def clear_skip(self) -> None:
        """The skip is carried out, its quest is over, or there was none to skip: no later quest may be hit (B14)."""
        for name in self._names():
            if name == ".skip" or BOUND_SKIP.fullmatch(name):
                self._remove(name)

    def take_save(self) -> Wish | None:
        """Consume `.save`; None when there is none, or when it cannot be removed (it would save for ever)."""
        wish = self._wish(".save")
        if wish is None or not self._remove(".save"):
            return None
        crash_point("control.save_taken")
        return wish

    # --- state ------------------------------------------------------------------------------------------

    def write_state(
        self, state: str, *, current_file: str | None, reason: str | None, now: datetime, valid_for: float = 15.0
    ) -> None:
        """Write `control/state.json`: `{status, last_update, current_file, paused_at, reason}` and a heartbeat (B16).

        `paused_at` is the begin of the present pause, also over a restart. Readers use `core.status_files.read_status`.
        """
        path = self.folder / "state.json"
        if not self._state_read:
            before = read_json(path)
            if isinstance(before, dict) and before.get("status") == "paused":
                self._paused_at = before.get("paused_at")
            self._state_read = True
        stamp = now.astimezone(UTC).isoformat()
        self._paused_at = (self._paused_at or stamp) if state == "paused" else None
        body = {
            "status": state,
            "last_update": stamp,
            "current_file": current_file,
            "paused_at": self._paused_at,
            "reason": reason,
        }
        write_status(path, body, now=now, valid_for=valid_for, files=self._files)

    # --- inside -----------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        try:
            with os.scandir(self.folder) as entries:
                return [entry.name for entry in entries]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._complain(".", error)
            return []

    def _wish(self, name: str) -> Wish | None:
        path = self.folder / name
        try:
            status = path.lstat()
        except OSError:
            return None
        lines = _read_lines(path)
        return Wish(
            reason=(lines[0].strip() if lines else "") or NO_REASON,
            at=_time_of(lines, status),
            cool=len(lines) > 2 and lines[2].strip().lower() == "cool",
            touched_ns=status.st_mtime_ns,
        )

    def _remove(self, name: str) -> bool:
        """Take a control file away, whatever it is; False when that is impossible (said once in the log)."""
        path = self.folder / name
        try:
            if path.is_dir() and not path.is_symlink():
                # A directory may hold something that is dear to its maker.
                self._files.rename_dir(path, _free_name(path.with_name(f"set-aside{name}")))
            else:
                self._files.unlink(path)
        except FileNotFoundError:
            self._stuck.discard(name)
            return False
        except OSError as error:
            self._complain(name, error)
            return False
        self._stuck.discard(name)
        return True

    def _complain(self, name: str, error: OSError) -> None:
        # Once: the daemon looks several times a second.
        if name not in self._stuck:
            logger.warning("%s cannot be used: %s", self.folder / name, error, extra={"event": "control_file_stuck"})
        self._stuck.add(name)


def _read_lines(path: Path) -> list[str]:
    """The first lines of a control file; nothing of what is not plain text."""
    try:
        # Not blocking: someone may have made a pipe of that name.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            raw = os.read(fd, READ_BYTES)
        finally:
            os.close(fd)
        # Incremental, as the cut may fall into the middle of a sign.
        text = codecs.getincrementaldecoder("utf-8")().decode(raw)
    except (OSError, UnicodeDecodeError):
        return []
    lines = text.splitlines()
    return lines if all(line.isprintable() for line in lines[:3]) else []


def _time_of(lines: list[str], status: os.stat_result) -> datetime:
    with suppress(ValueError, IndexError, OverflowError):
        written = datetime.fromisoformat(lines[1].strip())
        if written.tzinfo is not None:
            return written.astimezone(UTC)
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(status.st_mtime, UTC)
    return datetime.fromtimestamp(0, UTC)


def _free_name(path: Path) -> Path:
    number = 1
    candidate = path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}_{number}")
    return candidate
