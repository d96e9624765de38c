"""A transfer that gets nowhere ends by itself, says why, and makes room for others."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from core.errors import Conflict
from core.hosts import get_registry
from core.paths import RealmPaths
from tests.waiting import wait_until
from vault.branch.arrivals import MOST_AT_ONCE
from vault.branch.officer import BranchOfficer
from vault.catalog.catalog import Catalog
from vault.keeper import VaultKeeper
from vault.rounds import CatalogRounds
from vault.transfer.pull import PullOptions

HASTY = PullOptions(stall_seconds=0.02, retry_seconds=0.5, reserve_bytes=0)


def test_transfers_from_a_host_that_hangs_do_not_stand_in_the_way_for_ever(tmp_path: Path) -> None:
    """G14: jobs that ran on a host that was gone stayed `running`, and blocked all that came after them."""
    paths = RealmPaths(tmp_path)
    paths.configs.mkdir()
    # It takes connections, and never says a word.
    with socket.create_server(("127.0.0.1", 0)) as silent, Catalog.opened(tmp_path / "catalog.db", tmp_path) as catalog:
        host = {"host": "127.0.0.1", "role": "trainer", "services": {"vault": silent.getsockname()[1]}}
        paths.hosts_file.write_text(yaml.safe_dump({"hosts": {"4090": host}}))
        officer = BranchOfficer("nas", tmp_path, catalog, lambda: get_registry(paths, {}), lambda: None, HASTY)

        def receive(number: int) -> str:
            told = officer.receive(f"checkpoint_{number}", "checkpoint", f"checkpoint-{number}", "4090")
            return str(told["transfer_id"])

        begun = [receive(number) for number in range(MOST_AT_ONCE)]
        assert receive(0) == begun[0], "asked for again, it is the same one"
        with pytest.raises(Conflict, match="transfers run already"):
            receive(99)
        wait_until(lambda: {each.state for each in officer.arrivals.all()} == {"failed"}, 20, "they never ended")
        for transfer_id in begun:
            ended = officer.arrivals.find(transfer_id)
            assert ended is not None
            assert ended.finished_at is not None
            assert "cannot be reached: nothing came for too long" in str(ended.error)
        assert receive(99) not in begun
        officer.arrivals.stop(10)
        told = officer.stats()["recent_transfers"]
        assert (len(told), {each["success"] for each in told}) == (MOST_AT_ONCE + 1, {False})


@pytest.mark.parametrize("clears", ["the rounds of a realm", "a branch officer"])
async def test_what_nobody_went_on_with_is_really_cleared_away(paths: RealmPaths, clears: str) -> None:
    """A25: what was to clear dead entries away held nothing but `pass`. Law 9."""
    stagings = [paths.models / name for name in (".pull-checkpoint-5-0123", ".pull-checkpoint-6-4567")]
    for staging in stagings:
        (staging / "files").mkdir(parents=True)
        (staging / "chunks").write_bytes(bytes(64))
    dead, alive = stagings
    weeks_ago = (datetime.now(UTC) - timedelta(days=20)).timestamp()
    os.utime(dead / "chunks", (weeks_ago, weeks_ago))
    (paths.models / "notes.jsonl").write_text("{}\n")
    if clears == "a branch officer":
        with Catalog.opened(paths.base / "catalog.db", paths.base) as catalog:
            officer = BranchOfficer("nas", paths.base, catalog, lambda: get_registry(paths, {}), lambda: None)
            officer.scan()
            officer.sweep()
    else:
        with VaultKeeper(paths.base) as keeper:
            await CatalogRounds(keeper, None, lambda news, now: None).go(datetime.now(UTC))
    assert (dead.exists(), alive.exists()) == (False, True)
