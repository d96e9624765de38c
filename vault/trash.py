"""How a directory of the vault leaves: a rename to `.trash-*` beside it takes it out of sight, then its files go.

Between the two its owner tells whoever keeps books on it (DESIGN section 3). What a kill leaves in the trash is
finished by the next sweep.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from core.crash_points import crash_point
from core.files import DISK, Files
from vault.manifest import MANIFEST

logger = logging.getLogger(__name__)

TRASH = ".trash-"

_TRASH_NAME = re.compile(r"\.trash-(?P<name>.+)-[0-9a-f]{32}")


def to_trash(folder: Path, files: Files = DISK) -> Path:
    """Take a directory out of sight, durably; returns where it lies now."""
    target = folder.with_name(f"{TRASH}{folder.name}-{uuid.uuid4().hex}")
    files.rename_dir(folder, target)
    files.fsync_dir(folder.parent)
    crash_point("trash.renamed")
    return target


def name_before(trashed: Path) -> str | None:
    """The name that a directory had before it went to the trash; None for one that nobody here put there."""
    match = _TRASH_NAME.fullmatch(trashed.name)
    return match["name"] if match else None


def trashed_in(parent: Path) -> list[Path]:
    """What lies in the trash of a directory."""
    return hidden_folders(parent, TRASH)


def hidden_folders(parent: Path, prefix: str) -> list[Path]:
    """Directories, not links, whose names begin so."""
    return [path for path in parent.glob(f"{prefix}*") if path.is_dir() and not path.is_symlink()]


def folders_below(root: Path) -> Iterator[Path]:
    """A directory, and all below it that are not hidden; no link is followed, and what cannot be read is left out."""
    for folder, names, _ in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".")]
        yield Path(folder)


def discard(folder: Path, files: Files = DISK) -> bool:
    """Unlink a hidden directory; what cannot be unlinked stays for the next sweep and is logged."""
    try:
        # The manifest goes first, so that half a deletion never looks whole.
        if (folder / MANIFEST).exists():
            files.unlink(folder / MANIFEST)
        crash_point("trash.begun")
        _remove_tree(folder, files)
    except OSError as error:
        logger.warning("%s was not removed: %s", folder, error, extra={"event": "trash_kept"})
        return False
    return True


def _remove_tree(folder: Path, files: Files) -> None:
    for path in folder.iterdir():
        if stat.S_ISDIR(path.lstat().st_mode):
            _remove_tree(path, files)
        else:
            files.unlink(path)
    folder.rmdir()
