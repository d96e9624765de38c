"""A disk of 48 MB for a realm: a tmpfs where one can be mounted, else a shim that has the realm's own Python count.

The shim is a `sitecustomize` on the realm's PYTHONPATH: what it calls free is 48 MB less what lies in the folder.
Writes are not refused by it, as nothing but a real disk does that; the realm must not come so far anyway.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SIZE = 48 << 20

SHIM = """
import os

_statvfs = os.statvfs


def _taken(folder):
    taken = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                taken += os.lstat(os.path.join(place, name)).st_blocks * 512
            except OSError:
                pass
    return taken


def statvfs(path):
    found = _statvfs(path)
    free = max({size} - _taken({folder!r}), 0) // 4096
    blocks = {size} // 4096
    return os.statvfs_result((4096, 4096, blocks, free, free, *found[5:10]))


os.statvfs = statvfs
"""


@dataclass(frozen=True)
class SmallDisk:
    """What a realm on it must be started with, and how it is filled."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_real(self) -> bool:
        """Whether it refuses what it has no room for."""
        return not self.environment

    def fill(self, name: str, leave: int = 0) -> Path:
        """Take all of it but so many bytes; returns the file to delete."""
        filler = self.folder / name
        with filler.open("wb") as file:
            while (more := self.free() - leave) > 0:
                with suppress(OSError):  # others write too
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)
        return filler

    def free(self) -> int:
        """Bytes, as the realm sees them."""
        if self.is_real:
            found = os.statvfs(self.folder)
            return found.f_bavail * found.f_frsize
        return SIZE - sum(path.lstat().st_blocks * 512 for path in self.folder.rglob("*"))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Make `folder` such a disk for as long as the block lasts."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "realm-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
        try:
            yield SmallDisk(folder)
        finally:
            # Lazily: a process that is late in ending must not leave it mounted.
            subprocess.run(["umount", "--lazy", str(folder)], check=True)
        return
    shim = folder.with_name(f"{folder.name}-shim")
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(SHIM.format(size=SIZE, folder=str(folder)))
    yield SmallDisk(folder, {"PYTHONPATH": str(shim)})
