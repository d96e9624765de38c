"""Machines with addresses of their own on one: network namespaces, joined by a switch whose cables can be pulled.

Root, or a system that lets everybody make namespaces, and iproute2 are needed. Nothing of the machine's own network is
touched; the namespaces go with the processes that hold them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from core.paths import CHECKOUT

NETWORK = "10.77.0"
"""Addresses of the machines, which nobody outside of their namespaces can reach."""
HOLD = ("unshare", "--net", "--", "sh", "-c", "echo ready; exec cat")
"""Holds a namespace until its standard input ends."""


@dataclass
class Machine:
    """One of them; its cable ends at the switch."""

    name: str
    number: int
    home: Path
    holder: subprocess.Popen[str]
    switch: subprocess.Popen[str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    def command(self, *words: str) -> list[str]:
        """The command line of something that runs on this machine."""
        return [*_inside(self.holder), *words]

    @property
    def env(self) -> Mapping[str, str]:
        """That of its user, who has no token but that of his realm."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("REALM_", "XDG_"))}
        return {**kept, "HOME": str(self.home), "PYTHONPATH": str(CHECKOUT)}

    def run(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=CHECKOUT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """Something that goes on running there, until the machine is switched off."""
        with log.open("ab") as output:
            process = subprocess.Popen(self.command(*words), cwd=CHECKOUT, env=self.env, stdout=output, stderr=output)
        self.running.append(process)
        return process

    def pull_cable(self, *, at_the_switch: bool = False) -> None:
        """The machine sees that its cable is pulled; `at_the_switch` it does not, and what it sends is lost."""
        change = ("nomaster",) if at_the_switch else ("down",)
        _configure(self.switch, "link", "set", self._port, *change)

    def plug_cable(self) -> None:
        _configure(self.switch, "link", "set", self._port, "master", "hub", "up")

    def connect(self) -> None:
        """Lay its cable."""
        pid = str(self.holder.pid)
        _configure(self.switch, "link", "add", "name", self._port, "type", "veth", "peer", "name", "eth0", "netns", pid)
        _configure(self.holder, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _configure(self.holder, "link", "set", device, "up")
        self.plug_cable()

    def switch_off(self) -> None:
        for process in self.running:
            process.terminate()
        for process in self.running:
            process.wait(30)

    @property
    def _port(self) -> str:
        return f"port{self.number}"


@contextmanager
def machines(folder: Path, names: Sequence[str]) -> Iterator[dict[str, Machine]]:
    """So many of them, with a home directory each, for as long as the block lasts."""
    holders: list[subprocess.Popen[str]] = []
    made: dict[str, Machine] = {}
    try:
        switch = _held(holders)
        _configure(switch, "link", "add", "name", "hub", "type", "bridge")
        _configure(switch, "link", "set", "hub", "up")
        for number, name in enumerate(names, start=1):
            home = folder / name / "home"
            home.mkdir(parents=True)
            made[name] = Machine(name, number, home, _held(holders), switch)
            made[name].connect()
        yield made
    finally:
        for machine in made.values():
            machine.switch_off()
        for holder in holders:
            holder.communicate()


def _held(holders: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    holder = subprocess.Popen(HOLD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holders.append(holder)
    assert holder.stdout is not None
    if holder.stdout.readline() != "ready\n":
        raise RuntimeError("This system lets nobody make a network namespace: run it as root.")
    return holder


def _inside(holder: subprocess.Popen[str]) -> list[str]:
    return ["nsenter", "--target", str(holder.pid), "--net", "--"]


def _configure(holder: subprocess.Popen[str], *words: str) -> None:
    subprocess.run([*_inside(holder), "ip", *words], check=True)
