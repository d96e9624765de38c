"""The vault answers everybody while a run writes: 32 clients at once, and checkpoints that come and go meanwhile. For a
minute, and beside a real trainer, `python -m benchmarks.crowd` does the same."""

from __future__ import annotations

import asyncio
import logging
import shutil

import aiohttp
import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from tests.serving import serving
from tests.vault.catalog.assets import furnish
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.front_routes import vault_routes
from vault.keeper import VaultKeeper

CLIENTS = 32
SAVES = 25
ASKED = (
    "/api/locate/latest",
    "/api/locate/data_train_syllo_abc",
    "/api/search?type=checkpoint&limit=20",
    "/api/search?name=checkpoint&limit=20",
    "/api/stats",
    "/api/list?limit=50",
    "/api/ledger",
    "/api/checkpoints",
)


def save_and_delete(store: CheckpointStore, ledger: CheckpointLedger) -> None:
    """As a run does it: each new checkpoint is entered, and the last but two goes."""
    for number in range(SAVES):
        name = f"checkpoint-{30_000 + number}-20261121-1200"
        ledger.record_folder(30_000 + number, publish(store, name, train_loss=0.5))
        if number > 1:
            gone = f"checkpoint-{30_000 + number - 2}-20261121-1200"
            shutil.rmtree(store.root / gone)
            ledger.forget(gone, "test")


async def test_everybody_is_answered_while_checkpoints_come_and_go(
    paths: RealmPaths, caplog: pytest.LogCaptureFixture
) -> None:
    """G12: a log line written inside a transaction, and everybody waited for a lock until it timed out."""
    store, ledger, answers = furnish(paths), CheckpointLedger.of(paths), 0
    caplog.set_level(logging.WARNING)
    with VaultKeeper(paths.base) as keeper:
        ledger.reconcile()
        ledger.on_change = keeper.note_checkpoints
        async with (
            serving(vault_routes(paths, keeper, ledger, []), service="vault_keeper") as api,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS)) as session,
        ):
            writing = asyncio.create_task(asyncio.to_thread(save_and_delete, store, ledger))

            async def ask(number: int) -> None:
                nonlocal answers
                asked = 0
                while not writing.done() or asked < len(ASKED):
                    path = ASKED[(number + asked) % len(ASKED)]
                    async with session.get(api.site.url + path) as answer:
                        assert answer.status == 200, (path, await answer.text())
                    asked += 1
                answers += asked

            await asyncio.gather(*(ask(number) for number in range(CLIENTS)))
            await writing
            steps = [each.step for each in keeper.search().assets if each.step is not None]
    assert answers >= CLIENTS * len(ASKED)
    assert sorted(steps) == [1000, 20_000, 30_000 + SAVES - 2, 30_000 + SAVES - 1]
    assert [record.getMessage() for record in caplog.records] == []
