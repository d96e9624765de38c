"""Answers of the resident model on their way to the saga: one durable file for each examination, read again at a start.

The trainer writes it before it tells of it; the daemon removes it once the answers are on record. So neither a kill of
the one nor of the other loses or doubles an examination (E13). Torch-free.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import msgspec

from arena.protocol import Examined, decode_event, encode
from core.files import DISK, DISK_TROUBLE, Files

logger = logging.getLogger(__name__)

SUFFIX = ".json"
_EXAM_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class Examinations:
    """The folder `current_model/examinations/`."""

    def __init__(self, folder: Path, files: Files = DISK) -> None:
        self._folder = folder
        self._files = files

    def keep(self, examined: Examined) -> None:
        """Write the answers down, in place of earlier ones of the same examination. Raises `OSError`."""
        self._folder.mkdir(exist_ok=True)  # never its parents: `current_model/` may have vanished with its disk
        self._files.fsync_dir(self._folder.parent)
        self._files.write_atomic(self._file(examined.exam_id), encode(examined), durable=True)

    def find(self, exam_id: str) -> Examined | None:
        """The answers that wait to be recorded; None without any, and where the file does not hold them."""
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

    def _file(self, exam_id: str) -> Path:
        if not _EXAM_ID.fullmatch(exam_id):
            raise ValueError(f"{exam_id!r} is no id of an examination")
        return self._folder / f"{exam_id}{SUFFIX}"

    def _read(self, file: Path) -> Examined | None:
        try:
            read = decode_event(file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in DISK_TROUBLE:
                raise
            return None
        except msgspec.DecodeError as error:
            logger.warning("%s holds no answers: %s", file.name, error, extra={"event": "examination_damaged"})
            return None
        return read if isinstance(read, Examined) and read.exam_id == file.name.removesuffix(SUFFIX) else None
