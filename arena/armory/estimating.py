"""What training would take under edited settings, beside what it takes now, and whether that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from arena.armory.armory import Armory
from arena.memory.estimate import MemoryEstimate, fits
from arena.memory.machine import free_memory
from arena.memory.of_settings import estimate_of
from core.paths import RealmPaths

PLENTY = 1 << 60
"""Where nobody knows how much is free, gradient checkpointing is not reckoned with."""


def compare(
    paths: RealmPaths,
    armory: Armory,
    changes: Mapping[str, Any],
    resets: list[str],
    *,
    device: Callable[[], str | None],
    trainer_pid: Callable[[], int | None],
) -> dict[str, Any]:
    """Reads files: to be called in a thread. Raises `SettingsRefused` for settings that cannot be used."""
    settings, hero, edited = armory.settings_with(changes, resets)
    on_cpu = _is_on_cpu(edited.trainer.device, device())
    held = _resident_bytes(trainer_pid())
    room = free_memory() + (held or 0) if on_cpu else None
    before = estimate_of(paths, hero, settings, PLENTY if room is None else room)
    after = estimate_of(paths, hero, edited, PLENTY if room is None else room)
    told: dict[str, Any] = {"now": None, "then": None, "parameters": None, "fits": None}
    if before is not None and after is not None:
        told = {
            "now": _told(before[0]),
            "then": _told(after[0]),
            "parameters": after[1].parameters,
            "fits": None if room is None else fits(after[0], room),
        }
    return {**told, "room_bytes": room, "held_bytes": held if on_cpu else None, "device": "cpu" if on_cpu else device()}


def _is_on_cpu(wish: str, present: str | None) -> bool:
    """Whether the next trainer uses the memory of this machine; a GPU's is the trainer's own to look at."""
    return wish == "cpu" or (wish == "auto" and present is not None and present.startswith("cpu"))


def _told(estimate: MemoryEstimate) -> dict[str, Any]:
    return {**asdict(estimate), "total": estimate.total}


def _resident_bytes(pid: int | None) -> int | None:
    # Loaded by whoever asks for it first.
    import psutil

    try:
        return None if pid is None else int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
