"""The sketches of one file while the gates look at it, and those of others to compare it with.

All of it is advice: whatever goes wrong with sketches is told in the log, and is no quest's fault.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from arena.gatekeepers.held_out import validation_rows
from arena.gatekeepers.likeness.near_rows import Comparison, compare
from arena.gatekeepers.likeness.sketch_store import Neighbour, SketchStore
from arena.gatekeepers.likeness.sketching import MOST_ROWS, Sketcher
from arena.gatekeepers.measures.yardstick import Stamp, held_out_files, stamp_of_files
from arena.gatekeepers.row_reader import Row
from arena.quests import read_sidecar
from core.paths import LANES, RealmPaths

logger = logging.getLogger(__name__)


def quests_before(paths: RealmPaths, file: Path) -> dict[str, Any]:
    """The `place` for a file that is only looked at: it is compared with the quests so far, and none of it is kept.

    Of one that lies in a lane, which is a quest itself, with those before it.
    """
    is_quest = file.parent in {paths.lane(name).resolve() for name in LANES}
    record = read_sidecar(file) if is_quest else None
    quest_id = record.quest_id if record is not None else None
    return {"folder": str(paths.sketches), "max_bytes": 0, "quest_id": quest_id, "name": ""}


class SketchedFile:
    """See the module docstring."""

    def __init__(self, rows: int, place: dict[str, Any] | None, held_out: str) -> None:
        """`place` is `{folder, max_bytes, quest_id, name}`: where sketches lie, and whose these are (None: no quest's).

        `held_out` is the folder of `Yardstick.held_out`.
        """
        self._sketcher = Sketcher(rows)
        self._held_out = held_out
        self._quest: tuple[str | None, str] = (None, "")
        self._store: SketchStore | None = None
        if place is not None:
            self._store = SketchStore(Path(place["folder"]), place["max_bytes"])
            self._quest = place["quest_id"], place["name"]
        self._failed = False

    def take(self, row: Row) -> None:
        """The next row."""
        if self._failed:
            return
        try:
            self._sketcher.take(row)
        except Exception:  # advice only: a bug here must not keep a quest out
            logger.exception("rows cannot be sketched", extra={"event": "sketching_failed"})
            self._failed = True

    def compared(self) -> Comparison:
        """With the held-out rows and all earlier quests. Raises `OSError`."""
        return compare(self._sketcher.sketches(), self._neighbours())

    def keep(self) -> None:
        """Leave the sketches for later quests: all rows were taken and the quest is let in."""
        quest_id, name = self._quest
        if self._store is None or quest_id is None or self._failed:
            return
        try:
            self._store.keep(quest_id, name, self._sketcher.sketches())
        except Exception as error:  # advice for later quests only
            told = {"event": "sketches_not_stored"}
            logger.warning("no sketches are kept of %s: %s", name, error, exc_info=True, extra=told)

    def _neighbours(self) -> Iterator[Neighbour]:
        yield from _validation(stamp_of_files(held_out_files(self._held_out)))
        if self._store is not None:
            yield from self._store.earlier_than(self._quest[0])


@lru_cache(maxsize=1)
def _validation(stamp: Stamp) -> list[Neighbour]:
    found = []
    for file, rows in validation_rows(stamp):
        sketcher = Sketcher(MOST_ROWS)
        for row in rows:
            sketcher.take(row)
        found.append(Neighbour(f"data/validation/{file.name}", None, sketcher.sketches()))
    return found
