"""What the guide of the first version tells people to type works as it stands there (`seed_snippets`).

Two hosts on one machine: the trainer with the sites of a whole realm, and the inference host with its branch officer,
which is started as the guide says. Only addresses, ports and paths are those of the test.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import psutil
import pytest

from core.paths import CHECKOUT, RealmPaths
from tests.idle_realm import served_realm
from tests.vault.making import publish
from tests.vault.seed_snippets import (
    BRANCH_TABLE,
    CURL,
    HOSTS,
    INFERENCE,
    NEW,
    OFFICER,
    OLD,
    PYTHON,
    SERVER,
    TRAINER,
    VAULT_TABLE,
    Call,
    Row,
    Snippet,
)
from tests.waiting import wait_until
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest

FILLED = {"{asset_id}": "checkpoint_175000", "{step}": "190000", "type=X": "type=checkpoint"}


@dataclass
class Stage:
    """The two hosts, and what the sessions of Python on them know by now."""

    folder: Path
    vault_port: int
    officer_port: int
    sessions: dict[str, dict[str, Any]]

    @property
    def training(self) -> Path:
        return self.folder / "training"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    def base(self, host: str) -> Path:
        return self.training if host == TRAINER else self.models

    def adapted(self, text: str) -> str:
        """With addresses, ports and paths of this test."""
        own = {
            "192.168.x.x:8767": f"127.0.0.1:{self.vault_port}",
            "localhost:8767": f"localhost:{self.vault_port}",
            "--port 8768": f"--port {self.officer_port}",
            "/path/to/training": str(self.training),
            "/path/to/models": str(self.models),
            "/tmp/local_copy": str(self.folder / "local_copy"),
            "logs/": f"{self.folder}/",
            "192.168.x.x": "127.0.0.1",
        }
        for theirs, ours in own.items():
            text = text.replace(theirs, ours)
        return text

    def environment(self, base: Path) -> dict[str, str]:
        """Of a shell on a host: `python3` is that of the installation, whose rooms are those of this checkout."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(CHECKOUT), "HOME": str(self.folder), "REALM_BASE_DIR": str(base)}
        return {**os.environ, **own}

    def holds(self, expression: str, names: dict[str, Any]) -> bool:
        more = {"training": str(self.training), "models": str(self.models), "whole": whole}
        return bool(eval(expression, {**names, **more}))


def whole(path: str) -> bool:
    return check_manifest(Path(path)) == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False


def name_hosts(stage: Stage) -> None:
    """The guide's own registry, with the ports of this test and what it tells elsewhere of the inference host."""
    told = json.loads(stage.adapted(HOSTS))
    for name in ("vault", "ledger", "training"):
        told["hosts"][TRAINER]["services"][name]["port"] = stage.vault_port
    told["hosts"][INFERENCE]["services"]["branch"] = stage.officer_port
    told["hosts"][INFERENCE]["models_dir"] = str(stage.models)
    for host in (TRAINER, INFERENCE):
        configs = RealmPaths(stage.base(host)).configs
        configs.mkdir(parents=True, exist_ok=True)
        (configs / "hosts.json").write_text(json.dumps({**told, "local_host": host}))


@contextmanager
def officer(stage: Stage) -> Iterator[None]:
    """The branch officer of the inference host, for as long as the block lasts."""
    command, log = stage.adapted(OFFICER), stage.folder / "officer.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=CHECKOUT, env=stage.environment(CHECKOUT), stdout=output,
            stderr=output,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{stage.officer_port}"
        wait_until(lambda: answers(url) or process.poll() is not None, 30, "the officer never answered")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("hosts")
    paths = RealmPaths(folder / "training")
    paths.create()
    store = CheckpointStore(paths.current_model)
    publish(store, OLD, train_loss=0.125)
    publish(store, NEW, "newer weights", train_loss=0.432)
    with served_realm(paths.base) as sites:
        (vault,) = (site for site in sites if site.name == "vault")
        sessions = {host: {"base_dir": str(folder / "training")} for host in (TRAINER, INFERENCE)}
        stage = Stage(folder, vault.port, free_port(), sessions)
        name_hosts(stage)
        with officer(stage):
            yield stage
        for session in sessions.values():
            # The guide closes nothing; a script that ends does.
            if "keeper" in session:
                session["keeper"].close()


@pytest.mark.parametrize("snippet", PYTHON, ids=lambda snippet: f"{snippet.host}-{snippet.line}")
def test_python_of_the_guide_runs_as_it_is_written(
    snippet: Snippet, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """G3, G4, G6, G20: one piece after the other, as in one session of Python on each host."""
    monkeypatch.setenv("REALM_BASE_DIR", str(stage.base(snippet.host)))
    monkeypatch.setenv("HOME", str(stage.folder))
    monkeypatch.delenv("REALM_TOKEN", raising=False)
    session = stage.sessions[snippet.host]
    exec(compile(stage.adapted(snippet.text), f"seed003:{snippet.line}", "exec"), session)
    places = {"training": str(stage.training), "models": str(stage.models)}
    assert capsys.readouterr().out.splitlines() == [line.format(**places) for line in snippet.prints]
    for expression in snippet.holds:
        assert stage.holds(expression, session), expression


@pytest.mark.parametrize("call", CURL, ids=lambda call: str(call.line))
def test_curl_lines_of_the_guide_run_as_they_are_written(call: Call, stage: Stage) -> None:
    """G20: in bash, without a quote."""
    assert which("curl"), "curl is missing; on Debian: sudo apt-get install curl"
    done = subprocess.run(
        ["bash", "-c", stage.adapted(call.text)], env=stage.environment(stage.folder), capture_output=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    assert stage.holds(call.holds, {"told": json.loads(done.stdout)}), done.stdout


@pytest.mark.parametrize("row", [*VAULT_TABLE, *BRANCH_TABLE], ids=lambda row: f"{row.line}-{row.method}-{row.path}")
def test_every_row_of_the_tables_of_endpoints_is_true(row: Row, stage: Stage) -> None:
    """G20: an endpoint that only stands in a document."""
    is_of_the_vault = row in VAULT_TABLE
    path = row.path.replace("{id}", INFERENCE if is_of_the_vault else "checkpoint_175000")
    for theirs, ours in FILLED.items():
        path = path.replace(theirs, ours)
    url = f"http://127.0.0.1:{stage.vault_port if is_of_the_vault else stage.officer_port}{path}"
    body = row.body if row.method == "POST" else None
    answer = httpx.request(row.method, url, json=body, trust_env=False, timeout=20.0)
    assert answer.status_code == 200, answer.text
    assert stage.holds(row.holds, {"told": answer.json()}), answer.text


def test_the_vault_alone_starts_in_the_background_as_the_guide_has_it(stage: Stage) -> None:
    """T:397."""
    port, base = free_port(), stage.folder / "alone"
    base.mkdir()
    command = stage.adapted(SERVER).replace("8767", str(port))
    # The shell stays, as that of a person does.
    shell = subprocess.Popen(
        ["bash", "-c", f"{command}\necho $!\nwait"], cwd=CHECKOUT, env=stage.environment(base), stdout=subprocess.PIPE
    )
    assert shell.stdout is not None
    with shell, shell.stdout as told:
        process = psutil.Process(int(told.readline()))
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}"), 30, "the vault never answered")
        finally:
            process.send_signal(signal.SIGTERM)
            shell.wait(20)
    assert f"http://127.0.0.1:{port}" in (stage.folder / "vault_keeper.log").read_text()
