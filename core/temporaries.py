"""The temporary files of killed writers: no write is finished by another process, so they only lie about (law 9)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from core.files import DISK, Files

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.(tmp|part)")
"""Names of `core.files` and `arena.doorstep.quest_drop` for what is not whole yet."""

ABANDONED_SECONDS = 60.0
"""Age at which one is given up; a copy that is still written to stays young."""


def drop_temporaries(folders: Iterable[Path], *, now: datetime, files: Files = DISK) -> None:
    """Remove the abandoned ones that lie in these very folders; what cannot go now stays for the next time."""
    for path in (path for folder in folders for path in _temporaries(folder)):
        with suppress(OSError):
            if now.timestamp() - path.lstat().st_mtime > ABANDONED_SECONDS:
                files.unlink(path)


def _temporaries(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if TEMPORARY.fullmatch(path.name)]
    except OSError:
        return []
