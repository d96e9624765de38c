"""`vault/server.py`: the API of a vault without a realm, as the seed starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from core.paths import CHECKOUT, RealmPaths
from tests.vault.catalog.assets import EARLY, furnish
from tests.waiting import wait_until
from vault.client import VaultKeeperClient
from vault.manifest import check_manifest

COMMAND = [sys.executable, str(CHECKOUT / "vault" / "server.py"), "--port", "0"]
# As a script it finds its siblings first; the rooms are found by their installation, which here is this checkout.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}


@pytest.fixture
def url(paths: RealmPaths) -> Iterator[str]:
    furnish(paths)
    process = subprocess.Popen([*COMMAND, "--base-dir", str(paths.base)], stderr=subprocess.PIPE, env=ENVIRONMENT)
    try:
        wait_until(lambda: paths.services.exists() or process.poll() is not None, 30, "the vault never answered")
        assert process.poll() is None, process.communicate()[1].decode()
        yield str(json.loads(paths.services.read_text())["vault"]["url"])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        process.stderr.close()


def test_it_answers_as_the_vault_of_a_realm_does(url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    client = VaultKeeperClient(url)
    wait_until(lambda: client.locate("checkpoint_1000").found, 20, "its directory was never looked at")
    assert httpx.get(f"{url}/health", trust_env=False).json()["service"] == "vault_keeper"
    assert httpx.get(f"{url}/api/ledger/latest", trust_env=False).json()["step"] == 20000
    here = client.ensure_local("checkpoint_1000", tmp_path_factory.mktemp("here"))
    assert (Path(here).name, check_manifest(Path(here))) == (EARLY, [])


def test_a_second_one_on_the_same_directory_is_refused(url: str, paths: RealmPaths) -> None:
    done = subprocess.run(
        [*COMMAND, "--base-dir", str(paths.base)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "is in use by process" in done.stderr
