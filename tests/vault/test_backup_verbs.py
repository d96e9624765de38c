"""Backups for people and programs: `realm vault backup|backups|restore|purge`, and `/api/backups` of a living realm."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from arena.hall.standing import standing_still
from core.checkpoint_ledger import CheckpointLedger
from core.cli import Choices
from core.errors import Conflict
from core.instance import REALM_UP, InstanceLock
from core.paths import RealmPaths
from core.services import write_services
from core.settings import RetentionSettings
from realm import Realm
from tests.serving import serving
from tests.vault.catalog.assets import EARLY, furnish
from vault import StorageRegistry, StrongholdType
from vault.answers import Backup, Backups, Pruned
from vault.checkpoints import CheckpointStore
from vault.retention import Pin
from vault.routes import treasury_routes
from vault.treasury import Treasury
from vault.treasury_cli import vault_app


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    return furnish(paths)


def no_pins(paths: RealmPaths) -> dict[Path, Pin]:
    return {}


def ask(paths: RealmPaths, *arguments: str, as_json: bool = False) -> Result:
    return CliRunner().invoke(vault_app(no_pins, standing_still), list(arguments), obj=Choices(paths, as_json))


def ask_json(paths: RealmPaths, *arguments: str) -> Any:
    result = ask(paths, *arguments, as_json=True)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_backup_is_made_read_again_brought_back_and_deleted_by_verbs(
    paths: RealmPaths, store: CheckpointStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nas = tmp_path_factory.mktemp("nas")
    StorageRegistry(paths.base).register_stronghold("nas", StrongholdType.NAS, base_path=nas)
    foretold = ask_json(paths, "backup", "checkpoint_1000", "--to", "nas", "--dry-run")
    assert (foretold["asset_id"], list(nas.iterdir())) == ("checkpoint_1000", [])
    made = ask_json(paths, "backup", "1000", "--to", "nas", "--reason", "a test")
    Backup.model_validate(made)
    assert (made["reason"], made["asset_name"]) == ("a test", EARLY)
    assert made["name"] in ask(paths, "backups").stdout
    assert ask_json(paths, "backups", "--verify", "all") == {"ok": True, "problems": {made["name"]: []}}
    shutil.rmtree(store.root / EARLY)
    assert "/branches/restored-" in ask_json(paths, "restore", "1000", "--dry-run")["path"]
    text = ask(paths, "restore", "1000").stdout
    assert f"`realm rewind {EARLY}` makes it the present one." in text
    assert [each.name for each in store.branches()] == [EARLY]
    told = ask_json(paths, "purge", made["name"], "--dry-run")
    Pruned.model_validate(told)
    assert [each["name"] for each in told["deleted"]] == [made["name"]]
    assert ask(paths, "purge", made["name"]).stdout.splitlines()[1] == f"  {made['name']} (nas): It was named."
    assert ask_json(paths, "backups") == []
    assert "no backups yet" in ask(paths, "backups").stdout


def test_a_damaged_backup_makes_an_exit_code(paths: RealmPaths, store: CheckpointStore) -> None:
    made = ask_json(paths, "backup", "latest")
    (Path(made["path"]) / made["asset_name"] / "model.safetensors").write_text("x")
    result = ask(paths, "backups", "--verify", made["name"])
    assert (result.exit_code, "model.safetensors has 1 bytes" in result.stdout) == (1, True)


def test_a_purge_needs_to_be_told_what(paths: RealmPaths, store: CheckpointStore) -> None:
    ask_json(paths, "backup", "latest")
    result = ask(paths, "purge")
    assert isinstance(result.exception, Conflict)
    assert "--keep or --older-than" in str(result.exception)
    told = ask(paths, "purge", "--keep", "0").stdout
    assert "No backup goes.\nHeld:" in told
    assert "It is younger than 36 h." in told


async def test_beside_a_living_realm_it_is_the_realm_that_purges(paths: RealmPaths, store: CheckpointStore) -> None:
    """DESIGN section 8: its settings and pins count."""
    made = await asyncio.to_thread(ask_json, paths, "backup", "data_train_syllo_abc")
    treasury = Treasury(paths, CheckpointLedger.of(paths), RetentionSettings)
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": REALM_UP, "base_dir": str(paths.base)})
    try:
        async with serving(treasury_routes(treasury), service="vault_keeper") as visitor:
            site = visitor.site
            write_services(paths, {"vault": {"url": site.url, "port": site.port, "pid": os.getpid()}})
            listed = (await visitor.get("/api/backups")).body
            Backups.model_validate(listed)
            assert [each["name"] for each in listed["backups"]] == [made["name"]]
            told = await asyncio.to_thread(ask_json, paths, "purge", made["name"])
            assert [each["name"] for each in told["deleted"]] == [made["name"]]
            assert (await visitor.get("/api/backups")).body["count"] == 0
            assert (await visitor.post("/api/backups/purge", {"names": ["nothing"]})).status == 404
    finally:
        lock.release()


def test_the_facade_has_keeper_archivist_and_chronicle(paths: RealmPaths, store: CheckpointStore) -> None:
    vault = Realm(paths.base).vault
    seal = vault.archivist.seal("checkpoint_1000")
    assert vault.keeper.locate("checkpoint_1000").found
    assert [each.name for each in vault.archivist.seals()] == [seal.name]
    assert vault.chronicle.find("1000").name == EARLY
    vault.close()
