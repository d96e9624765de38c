"""The remote ledger gives the same answers as the local one, through a real server, and says when it cannot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

import core.remote_ledger
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord, RemoteLedgerClient, write_sidecar
from core.errors import InvalidInput, Unavailable
from core.http.access import Access
from core.http.site import Site, make_app
from core.paths import RealmPaths
from vault.routes import ledger_routes

T = TypeVar("T")


@pytest.fixture
def ledger(paths: RealmPaths) -> CheckpointLedger:
    """Five checkpoints, two of them of one step."""
    for number, (step, clock) in enumerate(
        [(1000, "0900"), (1000, "0901"), (2000, "0900"), (3000, "0900"), (40_000, "0900")]
    ):
        folder = paths.current_model / f"checkpoint-{step}-20261121-{clock}"
        folder.mkdir()
        record = CheckpointRecord(
            step=step,
            timestamp="2026-11-21T09:00:00+00:00",
            path=str(folder),
            canonical_name=folder.name,
            train_loss=[0.5, 0.2, 0.4, None, 0.9][number],
            skill_name="bin" if number % 2 else "sy",
            size_bytes=1000,
        )
        write_sidecar(folder, record)
    ledger = CheckpointLedger.of(paths)
    ledger.reconcile()
    return ledger


@pytest.fixture
async def client(ledger: CheckpointLedger) -> AsyncIterator[RemoteLedgerClient]:
    site = Site(make_app(ledger_routes(ledger), service="vault_keeper", health=dict), "127.0.0.1", 0, "vault")
    await site.start()
    yield RemoteLedgerClient(f"{site.url}/api/ledger")
    await site.stop()


async def away(call: Callable[[], T]) -> T:
    """Run a blocking call of the client while the server runs in this loop."""
    return await asyncio.to_thread(call)


async def test_every_reading_method_answers_as_the_local_ledger_does(
    client: RemoteLedgerClient, ledger: CheckpointLedger
) -> None:
    assert await away(client.is_available)
    assert await away(client.list_all) == ledger.list_all()
    assert await away(lambda: client.list_all(limit=2)) == ledger.list_all(limit=2)
    assert await away(lambda: client.list_all(limit=0)) == []
    assert await away(lambda: client.list_by_skill("bin")) == ledger.list_by_skill("bin")
    assert await away(client.get_latest) == ledger.get_latest()
    assert await away(client.get_summary) == ledger.get_summary()
    assert await away(lambda: client.get(1000)) == ledger.get(1000)
    for reference in ("checkpoint-1000-20261121-0900", "checkpoint_2000", "latest", "best", "3000"):
        assert await away(lambda reference=reference: client.find(reference)) == ledger.find(reference)  # type: ignore[misc]


async def test_what_is_not_there_is_none(client: RemoteLedgerClient) -> None:
    assert await away(lambda: client.get(100)) is None
    assert await away(lambda: client.find("../summary")) is None
    assert await away(lambda: client.get_best("val_loss")) is None


async def test_the_best_comes_with_all_its_numbers(client: RemoteLedgerClient, ledger: CheckpointLedger) -> None:
    """G3: the remote get_best once was always None."""
    best = await away(client.get_best)
    assert best is not None
    assert best == ledger.get_best()
    assert (best.train_loss, best.timestamp) == (0.2, "2026-11-21T09:00:00+00:00")
    worst = await away(lambda: client.get_best("train_loss", lower_is_better=False))
    assert worst == ledger.get(40_000)


async def test_a_metric_that_does_not_exist_is_the_same_error(client: RemoteLedgerClient) -> None:
    with pytest.raises(InvalidInput, match="Did you mean train_loss"):
        await away(lambda: client.get_best("train_los"))


async def test_a_long_list_is_fetched_page_by_page(
    client: RemoteLedgerClient, ledger: CheckpointLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for page in (1, 2, 5, 7):
        monkeypatch.setattr(core.remote_ledger, "PAGE", page)
        assert await away(client.list_all) == ledger.list_all()
        assert await away(lambda: client.list_all(limit=3)) == ledger.list_all(limit=3)


async def test_a_wrong_address_is_no_empty_ledger(client: RemoteLedgerClient) -> None:
    """G4: what is not a ledger must not look like one without checkpoints."""
    wrong = RemoteLedgerClient(client.base_url.removesuffix("/api/ledger"))
    for call in (wrong.list_all, wrong.get_latest, wrong.get_best, wrong.get_summary, lambda: wrong.get(1000)):
        with pytest.raises(Unavailable, match="does not answer like a ledger"):
            await away(call)
    assert not await away(wrong.is_available)


def test_a_host_that_is_down_is_unavailable_and_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/api/ledger"
        client = RemoteLedgerClient(url)
        assert not client.is_available()
        with pytest.raises(Unavailable, match=url):
            client.get_latest()


def test_a_host_that_never_answers_is_given_up_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        client = RemoteLedgerClient(f"http://127.0.0.1:{silent.getsockname()[1]}/api/ledger", timeout=0.2)
        with pytest.raises(Unavailable, match="does not answer"):
            client.get(1)


@pytest.mark.parametrize("url", ["192.168.1.10:8767/api/ledger", "ftp://x/", "http://[::1/", ""])
def test_an_address_that_is_none_is_an_expected_error(url: str) -> None:
    client = RemoteLedgerClient(url)
    assert not client.is_available()
    with pytest.raises((Unavailable, InvalidInput)):
        client.list_all()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, "<html>"),
        (200, "[]"),
        (200, "{}"),
        (200, '{"checkpoints": 5}'),
        (302, ""),
        (500, '{"error": "internal", "message": "broken"}'),
        (502, "bad gateway"),
    ],
)
def test_an_answer_that_is_no_ledger_is_unavailable(status: int, text: str) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(status, text=text))
    with pytest.raises(Unavailable, match="does not answer like a ledger"):
        RemoteLedgerClient("http://trainer/api/ledger", transport=answer).list_all()


@pytest.mark.parametrize(
    ("status", "message"), [(403, "This Host is not served."), (429, "Too many wrong tokens came from this address.")]
)
def test_a_refusal_that_no_token_heals_is_told_in_the_words_of_the_server(status: int, message: str) -> None:
    answer = httpx.MockTransport(lambda request: httpx.Response(status, json={"error": "no", "message": message}))
    with pytest.raises(Unavailable, match=f"refuses: {message}") as refused:
        RemoteLedgerClient("http://trainer/api/ledger", transport=answer).list_all()
    assert "REALM_TOKEN" not in str(refused.value)


async def test_the_token_is_sent_when_there_is_one(
    monkeypatch: pytest.MonkeyPatch, ledger: CheckpointLedger, tmp_path: Path
) -> None:
    token = "a-token-of-the-trainer"
    app = make_app(ledger_routes(ledger), service="vault_keeper", health=dict, access=Access(token))
    site = Site(app, "127.0.0.1", 0, "vault")
    await site.start()
    try:
        client = RemoteLedgerClient(f"{site.url}/api/ledger")
        monkeypatch.delenv("REALM_TOKEN", raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        with pytest.raises(Unavailable, match="REALM_TOKEN"):
            await away(client.get_latest)
        monkeypatch.setenv("REALM_TOKEN", token)
        assert await away(client.get_latest) == ledger.get_latest()
        monkeypatch.delenv("REALM_TOKEN")
        (tmp_path / "realm").mkdir()
        (tmp_path / "realm" / "token").write_text(f"{token}\n")
        assert await away(client.get_latest) == ledger.get_latest()
    finally:
        await site.stop()
