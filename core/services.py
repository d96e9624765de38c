"""Which of this realm's services listen where: `status/services.json`, `{name: {url, port, pid}}`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from core.files import DISK, Files, read_json
from core.paths import RealmPaths
from core.processes import is_alive


def write_services(paths: RealmPaths, entries: Mapping[str, Mapping[str, Any]], *, files: Files = DISK) -> None:
    """Publish our services; those of other living processes stay, those of dead ones go."""
    others = {name: entry for name, entry in read_services(paths).items() if is_alive(entry["pid"])}
    mine = {name: dict(entry) for name, entry in entries.items()}
    files.write_json(paths.services, {**others, **mine}, durable=False)


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


def service_url(paths: RealmPaths, name: str) -> str | None:
    """The address of a service whose process lives, such as `http://127.0.0.1:8767`; else None."""
    entry = read_services(paths).get(name)
    return str(entry["url"]) if entry and is_alive(entry["pid"]) else None


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
    except psutil.AccessDenied:
        return "a process that this user may not see"
    if not listeners:
        return "no process that can be seen"
    pid = next((pid for pid in listeners if pid is not None), None)
    if pid is None:
        return "a process of another user"
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return f"pid {pid}"
    return f"pid {pid} ({command[:200]})"
