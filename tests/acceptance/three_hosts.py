"""Three hosts of one realm on one machine, each with a directory, a home, an address of loopback and ports of its own:
the trainer as `realm up`, the others joined and started with the very commands of QUICKSTART, "Three machines"."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import yaml

from core.paths import CHECKOUT, RealmPaths
from tests.acceptance.living_realm import LivingRealm
from tests.waiting import wait_until

TRAINER, INFERENCE, NAS = "4090", "3090", "nas"
ADDRESSES = {TRAINER: "127.0.0.1", INFERENCE: "127.0.0.2", NAS: "127.0.0.3"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quickstart_commands() -> list[str]:
    """What is typed on each other machine: a directory is named, it joins, its officer starts."""
    text = (CHECKOUT / "QUICKSTART.md").read_text(encoding="utf-8")
    section = text.partition("\n## Three machines\n")[2].partition("\n## ")[0]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None, "QUICKSTART shows no commands for three machines"
    commands = found[1].splitlines()
    assert [command.split()[0] for command in commands] == ["export", "realm", "realm"]
    return commands


class ThreeHosts:
    """The hosts below one folder. All of them listen beyond loopback, so nothing goes without the token."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vault_port, self.officer_ports = free_port(), {INFERENCE: free_port(), NAS: free_port()}
        services = {"host": "0.0.0.0", "vault": self.vault_port, "tavern": free_port(), "watchtower": free_port()}
        self.trainer = LivingRealm(folder / TRAINER, services=services)
        self.trainer.paths.hosts_file.write_text(yaml.safe_dump(self._registry(), sort_keys=False))
        self._officers: dict[str, subprocess.Popen[bytes]] = {}

    def paths(self, host: str) -> RealmPaths:
        return RealmPaths(self.folder / host)

    @property
    def trainer_address(self) -> str:
        return f"{ADDRESSES[TRAINER]}:{self.vault_port}"

    def join(self, host: str) -> None:
        """As a new user does it, who is asked for the token and types it."""
        directory, join, _ = self._commands(host)
        ended = subprocess.run(
            ["bash", "-ec", f'realm() {{ "{sys.executable}" realm.py "$@"; }}\n{directory}\n{join}'], cwd=CHECKOUT,
            env=self.environment(host), input=self.trainer.paths.token_file.read_bytes(), capture_output=True,
            timeout=60, start_new_session=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr.decode()

    def open_officer(self, host: str) -> None:
        """Start the branch officer of a host, and wait until it answers."""
        directory, _, start = self._commands(host)
        with (self.folder / f"{host}.log").open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-ec", f'realm() {{ exec "{sys.executable}" realm.py "$@"; }}\n{directory}\n{start}'],
                cwd=CHECKOUT, env=self.environment(host),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._officers[host] = process
        url = f"http://{ADDRESSES[host]}:{self.officer_ports[host]}/health"

        def answers() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.get(url, trust_env=False, timeout=2.0).status_code == 200
            return False

        wait_until(lambda: answers() or process.poll() is not None, 30, f"the officer of {host} never answered")
        assert process.poll() is None, (self.folder / f"{host}.log").read_text()

    def kill9_officer(self, host: str) -> None:
        process = self._officers.pop(host)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def start(self, host: str, *words: str, **env: str) -> subprocess.Popen[str]:
        """Begin `realm WORDS` on a host."""
        return subprocess.Popen(
            [sys.executable, "realm.py", *words], cwd=CHECKOUT, env={**self.environment(host), **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def realm(self, host: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`realm WORDS` on a host."""
        with self.start(host, *words, **env) as process:
            out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    @contextmanager
    def linked_by(self, host: str, peer: str, service: str, url: str) -> Iterator[None]:
        """On `host`, what goes to a service of `peer` takes the way over `url`, a proxy on this machine."""
        file = self.paths(host).hosts_file
        text = file.read_text()
        told = yaml.safe_load(text)
        told["hosts"][peer]["services"][service]["port"] = int(url.rpartition(":")[2])
        told["hosts"][peer]["host"] = "127.0.0.1"
        file.write_text(yaml.safe_dump(told))
        try:
            yield
        finally:
            file.write_text(text)

    def environment(self, host: str) -> dict[str, str]:
        """Of somebody's shell on a host, with a home of its own: tokens of others are in none of these places."""
        home = self.folder / f"home-{host}"
        home.mkdir(exist_ok=True)
        foreign = ("REALM_TOKEN", "XDG_CONFIG_HOME", "REALM_HOST")
        own = {"HOME": str(home), "REALM_BASE_DIR": str(self.folder / host), "OMP_NUM_THREADS": "1"}
        return {**{name: value for name, value in os.environ.items() if name not in foreign}, **own}

    def close(self) -> None:
        for process in self._officers.values():
            process.terminate()
        for process in self._officers.values():
            process.wait(20)
        self.trainer.close()

    def _registry(self) -> dict[str, object]:
        """`examples/hosts.yaml`, as step 1 has it: with addresses, and which of them this is."""
        told = yaml.safe_load((CHECKOUT / "examples" / "hosts.yaml").read_text())
        for name, host in told["hosts"].items():
            host["host"] = ADDRESSES[name]
            for service, place in host["services"].items():
                if service in ("vault", "ledger", "training"):
                    place["port"] = self.vault_port
                elif service == "branch":
                    place["port"] = self.officer_ports.get(name, 9)
        return {**told, "local_host": TRAINER}

    def _commands(self, host: str) -> list[str]:
        own = {
            "/volume1/data/llm_training": str(self.folder / host),
            "192.168.1.10:8767": self.trainer_address,
            "--host 192.168.1.12": f"--host 0.0.0.0 --port {self.officer_ports[host]}",
            "--as nas": f"--as {host}",
            "--zone nas": f"--zone {host}",
            ".venv/bin/python": sys.executable,
        }
        commands = quickstart_commands()
        for theirs, ours in own.items():
            commands = [command.replace(theirs, ours) for command in commands]
        return commands
