"""Which of this realm's services listen where: `status/services.json`, `{name: {url, port, pid, started}}`."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from core.files import DISK, Files, read_json
from core.paths import RealmPaths
from core.processes import is_alive, start_mark
from core.tasks import TaskCrew

logger = logging.getLogger(__name__)

STARTED = "started"
"""When the process began (`core.processes.start_mark`); null where the system does not tell."""


def write_services(paths: RealmPaths, entries: Mapping[str, Mapping[str, Any]], *, files: Files = DISK) -> None:
    """Publish our services; those of other living processes stay, those of dead ones go."""
    others = living_services(paths)
    mine = {name: {**entry, STARTED: start_mark(entry["pid"])} for name, entry in entries.items()}
    files.write_json(paths.services, {**others, **mine}, durable=False)


def publish_services(
    paths: RealmPaths, entries: Mapping[str, Mapping[str, Any]], crew: TaskCrew, *, retry_seconds: float = 5.0
) -> OSError | None:
    """`write_services`; when the disk refuses, say why and go on trying among the `crew`.

    A realm pauses on a full disk and goes on by itself; it does not refuse to start.
    """
    try:
        write_services(paths, entries)
    except OSError as error:
        logger.warning("%s is not written: %s", paths.services, error, extra={"event": "services_unwritten"})
        crew.start("address book", functools.partial(_publish_late, paths, entries, retry_seconds))
        return error
    return None


async def _publish_late(paths: RealmPaths, entries: Mapping[str, Mapping[str, Any]], retry_seconds: float) -> None:
    published = False
    while not published:
        await asyncio.sleep(retry_seconds)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(write_services, paths, entries)
            published = True
    await asyncio.Event().wait()


def read_services(paths: RealmPaths) -> dict[str, dict[str, Any]]:
    """Every entry as written, whether its process lives or not; `{}` when the file is missing or torn."""
    raw = read_json(paths.services)
    if not isinstance(raw, dict):
        return {}
    return {
        name: entry for name, entry in raw.items() if isinstance(entry, dict) and {"url", "port", "pid"} <= set(entry)
    }


def remove_services(paths: RealmPaths, *, pid: int | None = None, files: Files = DISK) -> None:
    """Withdraw the services of `pid` (default: this process); the last one to go takes the file with it."""
    leaving = os.getpid() if pid is None else pid
    staying = {name: entry for name, entry in read_services(paths).items() if entry["pid"] != leaving}
    if staying:
        files.write_json(paths.services, staying, durable=False)
    elif paths.services.exists():
        files.unlink(paths.services)


def living_services(paths: RealmPaths) -> dict[str, dict[str, Any]]:
    """The entries whose processes live."""
    return {name: entry for name, entry in read_services(paths).items() if _serves(entry)}


def service_url(paths: RealmPaths, name: str) -> str | None:
    """The address of a service whose process lives, such as `http://127.0.0.1:8767`; else None."""
    entry = read_services(paths).get(name)
    return str(entry["url"]) if entry and _serves(entry) else None


def _serves(entry: Mapping[str, Any]) -> bool:
    """Whether the process that wrote the entry lives, and its pid was not given out again (after a power cut)."""
    pid, started = entry["pid"], entry.get(STARTED)
    return is_alive(pid) and (started is None or start_mark(pid) in (None, started))


def describe_port_holder(port: int) -> str:
    """Who listens on a TCP port of this machine, for people: `pid 123 (python realm.py up)`."""
    # Loaded only when a port is busy: the control process starts faster without it.
    import psutil

    try:
        listeners = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
    except (psutil.Error, OSError):  # /proc is hidden from this user
        listeners = []
    return name_listener(listeners)


def name_listener(pids: Sequence[int | None]) -> str:
    """Whoever listens, for the end of a sentence; None stands for a process that the system does not let us see."""
    import psutil

    if not pids:
        return "a process that cannot be seen from here (in a container, or hidden by the system)"
    pid = next((pid for pid in pids if pid is not None), None)
    if pid is None:
        return "a process of another user"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return f"pid {pid}"
    return f"pid {pid} ({command[:200]})"
