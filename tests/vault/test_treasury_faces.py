"""The treasury for people and programs: `realm vault stats|prune`, `/api/treasury`, and what they say alike."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from arena.hall.standing import standing_still
from core.checkpoint_ledger import CheckpointLedger
from core.cli import Choices
from core.errors import Conflict, InvalidInput
from core.instance import REALM_UP, InstanceLock
from core.paths import CHECKOUT, RealmPaths
from core.saga import open_saga
from core.services import write_services
from core.settings import RetentionSettings
from realm import Realm
from tests.serving import serving
from tests.vault.making import publish
from vault.answers import Pruned, TreasuryStatus
from vault.checkpoints import CheckpointStore
from vault.retention import Pin, Protection
from vault.routes import treasury_routes
from vault.treasury import Treasury
from vault.treasury_cli import vault_app

BASE = "checkpoint-1000-20260101-0930"


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    """Four old checkpoints, of which the settings keep one to resume from."""
    store = CheckpointStore(paths.current_model)
    for step in (1000, 2000, 3000, 4000):
        told = {"timestamp": "2026-01-01T09:30:00+00:00", "milestone": True}
        publish(store, f"checkpoint-{step}-20260101-0930", more={"optimizer.pt": "x" * 5000}, **told)
    CheckpointLedger.of(paths).reconcile()
    paths.config_file.write_text("retention: {resumable: 1}\n")
    return store


def pins_of(paths: RealmPaths) -> dict[Path, Pin]:
    return {paths.current_model / BASE: Pin(Protection.SACRED, "It is the base model of the hero mira.")}


def ask(paths: RealmPaths, *arguments: str, as_json: bool = False) -> Result:
    return CliRunner().invoke(vault_app(pins_of, standing_still), list(arguments), obj=Choices(paths, as_json))


def ask_json(paths: RealmPaths, *arguments: str) -> Any:
    result = ask(paths, *arguments, as_json=True)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def steps_in(store: CheckpointStore) -> list[int]:
    return [found.step for found in store.list()]


def test_a_dry_run_explains_each_deletion_and_each_pin_and_deletes_nothing(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    text = ask(paths, "prune", "--dry-run").stdout
    assert re.search(r"^Would be deleted, oldest first; \d\.\d kB come free:$", text, re.MULTILINE)
    assert re.search(r"checkpoint-2000-20260101-0930 \(.* kB\): It is not one of the 1 newest checkpoints", text)
    assert f"{BASE} (sacred): It is the base model of the hero mira." in text
    assert "checkpoint-4000-20260101-0930 (protected): HEAD: the next start resumes from it." in text
    told = ask_json(paths, "prune", "--dry-run")
    Pruned.model_validate(told)
    assert [each["step"] for each in told["deleted"]] == [2000]
    assert told["freed_bytes"] == told["deleted"][0]["frees_bytes"] > 5000
    assert steps_in(store) == [1000, 2000, 3000, 4000]


def test_pruning_deletes_what_the_dry_run_said_and_tells_the_saga(paths: RealmPaths, store: CheckpointStore) -> None:
    with open_saga(paths):
        pass
    promised = ask_json(paths, "prune", "--dry-run")["deleted"]
    done = ask_json(paths, "prune")
    assert (done["deleted"], done["dry_run"]) == (promised, False)
    assert steps_in(store) == [1000, 3000, 4000]
    assert ask(paths, "prune").stdout.startswith("Nothing is beyond the limits.")
    with open_saga(paths) as saga:
        assert [event.kind for event in saga.latest_events(9)] == ["pruned"]


def test_stats_show_the_disk_and_every_kind(paths: RealmPaths, store: CheckpointStore) -> None:
    told = ask_json(paths, "stats")
    assert told.pop("catalog")["assets_by_type"] == {"checkpoint": 4, "config": 1}
    TreasuryStatus.model_validate(told)
    assert (told["checkpoint_count"], told["limit_gb"]) == (4, 150)
    text = ask(paths, "stats").stdout
    assert "4 (0.00 GB)" in text
    assert "GB in use" in text
    assert told["health"] in text


def test_beside_a_verb_that_changes_the_model_nothing_is_deleted(paths: RealmPaths, store: CheckpointStore) -> None:
    """A24: a rewind must not lose the checkpoint that it is about to go back to."""
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": "realm rewind 2000", "base_dir": str(paths.base)})
    result = ask(paths, "prune")
    lock.release()
    assert isinstance(result.exception, Conflict)
    assert "`realm rewind 2000`" in str(result.exception)
    assert steps_in(store) == [1000, 2000, 3000, 4000]


async def test_beside_a_living_realm_it_is_the_realm_that_prunes(paths: RealmPaths, store: CheckpointStore) -> None:
    """DESIGN section 8: verbs talk to the live holder's API; its settings and pins are the ones that count."""
    limits = RetentionSettings(resumable=3)
    treasury = Treasury(paths, CheckpointLedger.of(paths), lambda: limits)
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": REALM_UP, "base_dir": str(paths.base)})
    try:
        async with serving(treasury_routes(treasury), service="vault_keeper") as visitor:
            site = visitor.site
            write_services(paths, {"vault": {"url": site.url, "port": site.port, "pid": os.getpid()}})
            for arguments in (["prune", "--dry-run"], ["prune"]):
                told = await asyncio.to_thread(ask_json, paths, *arguments)
                assert [each["step"] for each in told["deleted"]] == [1000]
                assert told["dry_run"] is (arguments[-1] == "--dry-run")
    finally:
        lock.release()


async def test_the_api_tells_the_status_and_prunes(paths: RealmPaths, store: CheckpointStore) -> None:
    limits = RetentionSettings(resumable=3)
    treasury = Treasury(paths, CheckpointLedger.of(paths), lambda: limits)
    async with serving(treasury_routes(treasury), service="vault_keeper") as visitor:
        status = await visitor.get("/api/treasury")
        assert status.status == 200
        TreasuryStatus.model_validate(status.body)
        dry = await visitor.post("/api/treasury/prune", {"dry_run": True})
        Pruned.model_validate(dry.body)
        assert [each["step"] for each in dry.body["deleted"]] == [1000]
        assert steps_in(store) == [1000, 2000, 3000, 4000]
        done = await visitor.post("/api/treasury/prune", {})
        assert [each["step"] for each in done.body["deleted"]] == [1000]
        wrong = await visitor.post("/api/treasury/prune", {"dryrun": True})
        assert (wrong.status, wrong.body["error"]) == (400, InvalidInput.code)
    assert steps_in(store) == [2000, 3000, 4000]


def test_help_loads_nothing_that_the_verbs_need() -> None:
    """`realm --help` stays under 0.3 s."""
    code = (
        "import sys, vault.treasury_cli; vault.treasury_cli.vault_app(lambda paths: {}, None); "
        "print([m for m in ('httpx', 'blake3', 'pydantic', 'rich.table', 'vault.treasury') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_facade_has_the_treasury_with_the_pins_of_the_arena(paths: RealmPaths, store: CheckpointStore) -> None:
    (paths.configs / "heroes").mkdir()
    (paths.configs / "heroes" / "mira.yaml").write_text(json.dumps({"base_model": str(paths.current_model / BASE)}))
    treasury = Realm(paths.base).vault.treasury
    assert treasury.status()["checkpoint_count"] == 4
    assert [each.holding.step for each in treasury.plan(datetime(2099, 1, 1, tzinfo=UTC))] == [2000]
