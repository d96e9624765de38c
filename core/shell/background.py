"""Starts a realm that goes on without its terminal, and returns once its page answers."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.cli import Interrupted
from core.errors import RealmError, Unavailable
from core.instance import InstanceLock
from core.paths import CHECKOUT, RealmPaths
from core.services import read_services
from core.systemd.unit import up_command

LOG_NAME = "up.log"
LAST_LINES = 12
POLL_SECONDS = 0.05
ANSWER_SECONDS = 5.0


def start_realm(
    paths: RealmPaths, *, ports: str | None = None, wait_seconds: float, env: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """`realm up` in the background; `ports` as `services.ports`. Returns and raises as `start_in_background` does."""
    command = [*up_command(paths.base), "--quiet", *(["--ports", ports] if ports else [])]
    return start_in_background(paths, command, wait_seconds=wait_seconds, env=env)


def how_it_goes_on(paths: RealmPaths, started: Mapping[str, Any]) -> str:
    """For people: where what `start_realm` has returned is found, and how it is ended."""
    addresses = [f"  {name:<10} {url}" for name, url in started["services"].items()]
    return "\n".join([
        f"The realm is up in the background (pid {started['pid']}).",
        *addresses,
        f"  output     {started['log']}",
        f"It ends with `realm down --base-dir {shlex.quote(str(paths.base))}`.",
    ])  # fmt: skip


def start_in_background(
    paths: RealmPaths, command: Sequence[str], *, wait_seconds: float, env: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Run `command` in a session of its own with `logs/up.log` as its output; returns `{pid, services, log}`.

    There is no fixed delay (failure B27): it returns when the page answers, or as soon as the process has ended.
    Raises `Conflict` when a realm runs here already, `RealmError` with the process' last words when it ended, and
    `Unavailable` when it does not answer in time; it then still goes on. Interrupted, it ends what it has started.
    """
    InstanceLock.refuse_if_held(paths.lock)
    paths.create()
    log = paths.logs / LOG_NAME
    if log.exists():
        log.replace(log.with_name(f"{LOG_NAME}.1"))
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(paths, process, log, wait_seconds)
    except (Interrupted, KeyboardInterrupt):  # who asked for the start takes it back
        process.send_signal(signal.SIGTERM)
        raise
    finally:
        # A caller that lives on, a notebook for example, must not keep a zombie once the realm has ended.
        threading.Thread(target=process.wait, daemon=True).start()
    return {"pid": process.pid, "services": _urls(paths, process.pid), "log": str(log)}


def _wait(paths: RealmPaths, process: subprocess.Popen[bytes], log: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while not _answers(_urls(paths, process.pid)):
        code = process.poll()
        if code is not None:
            how = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with exit code {code}"
            raise RealmError(f"The realm did not come up: {how}.{_last_words(log)}", log=str(log), exit_code=code)
        if time.monotonic() > deadline:
            raise Unavailable(
                f"The realm (pid {process.pid}) does not answer after {wait_seconds:g} s and goes on trying."
                f"{_last_words(log)}",
                hint="`realm logs --follow` shows what it does, `realm down` ends it.",
                log=str(log),
                pid=process.pid,
            )
        time.sleep(POLL_SECONDS)


def _urls(paths: RealmPaths, pid: int) -> dict[str, str]:
    return {name: str(entry["url"]) for name, entry in read_services(paths).items() if entry["pid"] == pid}


def _answers(urls: Mapping[str, str]) -> bool:
    if "tavern" not in urls:
        return False
    # Loaded once there is somebody to ask.
    import httpx

    try:
        httpx.get(f"{urls['tavern']}/health", timeout=ANSWER_SECONDS, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def _last_words(log: Path) -> str:
    """What the process has printed, indented; it began the file."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return "".join(f"\n  {line}" for line in lines) if lines else f" It printed nothing; see {log.parent}."
