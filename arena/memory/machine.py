"""How much memory this machine has left for a trainer, and how much a process has taken at its peak."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

_LIMITS = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
"""Names of limit and present use in a control group of version 2, and of version 1."""


def free_memory(*, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take: of the machine, or of its control group where that has less."""
    free = psutil.virtual_memory().available
    for group in _groups(proc, cgroups):
        for limit_name, used_name in _LIMITS:
            limit, used = _number(group / limit_name), _number(group / used_name)
            if limit is not None and used is not None:
                # What the group holds of files is counted as used, though it goes when memory is wanted.
                free = min(free, max(0, limit - used + _files_of(group)))
    return int(free)


def peak_memory(*, proc: Path = Path("/proc")) -> int | None:
    """The most bytes that this process has had in memory so far; None where the system does not tell."""
    return _field(proc / "self" / "status", "VmHWM:", unit=1024)


def _groups(proc: Path, cgroups: Path) -> list[Path]:
    """The control groups of this process and those above: each may have a limit."""
    with suppress(OSError):
        found: list[Path] = []
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            number, _, rest = line.partition(":")
            controllers, _, name = rest.partition(":")
            if number != "0" and "memory" not in controllers.split(","):
                continue
            root = cgroups if number == "0" else cgroups / "memory"
            inside = Path(name.lstrip("/"))
            found += [root / part for part in (inside, *inside.parents)]
        return found
    return []


def _files_of(group: Path) -> int:
    for name in ("inactive_file ", "total_inactive_file "):
        if (found := _field(group / "memory.stat", name)) is not None:
            return found
    return 0


def _field(file: Path, name: str, *, unit: int = 1) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in file.read_text().splitlines():
            if line.startswith(name):
                return int(line.removeprefix(name).split()[0]) * unit
    return None


def _number(file: Path) -> int | None:
    """None for a file that is not there, and for `max`."""
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return None
