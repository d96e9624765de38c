"""What a benchmark found out: figures with their targets, a table of them, and JSON under `benchmarks/results/`.

A figure is the median of several measurements with the least and the greatest of them. Of a ratio, each measurement is
that of one round in which both sides ran, so that what else the machine did in between touches both.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.stopwatch import versions

RESULTS = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    against: str | None
    """The peer of a ratio; None for what is measured by itself."""
    values: list[float]
    unit: str = "×"
    at_least: float | None = None
    """The target of DESIGN section 10, if there is one."""
    at_most: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the target; None without one."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return self.median <= self.at_most if self.at_most is not None else None

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}"
        return f"≤ {self.at_most:g} {self.unit}" if self.at_most is not None else ""

    def cells(self) -> list[str]:
        """The columns of `HEAD`."""
        spread = f"{_short(min(self.values))} – {_short(max(self.values))}" if len(self.values) > 1 else ""
        met = {True: "yes", False: "no", None: ""}[self.met]
        return [self.what, self.against or "–", f"{_short(self.median)} {self.unit}", spread, self.target, met]


HEAD = ["what", "against", "median", "min – max", "target", "met"]


def table(figures: Iterable[Figure]) -> str:
    """A Markdown table that can be read in a terminal, too."""
    return columns([HEAD, *(figure.cells() for figure in figures)])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table, the first one as its head."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def percentile(values: Sequence[float], part: float) -> float:
    """The least value that is not below `part` of all of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def write_results(
    name: str, figures: Sequence[Figure], *, details: dict[str, Any] | None = None, folder: Path = RESULTS
) -> Path:
    """Keep what a benchmark has found out, in place of what it found out before."""
    found = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "figures": [asdict(figure) for figure in figures],
        "details": details or {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_results(path: Path) -> tuple[dict[str, Any], list[Figure]]:
    """The whole record, and its figures."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return found, [Figure(**figure) for figure in found["figures"]]


def machine() -> dict[str, Any]:
    """What the figures depend on, and how busy it was."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _short(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
