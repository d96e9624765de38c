"""Books of rows go with their quests, and keep within a budget."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from contextlib import suppress
from pathlib import Path

from arena.rowbook import SUFFIX
from core.files import DISK, Files
from core.trimming import trim_folder


def tidy_row_books(
    folder: Path, max_bytes: int, known: Callable[[], Container[str]], *, files: Files = DISK
) -> list[str]:
    """Delete the books of quests that are nowhere any more, then the oldest beyond `max_bytes`.

    `known` tells the ids of all quests; it is asked after the books were listed, so that no new quest is missed.
    Returns the ids of the quests that are gone. Raises `OSError`.
    """
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    if not names:
        return []
    quests = known()
    gone = [quest_id for name in sorted(names) if (quest_id := name.removesuffix(SUFFIX)) not in quests]
    for quest_id in gone:
        with suppress(FileNotFoundError):
            files.unlink(folder / f"{quest_id}{SUFFIX}")
    trim_folder(folder, SUFFIX, max_bytes, files=files)
    return gone
