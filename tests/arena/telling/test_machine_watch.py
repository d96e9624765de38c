"""The machine is read beside the loop, seldom, and what it does not tell is null."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from arena.telling import machine_watch
from arena.telling.machine_watch import NO_GPU, MachineWatch


class Card:
    """A stand-in for NVIDIA's library with one card, as no machine of ours that runs tests has one."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        """What it raises."""

    def __init__(self, *, silent: bool = False, gone: bool = False) -> None:
        self.silent, self.gone, self.reads = silent, gone, 0

    def nvmlDeviceGetCount(self) -> int:
        self.reads += 1
        if self.gone:
            raise self.NVMLError("GPU is lost")
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"NVIDIA GeForce RTX 4090"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=5 << 30, total=24_564 << 20)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        if self.silent:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=97)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        return 61


async def test_a_card_is_told_in_round_numbers(tmp_path: Path) -> None:
    """F18: a card of 24 GB was shown as 23.98 of 24."""
    seen = await MachineWatch(tmp_path, os.getpid, Card()).fresh()
    assert seen["gpu"] == {
        "name": "NVIDIA GeForce RTX 4090", "utilization_pct": 97, "vram_used_gb": 5.0, "vram_total_gb": 24.0,
        "temperature_c": 61,
    }  # fmt: skip
    assert seen["machine"]["gpus"] == 1
    assert seen["machine"]["trainer_ram_gb"] > 0


async def test_what_a_card_does_not_tell_is_null_and_not_zero(tmp_path: Path) -> None:
    """G18: a failing nvidia-smi was shown as 0 %."""
    seen = await MachineWatch(tmp_path, lambda: None, Card(silent=True)).fresh()
    assert (seen["gpu"]["utilization_pct"], seen["gpu"]["temperature_c"]) == (None, 61)
    gone = await MachineWatch(tmp_path, lambda: None, Card(gone=True)).fresh()
    assert (gone["gpu"], gone["machine"]["gpus"], gone["machine"]["trainer_ram_gb"]) == (NO_GPU, None, None)
    assert machine_watch.NOT_READ["machine"]["gpus"] is None


async def test_many_who_ask_cause_one_reading(tmp_path: Path) -> None:
    card = Card()
    watch = MachineWatch(tmp_path, lambda: None, card)
    first = watch.view()
    assert first == machine_watch.NOT_READ, "the loop does not wait for it"
    seen = await watch.fresh()
    assert seen["machine"]["cpu_percent"] is None, "of what time?"
    assert 0 < seen["machine"]["ram_used_gb"] <= seen["machine"]["ram_total_gb"]
    for _ in range(50):
        assert await watch.fresh() is watch.view() is seen
    assert card.reads == 1


async def test_the_processor_is_read_over_the_time_since_the_last_look_whoever_took_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F18: psutil's own percentage is 0 whenever a thread of the pool asks that has not asked before."""
    monkeypatch.setattr(machine_watch, "READ_SECONDS", 0.0)
    watch = MachineWatch(tmp_path, lambda: None, Card())
    await watch.fresh()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    with ThreadPoolExecutor(1) as strangers:
        asyncio.get_running_loop().set_default_executor(strangers)
        seen = await watch.fresh()
        assert 100 / seen["machine"]["cores"] / 4 < seen["machine"]["cpu_percent"] <= 100


async def test_a_base_directory_that_is_gone_leaves_the_rest(tmp_path: Path) -> None:
    seen = await MachineWatch(tmp_path / "gone", lambda: 2**30, Card(gone=True)).fresh()
    assert (seen["machine"]["disk_free_gb"], seen["machine"]["trainer_ram_gb"]) == (None, None)
    assert seen["machine"]["ram_total_gb"] > 0
