"""What a realm takes while it runs, sample by sample, and whether it takes more and more."""

from __future__ import annotations

import os
import statistics
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

import psutil

from arena.disk.headroom import HEADROOM
from arena.journal import JOURNAL_NAME

FOLDERS = ("current_model", "snapshots", "queue", "status", "logs", "control", "inbox")


@dataclass(frozen=True)
class Allowance:
    """What the last third of the samples may have, by what the first third had: the most that one of these allows."""

    share: float = 0.10
    """So much more, in parts of the first third."""
    more: float = 0.0
    """So much more, in the unit of the samples."""
    up_to: float = 0.0
    """So much in all: what the limits that the realm was given add up to."""

    def most(self, first: float) -> float:
        return max(first * (1 + self.share), first + self.more, self.up_to)


@dataclass
class Series:
    """One figure over time."""

    name: str
    allowance: Allowance
    scale: float = 1.0
    unit: str = ""
    values: list[float] = field(default_factory=list)

    @property
    def thirds(self) -> tuple[float, float]:
        """Medians of the first and of the last third: what lasts for a moment is no growth."""
        third = max(1, len(self.values) // 3)
        return statistics.median(self.values[:third]), statistics.median(self.values[-third:])

    def fault(self, fewest: int) -> str | None:
        """What is wrong with it, in words; too few samples are a fault, as they show nothing."""
        if len(self.values) < fewest:
            return f"{self.name}: {len(self.values)} samples are too few, {fewest} are needed"
        first, last = self.thirds
        return None if last <= self.allowance.most(first) else f"{self.name} has grown: {self}"

    def __str__(self) -> str:
        if not self.values:
            return "never sampled"
        first, last = (value / self.scale for value in self.thirds)
        most = max(self.values) / self.scale
        return f"{first:.4g} → {last:.4g} {self.unit}".rstrip() + f" (most {most:.4g}, {len(self.values)} samples)"


class ProcessSeries:
    """Memory, open files and threads of one process."""

    def __init__(self, name: str) -> None:
        self.rss = Series(f"RSS of the {name}", Allowance(), 1e6, "MB")
        self.open_files = Series(f"open files of the {name}", Allowance(more=3))
        # The pool of `asyncio.to_thread` makes a thread when all others happen to be busy, up to its size.
        self.threads = Series(f"threads of the {name}", Allowance(more=3))

    @property
    def all(self) -> tuple[Series, ...]:
        return self.rss, self.open_files, self.threads

    def sample(self, process: psutil.Process) -> bool:
        """Take a sample; False when the process is gone."""
        try:
            with process.oneshot():
                taken = process.memory_info().rss, process.num_fds(), process.num_threads()
        except psutil.NoSuchProcess:
            return False
        for series, value in zip(self.all, taken, strict=True):
            series.values.append(value)
        return True


def size_of(folder: Path) -> int:
    """Bytes of all files below; what goes away meanwhile counts nothing.

    Left out are the reserve for a full disk, and the journal, which is never shortened, with its copies.
    """
    size = 0
    # Unlike `rglob`, this goes on where a folder that was listed is gone by the time that it is looked into.
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(root, name))
                if S_ISREG(status.st_mode) and name not in (HEADROOM, JOURNAL_NAME):
                    size += status.st_size
    return size
