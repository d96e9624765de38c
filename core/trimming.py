"""Keeps a folder of files that nobody needs within a size, by deleting those that were written or used longest ago."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from core.files import DISK, Files

BLOCK_BYTES = 4096
"""What the smallest file takes of the disk."""


def trim_folder(folder: Path, suffix: str, max_bytes: int, *, files: Files = DISK) -> None:
    """Delete the files whose names end with `suffix`, oldest mtime first, until the others fit into `max_bytes`."""
    found: list[tuple[int, int, Path]] = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(suffix):
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime_ns, max(status.st_size, BLOCK_BYTES), Path(entry.path)))
    held = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if held <= max_bytes:
            break
        with suppress(FileNotFoundError):
            files.unlink(path)
        held -= size
