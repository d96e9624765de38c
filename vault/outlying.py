"""Places outside of the base directory, on disks and shares that may be away or hang: what has gone from them.

A disk that is not mounted leaves an empty directory behind, and whoever looks at a dead share does not come back. So it
is remembered on which mounts things lay; from one that is not there now, or does not answer, nothing is concluded.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import islice

from core.errors import Unavailable
from core.knocking import Knocker
from core.mounts import Mount, mounts
from vault.catalog.catalog import Catalog

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
"""A disk that takes longer for `AT_ONCE` looks counts as away."""
AT_ONCE = 200
UNMOUNTED = "autofs"
"""The type of a mount point whose disk is mounted when somebody looks into it."""

KNOCKER = Knocker()
"""One for the process: a share that hangs for one keeper hangs for all."""


class Outlying:
    """What one catalog knows of such places. Everything here may take its time, and belongs into a thread."""

    def __init__(
        self,
        catalog: Catalog,
        roots: Callable[[], Iterable[str]] = tuple,
        table: Callable[[], Mapping[str, Mount]] = mounts,
        knocker: Knocker = KNOCKER,
    ) -> None:
        """`roots` are those of the settings and the storages; one that is not there is not mounted."""
        self._catalog = catalog
        self._roots = roots
        self._table = table
        self._knocker = knocker
        self._looks: list[set[str]] = []
        """What was entered during each of the looks that are being made."""

    def gone(self, places: Iterable[str]) -> set[str]:
        """Of these paths, those at which nothing lies any more, on mounts that are what they were."""
        entered: set[str] = set()
        self._looks.append(entered)
        try:
            return self._gone(places) - entered
        finally:
            self._looks = [each for each in self._looks if each is not entered]

    def note(self, place: str) -> None:
        """Something was entered into the catalog that lies there now."""
        for entered in self._looks:
            entered.add(place)
        point = _nearest(place, self._table())
        self._remember({point} - self._catalog.mount_points())

    def refuse_if_away(self, place: str) -> None:
        """Raises `Unavailable` where the disk is not mounted on which `place` should lie: its mount point is an empty
        directory of another disk."""
        known, now = _nearest(place, self._catalog.mount_points()), _nearest(place, self._table())
        if len(known) > len(now):
            raise Unavailable(
                f"{known} is not mounted.",
                hint="Mount it; where its files have moved to another disk for good, `realm vault rebuild` looks anew.",
            )

    def is_there(self, place: str) -> bool:
        """Whether something lies at a path now; False too where its disk does not answer."""
        try:
            return self._knocker.ask(_nearest(place, self._table()), partial(os.path.lexists, place), LOOK_SECONDS)
        except Unavailable:
            return False

    def _gone(self, places: Iterable[str]) -> set[str]:
        remembered, before = self._catalog.mount_points(), self._table()
        by_mount: dict[str, list[str]] = defaultdict(list)
        for place in places:
            point = _nearest(place, before)
            if len(_nearest(place, remembered)) <= len(point):
                by_mount[point].append(place)
        missing: dict[str, set[str]] = {}
        for point, members in by_mount.items():
            try:
                missing[point] = self._missing(point, members)
            except (Unavailable, OSError) as error:
                logger.warning("%s is left as it was known: %s", point, error, extra={"event": "mount_away"})
        after = self._table()
        sure = {point for point in missing if point in after and after[point].fs_type != UNMOUNTED}
        # In a container the table may not be there: then all lies on one nameless mount.
        sure |= set(missing) if not after else set()
        found = {point for point in sure if len(missing[point]) < len(by_mount[point])}
        self._remember(found - remembered)
        return {place for point in sure for place in missing[point]}

    def _remember(self, points: Collection[str]) -> None:
        # The root of all is never away.
        if points := {point for point in points if point != "/"}:
            self._catalog.note_mounts(points)

    def _missing(self, point: str, places: Iterable[str]) -> set[str]:
        roots = {root: None for root in self._roots() if _is_below(root, point)}
        there = self._knocker.ask(point, partial(_those_there, point, roots), LOOK_SECONDS)
        rest = (place for place in places if not any(_is_below(place, root) for root in roots.keys() - there))
        missing: set[str] = set()
        while some := list(islice(rest, AT_ONCE)):
            missing |= self._knocker.ask(point, partial(_not_there, some, there), LOOK_SECONDS)
        return missing


def _those_there(point: str, roots: Iterable[str]) -> set[str]:
    with os.scandir(point):  # has it mounted where that is done on demand
        pass
    return {root for root in roots if os.path.isdir(root)}


def _not_there(places: Collection[str], roots: Collection[str]) -> set[str]:
    """Those that are gone; of a place in none of the `roots`, it counts that the folder is there in which it lay."""
    missing = set()
    for place in places:
        try:
            os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            if any(_is_below(place, root) for root in roots) or os.path.isdir(os.path.dirname(place)):
                missing.add(place)
    return missing


def _nearest(place: str, points: Collection[str]) -> str:
    """The mount point that is nearest above a path, "/" where none is known."""
    while place not in points and len(place) > 1:
        place = os.path.dirname(place)
    return place or "/"


def _is_below(place: str, root: str) -> bool:
    return place == root or place.startswith(root.rstrip("/") + "/")
