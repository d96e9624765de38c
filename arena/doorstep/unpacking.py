"""The folder in which packed files are unpacked while they are judged; nothing in it outlives the end of the realm."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from arena.quest_names import DATA_SUFFIX
from core.files import DISK, Files
from core.paths import RealmPaths

logger = logging.getLogger(__name__)


def forget_unpacked(places: Iterable[Path], files: Files = DISK) -> None:
    """Remove what was unpacked there and did not become a quest, if anything."""
    for place in places:
        try:
            with suppress(FileNotFoundError):
                files.unlink(place)
        except OSError as error:
            logger.warning("%s cannot be removed: %s", place, error, extra={"event": "unpacked_left"})


def clear_unpacking(paths: RealmPaths, files: Files = DISK) -> None:
    """Remove what the last realm left. Only after a sweep, which finishes the moves that begin there."""
    forget_unpacked(paths.unpacking.glob(f"*{DATA_SUFFIX}"), files)
