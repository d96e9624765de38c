"""What memory is left: that of the machine, or of the control group that a container is."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from arena.memory.machine import free_memory, peak_memory

MEBI = 1 << 20


def write(folder: Path, **files: int | str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def machine(tmp_path: Path, cgroup: str) -> tuple[Path, Path]:
    own = tmp_path / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(cgroup)
    return tmp_path / "proc", tmp_path / "cgroup"


def test_without_a_limit_it_is_what_the_machine_has(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, "0::/user.slice\n")
    write(groups / "user.slice", memory__max="max", memory__current=5 * MEBI)
    assert free_memory(proc=proc, cgroups=groups) == pytest.approx(psutil.virtual_memory().available, rel=0.5)


def test_a_group_that_has_less_decides_and_its_files_can_go(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, "0::/docker/me\n")
    write(groups / "docker" / "me", memory__max=100 * MEBI, memory__current=70 * MEBI)
    write(groups / "docker" / "me", memory__stat=f"anon 1\ninactive_file {20 * MEBI}")
    assert free_memory(proc=proc, cgroups=groups) == 50 * MEBI
    write(groups / "docker", memory__max=40 * MEBI, memory__current=39 * MEBI)
    assert free_memory(proc=proc, cgroups=groups) == MEBI, "a limit above holds for all below"


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path, "4:memory:/box\n3:cpu:/other\n")
    write(groups / "memory" / "box", memory__limit_in_bytes=30 * MEBI, memory__usage_in_bytes=31 * MEBI)
    assert free_memory(proc=proc, cgroups=groups) == 0


def test_the_peak_of_this_process_is_not_below_what_it_has_now(tmp_path: Path) -> None:
    peak = peak_memory()
    assert peak is not None
    assert peak >= psutil.Process(os.getpid()).memory_info().rss * 0.9
    assert peak_memory(proc=tmp_path) is None
