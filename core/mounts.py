"""Which file system a path lies on, from the kernel's own table: network shares need care (DESIGN section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTINFO = Path("/proc/self/mountinfo")
NETWORK_TYPES = re.compile(r"(?:nfs|cifs|smb|ncpfs|afs|9p|ceph|glusterfs|lustre|gpfs|fuse\.).*|fuse")
"""Types on which locks, renames and file events may not do what a local disk does. FUSE may be anything (SSHFS);
`fuseblk` is a local disk."""

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """One mounted file system."""

    point: Path
    fs_type: str
    """The kernel's name, such as `ext4`, `nfs4` or `fuse.sshfs`."""
    read_only: bool

    @property
    def is_network(self) -> bool:
        return NETWORK_TYPES.fullmatch(self.fs_type) is not None


def mounts(table: Path = MOUNTINFO) -> dict[str, Mount]:
    """Everything that is mounted, by its mount point; empty where the table cannot be read. Never waits for a disk."""
    try:
        # Bytes that are no text stand in mount points too.
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return {}
    # Of several mounts on one point the last one in the table covers the others.
    return {str(mount.point): mount for line in lines if (mount := _parse(line))}


def mount_of(path: Path, table: Path = MOUNTINFO) -> Mount | None:
    """The mount that `path` lies on (links followed; it need not exist yet); None where the table cannot be read."""
    place = path.resolve()
    found = [mount for mount in mounts(table).values() if place.is_relative_to(mount.point)]
    return max(found, key=lambda mount: len(mount.point.parts), default=None)


def _parse(line: str) -> Mount | None:
    """`36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda rw`: the fields before the dash vary in number."""
    before, dash, after = line.partition(" - ")
    fields, super_fields = before.split(), after.split()
    if not dash or len(fields) < 6 or len(super_fields) < 3:
        return None
    point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
    options = {*fields[5].split(","), *super_fields[2].split(",")}
    return Mount(point, super_fields[0], "ro" in options)
