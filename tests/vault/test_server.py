"""`vault/server.py`: the API of a vault without a realm, as the seed starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from core.paths import CHECKOUT, RealmPaths
from tests.vault.catalog.assets import EARLY, furnish
from tests.waiting import wait_until
from vault.client import VaultKeeperClient
from vault.manifest import check_manifest

COMMAND = [sys.executable, str(CHECKOUT / "vault" / "server.py"), "--port", "0"]
HEAVY = (
    "torch", "transformers", "accelerate", "peft", "tokenizers", "huggingface_hub", "numpy", "jinja2",
    "watchdog", "zstandard",
)  # fmt: skip
"""What a host that does not train goes without."""
LIGHT = f"import sys; sys.modules.update(dict.fromkeys({HEAVY!r})); import realm; realm.main()"
# As a script it finds its siblings first; the rooms are found by their installation, which here is this checkout.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}


@contextmanager
def running(command: list[str], paths: RealmPaths) -> Iterator[str]:
    """The address of the vault that a command serves; it ends in order at the end of the block."""
    process = subprocess.Popen([*command, "--base-dir", str(paths.base)], stderr=subprocess.PIPE, env=ENVIRONMENT)
    try:
        wait_until(lambda: paths.services.exists() or process.poll() is not None, 30, "the vault never answered")
        assert process.poll() is None, process.communicate()[1].decode()
        yield str(json.loads(paths.services.read_text())["vault"]["url"])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr is not None
        process.stderr.close()


@pytest.fixture
def url(paths: RealmPaths) -> Iterator[str]:
    furnish(paths)
    with running(COMMAND, paths) as url:
        yield url


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


def test_on_a_host_without_torch_it_is_served_by_a_verb(
    paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """G21: a server that crashes for want of a package. Law 5: torch lives in trainers only."""
    furnish(paths)
    with running([sys.executable, "-c", LIGHT, "serve", "vault", "--port", "0"], paths) as url:
        client = VaultKeeperClient(url)
        wait_until(lambda: client.locate("checkpoint_1000").found, 20, "its directory was never looked at")
        here = client.ensure_local("checkpoint_1000", tmp_path_factory.mktemp("here"))
        assert check_manifest(Path(here)) == []
        # What the scribe does for it goes without torch, too.
        assert {each["status"] for each in client.verify("checkpoint_1000")} == {"verified"}
