"""Several hosts on one machine: a directory and a port for each, one registry, and officers as real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from core.paths import CHECKOUT, RealmPaths
from tests.waiting import wait_until

ROLES = {"4090": "trainer", "3090": "inference", "nas": "storage", "attic": "storage", "cellar": "storage"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Posts:
    """The three hosts of the seed and two more, below one folder."""

    folder: Path
    ports: dict[str, int] = field(default_factory=lambda: {name: free_port() for name in ROLES})
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ROLES:
            paths = self.paths(name)
            paths.configs.mkdir(parents=True)
            paths.hosts_file.write_text(yaml.safe_dump({"hosts": self.hosts(), "local_host": name}, sort_keys=False))

    def hosts(self) -> dict[str, Any]:
        return {
            name: {"name": f"host {name}", "host": "127.0.0.1", "role": role, "base_dir": str(self.folder / name),
                   "services": {"branch": self.ports[name]}}
            for name, role in ROLES.items()
        }  # fmt: skip

    def paths(self, name: str) -> RealmPaths:
        return RealmPaths(self.folder / name)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def open(self, name: str, *more: str, **env: str) -> subprocess.Popen[bytes]:
        """Start the officer of a host, and wait until it answers."""
        command = [sys.executable, "-m", "vault.branch_officer", "--zone", name, "--port", str(self.ports[name]),
                   "--base-dir", str(self.folder / name), *more]  # fmt: skip
        log = (self.folder / f"{name}.log").open("ab")
        process = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **env}, stdout=log, stderr=log)
        log.close()
        self.running[name] = process
        wait_until(
            lambda: self.answers(name) or process.poll() is not None, 90, f"the officer of {name} never answered"
        )
        assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        return process

    def answers(self, name: str) -> bool:
        try:
            told = httpx.get(f"{self.url(name)}/health", trust_env=False, timeout=2.0)
        except httpx.HTTPError:
            return False
        return told.status_code == 200

    def close(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            process.wait(20)
