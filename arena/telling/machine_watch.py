"""What the machine is busy with: processor, memory, disk and GPU, read beside the event loop while somebody looks.

What cannot be told is null: no GPU is not one that does nothing (failure G18).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

READ_SECONDS = 5.0
"""How old a reading may be when it is shown."""
GB = 1e9
GIB = 1 << 30
NO_GPU: dict[str, Any] = {
    "name": None, "utilization_pct": None, "vram_used_gb": None, "vram_total_gb": None, "temperature_c": None,
}  # fmt: skip
NOT_READ: dict[str, Any] = {
    "gpu": NO_GPU,
    "machine": {
        "cpu_percent": None, "cores": None, "ram_used_gb": None, "ram_total_gb": None, "disk_used_gb": None,
        "disk_free_gb": None, "disk_total_gb": None, "realm_ram_gb": None, "trainer_ram_gb": None, "gpus": None,
    },
}  # fmt: skip


class MachineWatch:
    """One per daemon; reads when it is asked, and not more often than once in `READ_SECONDS`."""

    def __init__(self, base: Path, trainer_pid: Callable[[], int | None], nvml: Any = None) -> None:
        """`nvml` stands in for the module `pynvml`, which is loaded on the first look otherwise."""
        self._base = base
        self._trainer_pid = trainer_pid
        self._nvml = nvml
        self._nvml_is_known = nvml is not None
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._seen = NOT_READ
        self._cpu_before: tuple[float, float] | None = None

    async def fresh(self) -> dict[str, Any]:
        """`{"gpu", "machine"}`, not older than `READ_SECONDS`."""
        self._begin_reading()
        if self._reading is not None:
            await asyncio.shield(self._reading)
        return self._seen

    def view(self) -> dict[str, Any]:
        """What was read last; has it read anew where that was long ago."""
        self._begin_reading()
        return self._seen

    def _begin_reading(self) -> None:
        if self._reading is None and time.monotonic() - self._read_at >= READ_SECONDS:
            self._reading = asyncio.create_task(self._read_beside(), name="machine watch")

    async def _read_beside(self) -> None:
        try:
            self._seen = await asyncio.to_thread(self._read)
        except (OSError, RuntimeError) as error:  # such as a `/proc` that is closed to us
            logger.warning("the machine is not read: %s", error, extra={"event": "machine_unread"})
            self._seen = NOT_READ
        finally:
            self._read_at, self._reading = time.monotonic(), None

    def _read(self) -> dict[str, Any]:
        # Loaded on use, as by `arena.telling.metrics`.
        import psutil

        memory = psutil.virtual_memory()
        disk = shutil.disk_usage(self._base) if self._base.is_dir() else None
        gpus, count = self._read_gpus()
        return {
            "gpu": gpus[0] if gpus else NO_GPU,
            "machine": {
                "cpu_percent": self._cpu_percent(psutil),
                "cores": os.cpu_count(),
                "ram_used_gb": _tenths((memory.total - memory.available) / GIB),
                "ram_total_gb": _tenths(memory.total / GIB),
                "disk_used_gb": _tenths(disk.used / GB) if disk is not None else None,
                "disk_free_gb": _tenths(disk.free / GB) if disk is not None else None,
                "disk_total_gb": _tenths(disk.total / GB) if disk is not None else None,
                "realm_ram_gb": _resident(psutil, os.getpid()),
                "trainer_ram_gb": _resident(psutil, self._trainer_pid()),
                "gpus": count,
            },
        }

    def _cpu_percent(self, psutil: Any) -> int | None:
        """Over the time since the reading before; None of the first one.

        Not `psutil.cpu_percent`: that keeps the reading before for each thread by itself, and tells 0 in a thread that
        asks for the first time.
        """
        times = psutil.cpu_times()
        # Time of guests is part of `user` and `nice` already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        before, self._cpu_before = self._cpu_before, (total, idle)
        if before is None or total <= before[0]:
            return None
        busy = 1.0 - float(idle - before[1]) / float(total - before[0])
        return round(100 * min(1.0, max(0.0, busy)))

    def _read_gpus(self) -> tuple[list[dict[str, Any]], int | None]:
        """What each tells, and how many there are, None where nobody can tell."""
        if not self._nvml_is_known:
            self._nvml, self._nvml_is_known = _load_nvml(), True
        if self._nvml is None:
            return [], 0
        try:
            handles = [self._nvml.nvmlDeviceGetHandleByIndex(index) for index in range(self._nvml.nvmlDeviceGetCount())]
        except self._nvml.NVMLError as error:  # a driver that was taken away, or a card that fell off the bus
            logger.warning("the GPUs are not read: %s", error, extra={"event": "gpu_unread"})
            return [], None
        return [_read_gpu(self._nvml, handle) for handle in handles], len(handles)


def _load_nvml() -> Any:
    """NVIDIA's library, ready to be asked; None on machines without their driver."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        logger.info("no GPU is watched: pip install nvidia-ml-py shows it", extra={"event": "no_gpu"})
        return None
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        logger.info("no GPU is watched: %s", error, extra={"event": "no_gpu"})
        return None
    return nvml


def _read_gpu(nvml: Any, handle: Any) -> dict[str, Any]:
    """Some cards do not tell all of it; in a partition (MIG), how busy it is is told by none."""
    found = dict(NO_GPU)
    with suppress(nvml.NVMLError):
        name = nvml.nvmlDeviceGetName(handle)
        found["name"] = name.decode() if isinstance(name, bytes) else name
    with suppress(nvml.NVMLError):
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        # A card of 24 GB tells of 23.98 (F18).
        found["vram_used_gb"], found["vram_total_gb"] = _tenths(memory.used / GIB), _tenths(memory.total / GIB)
    with suppress(nvml.NVMLError):
        found["utilization_pct"] = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with suppress(nvml.NVMLError):
        found["temperature_c"] = int(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))
    return found


def _resident(psutil: Any, pid: int | None) -> float | None:
    if pid is None:
        return None
    try:
        return round(float(psutil.Process(pid).memory_info().rss) / GIB, 2)
    except psutil.Error:
        return None


def _tenths(number: float) -> float:
    return round(number, 1)
