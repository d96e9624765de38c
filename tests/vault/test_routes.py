"""`/api/ledger` over a real socket: the fields of the seed, paging, and errors that say what is wrong."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.routes import ledger_routes

LIST_FIELDS = {
    "step", "canonical_name", "timestamp", "train_loss", "val_loss", "learning_rate", "skill_name", "skill_level",
    "size_gb", "age_hours", "path",
}  # fmt: skip


class Caller:
    """Asks the site; answers are (status, JSON body)."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor

    async def get(self, path: str) -> tuple[int, Any]:
        answer = await self._visitor.get(path)
        return answer.status, answer.body


@pytest.fixture
async def api(paths: RealmPaths) -> AsyncIterator[Caller]:
    async with serving(ledger_routes(CheckpointLedger.of(paths)), service="vault_keeper") as visitor:
        yield Caller(visitor)


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    store = CheckpointStore(paths.current_model)
    publish(store, "checkpoint-1000-20261121-0900", train_loss=0.5, skill_name="bin", accuracy=0.2)
    publish(store, "checkpoint-10000-20261121-0930", train_loss=0.7, skill_name="sy", accuracy=0.9)
    publish(store, "checkpoint-20000-20261121-1000", train_loss=math.nan, skill_name="sy")
    return store


async def test_an_empty_ledger_answers_with_an_empty_list(api: Caller) -> None:
    nothing = {
        "checkpoints": [],
        "count": 0,
        "total": 0,
        "offset": 0,
        "head": None,
        "metric": "train_loss",
        "best": None,
    }
    assert await api.get("/api/ledger") == (200, nothing)
    status, body = await api.get("/api/ledger/summary")
    assert (status, body["count"], body["latest_step"]) == (200, 0, None)


async def test_the_list_is_newest_first_with_the_fields_of_the_seed(api: Caller, store: CheckpointStore) -> None:
    status, body = await api.get("/api/ledger")
    assert status == 200
    assert [row["step"] for row in body["checkpoints"]] == [20000, 10000, 1000]
    assert set(body["checkpoints"][0]) >= LIST_FIELDS
    assert body["checkpoints"][0]["train_loss"] is None
    assert body["checkpoints"][0]["size_gb"] == 1e-6
    assert body["checkpoints"][0]["path"] == str(store.root / "checkpoint-20000-20261121-1000")


async def test_the_list_is_paged_and_filtered(api: Caller, store: CheckpointStore) -> None:
    _, body = await api.get("/api/ledger?limit=1&offset=1")
    assert ([row["step"] for row in body["checkpoints"]], body["count"], body["total"]) == ([10000], 1, 3)
    _, body = await api.get("/api/ledger?skill=sy&limit=1000000")
    assert [row["step"] for row in body["checkpoints"]] == [20000, 10000]
    _, body = await api.get("/api/ledger?skill=unknown")
    assert (body["count"], body["total"]) == (0, 0)


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "limit=1.5", "offset=-1", "limit=" + "9" * 5000, "limit=%D9%A1", "limit="]
)
async def test_a_wrong_number_is_named(api: Caller, query: str) -> None:
    status, body = await api.get(f"/api/ledger?{query}")
    assert (status, body["error"]) == (400, "invalid_input")
    assert query.split("=")[0] in body["message"]


async def test_one_checkpoint_is_found_by_exactly_its_id(api: Caller, store: CheckpointStore) -> None:
    """A27, A29: a canonical name and an asset id lead to the same record, and 100 is not 1000."""
    for reference in ("1000", "checkpoint_1000", "checkpoint-1000-20261121-0900"):
        status, body = await api.get(f"/api/ledger/{reference}")
        assert (status, body["step"], body["train_loss"]) == (200, 1000, 0.5)
    _, body = await api.get("/api/ledger/latest")
    assert body["step"] == 20000
    for reference in ("100", "x", "..%2F..%2Fetc%2Fpasswd", "%00"):
        status, body = await api.get(f"/api/ledger/{reference}")
        assert (status, body["error"]) == (404, "not_found")


async def test_the_best_is_told_with_metric_and_value(api: Caller, store: CheckpointStore) -> None:
    """G3: the answer is a whole record, timestamp included."""
    status, body = await api.get("/api/ledger/best")
    assert (status, body["step"], body["metric"], body["value"]) == (200, 1000, "train_loss", 0.5)
    assert body["timestamp"] == "2026-11-21T09:30:00+00:00"
    for query, step in (
        ("metric=train_loss&lower=false", 10000),
        ("metric=accuracy", 10000),
        ("metric=accuracy&lower=true", 1000),
    ):
        _, body = await api.get(f"/api/ledger/best?{query}")
        assert body["step"] == step


async def test_a_best_that_cannot_be_told_is_an_error_that_says_why(api: Caller, store: CheckpointStore) -> None:
    status, body = await api.get("/api/ledger/best?metric=val_loss")
    assert (status, body["message"]) == (404, "No checkpoint has a val_loss.")
    status, body = await api.get("/api/ledger/best?metric=acuracy")
    assert status == 400
    assert "Did you mean accuracy?" in body["message"]
    status, body = await api.get("/api/ledger/best?lower=perhaps")
    assert (status, body["message"]) == (400, "lower must be true or false, not 'perhaps'.")
    status, body = await api.get("/api/ledger?limt=5")
    assert (status, body["message"]) == (400, "'limt' is unknown in this query. Did you mean limit?")


async def test_a_deleted_checkpoint_is_gone_from_the_next_answer(api: Caller, store: CheckpointStore) -> None:
    """A3, A26: no list is served from memory after the disk has changed."""
    await api.get("/api/ledger")
    store.trash("checkpoint-1000-20261121-0900")
    store.empty_trash()
    _, body = await api.get("/api/ledger/best")
    assert body["step"] == 10000
    status, _ = await api.get("/api/ledger/1000")
    assert status == 404
