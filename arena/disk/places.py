"""Whether `current_model/` and `queue/` are still the directories that they were: a vanished one is never begun anew.

A disk that is not mounted leaves an empty directory behind, in which a realm would find no journal and no quests, and
would begin a new hero. So each place bears a mark, and `status/places.json` remembers the marks: where the record knows
a place and the mark is not there, the place is missing, at the start as well as under a running realm. Who removed it
on purpose deletes the record.
"""

from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path

from arena.disk.hindrance import Hindrance
from arena.journal import JOURNAL_NAME
from core.errors import RealmError
from core.files import DISK, Files, read_json
from core.paths import RealmPaths

logger = logging.getLogger(__name__)

PLACES = ("current_model", "queue")
MARK = ".place"
MARK_BYTES = 64


class Places:
    """The marks of one realm and the record of them. One per process that holds the realm's lock."""

    def __init__(self, paths: RealmPaths, files: Files = DISK) -> None:
        self._paths = paths
        self._files = files
        self._known: dict[str, str] = {}

    def look(self) -> Hindrance | None:
        """The first place that is missing or cannot be read; places that nothing is known of are marked."""
        before = self._known = self._read_record()
        for name in PLACES:
            try:
                hindrance = self._look_at(name)
            except (OSError, RealmError) as error:
                return failing(name, error)
            if hindrance is not None:
                return hindrance
        if self._known != before:
            self._write_record()
        return None

    def missing(self) -> Hindrance | None:
        """The first place that was there and is not; for those who only look. Raises `OSError`."""
        self._known = self._read_record()
        return next((found for name in PLACES if (found := self._missing(name)) is not None), None)

    def _missing(self, name: str) -> Hindrance | None:
        root = self._paths.base / name
        if name not in self._known or self._mark_of(root) is not None:
            return None
        # The model may have been copied back without its mark.
        return None if name == "current_model" and (root / JOURNAL_NAME).exists() else _missing(root)

    def _look_at(self, name: str) -> Hindrance | None:
        hindrance = self._missing(name)
        if hindrance is not None:
            return hindrance
        root = self._paths.base / name
        known, found = self._known.get(name), self._mark_of(root)
        if found is None:
            self._paths.create()
            found = known or uuid.uuid4().hex
            if not self._put_mark(root, found):
                return None
        self._known = {**self._known, name: found}
        return None

    def _mark_of(self, root: Path) -> str | None:
        try:
            with (root / MARK).open("rb") as mark:
                return mark.read(MARK_BYTES).decode("ascii", errors="replace").strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _put_mark(self, root: Path, mark: str) -> bool:
        try:
            self._files.write_atomic(root / MARK, f"{mark}\n".encode(), durable=True)
        except OSError as error:  # what cannot be marked now (full, read-only) is marked when it can be
            logger.info("%s is not marked yet: %s", root, error, extra={"event": "place_unmarked"})
            return False
        return True

    def _read_record(self) -> dict[str, str]:
        """What is known; all of it still, where the record itself is out of reach, and nothing once it was deleted."""
        if self._paths.places.exists():
            said = read_json(self._paths.places)
            return {str(name): str(mark) for name, mark in said.items()} if isinstance(said, dict) else self._known
        return {} if self._paths.status.is_dir() else self._known

    def _write_record(self) -> None:
        try:
            self._files.write_atomic(self._paths.places, json.dumps(self._known).encode(), durable=True)
        except OSError as error:  # the marks stand; the record follows with one of the next looks
            logger.info("the places are not recorded yet: %s", error, extra={"event": "places_unrecorded"})


def failing(name: str, error: Exception) -> Hindrance:
    """The disk under a place answers with an error."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Hindrance("failing", name, f"the disk under {name}/ fails ({said}); nothing goes on until it answers again")


def _missing(root: Path) -> Hindrance:
    what = "holds nothing of the realm any more" if root.is_dir() else "is gone"
    message = (
        f"{root.name}/ {what}; mount it or put it back at {root}, and training goes on where it was "
        "(if it is gone for good, delete status/places.json to begin anew)"
    )
    return Hindrance("missing", root.name, message)
