"""Answers of the resident model on their way to the saga: one durable file for each examination, read again at a start.

The trainer writes it before it tells of it; the daemon removes it once the answers are on record. So neither a kill of
the one nor of the other loses or doubles an examination (E13). Beside it, a count of the tries that have not come to
their end: what kills one trainer after the other must not do so for ever. Torch-free.
"""

from __future__ import annotations

import errno
import logging
import re
from pathlib import Path

import msgspec

from arena.protocol import Examined, decode_event, encode
from core.files import DISK, DISK_TROUBLE, Files

logger = logging.getLogger(__name__)

SUFFIX = ".json"
TRIES_SUFFIX = ".tries"
"""A decimal number; gone where there is none."""
DAMAGED_SUFFIX = ".damaged"
"""Behind the name of a file that holds no answers; the newest of each name is kept, for people."""
_EXAM_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class Examinations:
    """The folder `current_model/examinations/`."""

    def __init__(self, folder: Path, files: Files = DISK) -> None:
        self._folder = folder
        self._files = files

    def keep(self, examined: Examined) -> Examined:
        """Write the answers down, in place of earlier ones of the same examination; returns them. Raises `OSError`."""
        self._make_folder()
        self._files.write_atomic(self._file(examined.exam_id), encode(examined), durable=True)
        self._forget_tries(examined.exam_id)
        return examined

    def begin_try(self, exam_id: str) -> int:
        """Count a try before the model is asked, durably; returns which one it is, from 1. Raises `OSError`."""
        self._make_folder()
        number = self._tries(exam_id) + 1
        self._write_tries(exam_id, number)
        return number

    def take_back_try(self, exam_id: str) -> None:
        """The newest try killed nobody, so it does not count. Raises `OSError`."""
        number = self._tries(exam_id) - 1
        if number > 0:
            self._write_tries(exam_id, number)
        else:
            self._forget_tries(exam_id)

    def forget_all_tries(self) -> None:
        """Every examination may be tried anew. Raises `OSError`."""
        for file in self._folder.glob(f"*{TRIES_SUFFIX}"):
            self._files.unlink(file)

    def find(self, exam_id: str) -> Examined | None:
        """The answers that wait to be recorded; None without any.

        A file that holds none is set aside; people are told of it once.
        """
        return self._read(self._file(exam_id))

    def all(self) -> list[Examined]:
        """Everything that waits to be recorded, by the step of the weights."""
        found = (self._read(file) for file in self._folder.glob(f"*{SUFFIX}"))
        return sorted((one for one in found if one is not None), key=lambda one: (one.step, one.exam_id))

    def forget(self, exam_id: str) -> None:
        """These are on record."""
        file = self._file(exam_id)
        if file.exists():
            self._files.unlink(file)
        self._forget_tries(exam_id)

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(exist_ok=True)  # never its parents: `current_model/` may have vanished with its disk
        except FileExistsError as error:
            text = f"{self._folder} must be a folder, and something else lies there: move that away"
            raise NotADirectoryError(errno.ENOTDIR, text) from error
        self._files.fsync_dir(self._folder.parent)

    def _file(self, exam_id: str, suffix: str = SUFFIX) -> Path:
        if not _EXAM_ID.fullmatch(exam_id):
            raise ValueError(f"{exam_id!r} is no id of an examination")
        return self._folder / f"{exam_id}{suffix}"

    def _tries(self, exam_id: str) -> int:
        try:
            return int(self._file(exam_id, TRIES_SUFFIX).read_bytes())
        except (FileNotFoundError, ValueError):
            return 0

    def _write_tries(self, exam_id: str, number: int) -> None:
        self._files.write_atomic(self._file(exam_id, TRIES_SUFFIX), b"%d\n" % number, durable=True)

    def _forget_tries(self, exam_id: str) -> None:
        file = self._file(exam_id, TRIES_SUFFIX)
        if file.exists():
            self._files.unlink(file)

    def _read(self, file: Path) -> Examined | None:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in DISK_TROUBLE:
                raise
            return None
        try:
            read = decode_event(content)
        except msgspec.DecodeError as error:
            self._set_aside(file, content, error)
            return None
        return read if isinstance(read, Examined) and read.exam_id == file.name.removesuffix(SUFFIX) else None

    def _set_aside(self, file: Path, content: bytes, why: Exception) -> None:
        aside = file.with_name(f"{file.name}{DAMAGED_SUFFIX}")
        try:
            self._files.replace(file, aside)
            if aside.read_bytes() != content:  # answers that the trainer has put in its place since it was read
                self._files.replace(aside, file)
                return
        except FileNotFoundError:
            return  # who else reads the folder was faster
        except OSError as error:  # every look comes here again; people hear of a disk like that from whoever writes
            logger.debug("%s cannot be set aside: %s", file, error)
            return
        text = "%s holds no answers and is set aside as %s: %s"
        logger.warning(text, file.name, aside.name, why, extra={"event": "examination_damaged"})
