"""Names in the inbox that are nobody's data: half-written files of copying programs, droppings of systems and editors.

They are left alone in silence, and so are the sidecars of data files. Everything else that is no data file is reported
(C7), a sidecar without its data file too. A conflict copy of Syncthing
(`x.sync-conflict-20261121-093000-ABCDEFG.jsonl`) is a file of its own and is taken like any other.
"""

from __future__ import annotations

from arena.quests import SIDECAR_SUFFIX

UNFINISHED_SUFFIXES = (
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".crdownload",  # Chromium
    ".download",  # Safari: a folder that holds the file until it is whole
    ".opdownload",  # Opera
    ".filepart",  # WinSCP
    ".aria2",
    ".swp",  # vim
    ".swo",
    ".swx",
    "~",  # backups of editors
)
"""Whole names are compared in small letters. Hidden names, such as rsync's `.x.jsonl.Ab3dE6`, need no suffix here."""

FOREIGN_PREFIXES = (
    "~syncthing~",  # Syncthing on Windows
    "~$",  # owner files of office programs
    "#recycle",  # waste basket of a Synology share
)

FOREIGN_NAMES = {
    "4913",  # vim tries with this name whether it may write
    "desktop.ini",
    "thumbs.db",
    "@eadir",  # Synology's index
    "@recycle",  # QNAP's waste basket
    "$recycle.bin",
    "lost+found",
    "__macosx",
    "system volume information",
}


def is_left_alone(name: str) -> bool:
    """True for the name of a file or folder that the inbox does not look at and does not speak of."""
    if name.startswith(".") or name.endswith(SIDECAR_SUFFIX):
        return True
    small = name.lower()
    return (
        small.endswith(UNFINISHED_SUFFIXES)
        or small.startswith(FOREIGN_PREFIXES)
        or small in FOREIGN_NAMES
        or (small.startswith("#") and small.endswith("#"))  # Emacs saves unfinished work so
    )
