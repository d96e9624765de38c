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


def mount_of(path: Path, table: Path = MOUNTINFO) -> Mount | None:
    """The mount that `path` lies on (links followed; it need not exist yet); None where the table cannot be read."""
    try:
        # Bytes that are no text stand in mount points too.
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = path.resolve()
    found: Mount | None = None
    for line in lines:
        mount = _parse(line)
        # Of several mounts on one point the last one in the table covers the others.
        if mount and place.is_relative_to(mount.point) and (found is None or len(mount.point.parts) >= _depth(found)):
            found = mount
    return found


def _depth(mount: Mount) -> int:
    return len(mount.point.parts)


def _parse(line: str) -> Mount | None:
    """`36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda rw`: the fields before the dash vary in number."""
    before, dash, after = line.partition(" - ")
    fields, super_fields = before.split(), after.split()
    if not dash or len(fields) < 6 or len(super_fields) < 3:
        return None
    point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
    options = {*fields[5].split(","), *super_fields[2].split(",")}
    return Mount(point, super_fields[0], "ro" in options)
