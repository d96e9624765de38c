"""`realm vault stats|locate|scan|verify|rebuild`, with and without a living realm."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from arena.hall.standing import standing_still
from core.cli import Choices
from core.errors import NotFound
from core.instance import REALM_UP, VAULT_ALONE, InstanceLock
from core.paths import RealmPaths
from core.services import write_services
from tests.serving import serving
from tests.vault.catalog.assets import EARLY, LATE, furnish
from vault.catalog.catalog import Catalog
from vault.catalog.routes import catalog_routes
from vault.keeper import VaultKeeper
from vault.roots import Roots
from vault.treasury_cli import vault_app


@pytest.fixture(autouse=True)
def _furnished(paths: RealmPaths) -> None:
    furnish(paths)


@pytest.fixture(params=[REALM_UP, VAULT_ALONE])
async def living(paths: RealmPaths, request: pytest.FixtureRequest) -> AsyncIterator[VaultKeeper]:
    """The lock, the addresses and the API of a realm that is up, and of the vault alone on a NAS."""
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": request.param, "base_dir": str(paths.base)})
    try:
        with VaultKeeper(paths.base) as keeper:
            async with serving(catalog_routes(keeper, Roots.of(paths)), service="vault_keeper") as visitor:
                site = visitor.site
                write_services(paths, {"vault": {"url": site.url, "port": site.port, "pid": os.getpid()}})
                yield keeper
    finally:
        lock.release()


def ask(paths: RealmPaths, *arguments: str, as_json: bool = False) -> Result:
    return CliRunner().invoke(vault_app(lambda _: {}, standing_still), list(arguments), obj=Choices(paths, as_json))


def ask_json(paths: RealmPaths, *arguments: str) -> Any:
    result = ask(paths, *arguments, as_json=True)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def check(paths: RealmPaths) -> None:
    """What every verb answers, whether a realm lives or not."""
    assert f"local_vault: {paths.current_model / EARLY} (verified" in ask(paths, "locate", "checkpoint_1000").stdout
    assert ask_json(paths, "locate", LATE)["asset_id"] == "checkpoint_20000"
    missing = ask(paths, "locate", "checkpoint_100")
    assert (missing.exit_code, "no asset 'checkpoint_100'" in missing.stdout) == (1, True)
    assert ask_json(paths, "stats")["catalog"]["total_assets"] == 7
    assert "7 (1 backup, 2 checkpoint, 1 config" in ask(paths, "stats").stdout
    told = ask_json(paths, "scan", str(paths.models))
    assert told["asset_ids"] == ["model_qwen3_0.6b"]
    assert ask_json(paths, "verify", "latest")["verification_results"][0]["status"] == "verified"
    (paths.current_model / EARLY / "model.safetensors").write_text("rot")
    rotten = ask(paths, "verify", "checkpoint_1000")
    assert (rotten.exit_code, "model.safetensors has 3 bytes instead of" in rotten.stdout) == (1, True)
    shutil.rmtree(paths.current_model / LATE)
    assert ask(paths, "locate", "checkpoint_20000").exit_code == 1
    assert ask_json(paths, "rebuild")["total_assets"] == 6


def test_without_a_realm_the_verbs_look_at_the_disk_themselves(paths: RealmPaths) -> None:
    check(paths)
    assert "6 assets" in ask(paths, "rebuild").stdout


async def test_beside_a_living_realm_it_is_the_realm_that_changes_its_catalog(
    paths: RealmPaths, living: VaultKeeper
) -> None:
    """DESIGN section 8: verbs talk to the living holder's API."""
    await asyncio.to_thread(check, paths)
    assert living.stats()["total_assets"] == 6


def test_what_is_left_out_of_a_scan_is_told(paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("nas")
    shutil.copytree(paths.current_model / EARLY, folder / EARLY)
    (folder / EARLY / "MANIFEST.json").write_text((paths.current_model / LATE / "MANIFEST.json").read_text())
    text = ask(paths, "scan", str(folder)).stdout
    assert "0 assets are in" in text
    assert "its hashes differ" in text
    assert isinstance(ask(paths, "scan", str(folder / "none")).exception, NotFound)


def test_a_catalog_that_was_lost_is_made_anew(paths: RealmPaths) -> None:
    """DESIGN section 3: nothing is lost with it."""
    before = ask_json(paths, "rebuild")["assets_by_type"]
    shutil.rmtree(paths.catalog_db.parent)
    assert ask_json(paths, "locate", "checkpoint_1000")["found"]
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        assert catalog.stats()["assets_by_type"] == before


def test_a_path_is_one_of_where_the_verb_was_given(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(paths.base)
    assert ask_json(paths, "scan", "models")["scanned_path"] == str(Path(paths.base, "models"))
