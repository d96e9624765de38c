"""Where an export is made before it has its name: `.NAME.part/` beside its target, and what kills have left of such.

    .NAME.part/.realm-export    the sign that the directory is our own, as anyone can guess its name
    .NAME.part/model/           what is to become NAME/

Whoever makes one holds its lock, which goes with the process: one that is not held is left over.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from core.errors import Conflict
from core.file_lock import directory_locked_if_free, locked_directory

STAGED, MARK = "model", ".realm-export"


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """An empty directory beside `target`, which is gone afterwards, unless it was given another name.

    Raises `Conflict` while another export to `target` is under way, or where somebody else's directory is in the way.
    """
    folder = target.with_name(f".{target.name}.part")
    with ExitStack() as held:
        # Until it has its own lock, a sweep would take it for one that is left over.
        with locked_directory(target.parent):
            try:
                folder.mkdir()
            except FileExistsError:
                _check_own(folder)
            is_ours = held.enter_context(directory_locked_if_free(folder))
        if not is_ours:
            raise Conflict(f"Another export to {target} is under way.", hint="Wait for its end.")
        try:
            (folder / MARK).touch()
            place = folder / STAGED
            if place.exists():  # by one that was killed
                shutil.rmtree(place)
            place.mkdir()
            yield place
        finally:
            with suppress(OSError):
                _clear_away(folder)


def sweep_half_exports(parent: Path) -> list[str]:
    """Delete what killed exports have left in a directory; returns the names. Raises `OSError`."""
    gone: list[str] = []
    if not any(parent.glob(".*.part")):
        return gone
    with locked_directory(parent):
        for folder in sorted(parent.glob(".*.part")):
            # An empty one may be of a program that knows nothing of exports, and takes no room.
            if not (_is_own(folder) and (folder / MARK).exists()):
                continue
            with directory_locked_if_free(folder) as is_free:
                if is_free:
                    _clear_away(folder)
                    gone.append(folder.name)
    return gone


def _clear_away(folder: Path) -> None:
    """The sign goes last: what a kill leaves in between is our own still."""
    with suppress(FileNotFoundError):  # it has its name by now
        shutil.rmtree(folder / STAGED)
    (folder / MARK).unlink()
    folder.rmdir()


def _check_own(folder: Path) -> None:
    if not _is_own(folder):
        raise Conflict(
            f"{folder}, where the model would be made, is there already and was not made by an export.",
            hint="Move it away, or export to a directory of another name.",
        )


def _is_own(folder: Path) -> bool:
    """Whether an export of this user has left the directory; one that was killed at its very beginning left nothing in
    it."""
    with suppress(FileNotFoundError):
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            names = {path.name for path in folder.iterdir()}
            return not names or {MARK} <= names <= {MARK, STAGED}
    return False
