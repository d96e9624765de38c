"""A start loads what the first page needs, and nothing else: everything beside it is waited for by whoever looks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from core.paths import CHECKOUT

LATER = {
    "alembic", "apprise", "core.host_models", "core.hosts", "core.setting_docs", "httpx", "psutil", "rich", "ruamel",
    "tenacity", "vault.archivist", "vault.carrying", "vault.transfer.over_ssh", "vault.transfer.pull",
    "vault.transfer.source", "vault.zone_listing",
}  # fmt: skip
"""Loaded by whoever is asked for it first."""

START = """
import json, ssl, sys
from pathlib import Path
kept = ssl.SSLContext.set_default_verify_paths
from core.http.loading import load_aiohttp
load_aiohttp()
assert ssl.SSLContext.set_default_verify_paths is kept
import aiohttp.connector
assert aiohttp.connector._SSL_CONTEXT_VERIFIED.get_ca_certs() == []
import arena.daemon, arena.start_check, core.announcing, core.http.opening, core.systemd.herald, tavern.sites
import vault.rounds, vault.storage_watch, vault.zone_witnesses
from core.db import Database
from core.saga import MIGRATIONS
Database(Path(sys.argv[1]), MIGRATIONS).close()
print(json.dumps(sorted(sys.modules)))
"""


def test_nobody_waits_for_what_the_first_page_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, str(tmp_path / "saga.db")]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert LATER & set(json.loads(ended.stdout)) == set()


def test_up_is_known_without_the_other_verbs_and_they_are_without_it() -> None:
    for words, told in ((["up", "--help"], "--detach"), (["upp"], "Did you mean 'up'?"), (["--help"], "vault")):
        command = [sys.executable, "realm.py", *words]
        ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
        assert told in ended.stdout + ended.stderr
