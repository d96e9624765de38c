"""Hosts of one realm are updated one after the other: what a newer one tells more is left aside, what it does not tell
any more is missed in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.errors import Unavailable
from core.remote_ledger import RemoteLedgerClient
from vault.assets import Asset, AssetType, Fetched, Location, LocationStatus, Lookup, Transfer
from vault.client import VaultKeeperClient

HERE = Location("local_vault", "/r/checkpoint-5", LocationStatus.VERIFIED, size_bytes=5)
ASSET = Asset("checkpoint_5", AssetType.CHECKPOINT, "checkpoint-5", locations=(HERE,), step=5)
MOVED = Transfer("checkpoint_5", "3090", "local_vault", "/a", "/b", True, "2026-11-21T09:30:00+00:00")
LOOKUP = Lookup("checkpoint_5", True, (HERE,), HERE)
FETCHED = Fetched("checkpoint_5", True, "/b", HERE, MOVED)

CALLS: dict[str, tuple[Any, Callable[[VaultKeeperClient], Any], Any]] = {
    "locate": (LOOKUP.to_json(), lambda client: client.locate("checkpoint_5"), LOOKUP),
    "asset": (ASSET.to_json(), lambda client: client.get_asset("checkpoint_5"), ASSET),
    "search": ({"assets": [ASSET.to_json()], "total": 1}, lambda client: client.search(), [ASSET]),
    "fetch": (FETCHED.to_json(), lambda client: client.fetch("checkpoint_5", "/b"), FETCHED),
    "register": ({"success": True, "asset": ASSET.to_json()}, lambda client: client.register("/r"), ASSET),
    "scan": ({"asset_ids": ["checkpoint_5"]}, lambda client: client.scan("/r"), ["checkpoint_5"]),
    "verify": ({"verification_results": [{}]}, lambda client: client.verify("checkpoint_5"), None),
    "strongholds": ({"strongholds": [{}]}, lambda client: client.get_strongholds(), None),
}


def of_a_newer_version(body: Any) -> Any:
    """With a field more in each object but the one that holds whatever an asset has to tell."""
    if isinstance(body, list):
        return [of_a_newer_version(each) for each in body]
    if isinstance(body, dict):
        told = {key: each if key == "metadata" else of_a_newer_version(each) for key, each in body.items()}
        return {**told, "since_version_9": {"x": 1}}
    return body


def answering(body: Any) -> VaultKeeperClient:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=body))
    return VaultKeeperClient("10.0.0.9:8767", transport=transport)


@pytest.mark.parametrize("name", CALLS)
def test_what_a_newer_vault_tells_more_is_left_aside(name: str) -> None:
    """G2: a field more in an answer, and nobody could talk to the other host any longer."""
    body, ask, wanted = CALLS[name]
    told = ask(answering(of_a_newer_version(body)))
    assert told if wanted is None else told == wanted


@pytest.mark.parametrize("name", CALLS)
def test_what_a_vault_does_not_tell_is_missed_in_words(name: str) -> None:
    """G2: no traceback, whichever field is gone, and nothing is taken for empty."""
    body, ask, _ = CALLS[name]
    (key, *_) = (name for name in body if isinstance(body[name], list | dict))
    without = {name: value for name, value in body.items() if name != key}
    nonsense = {**body, key: 7}
    for wrong in ({"answer": 42}, without, nonsense):
        with pytest.raises(Unavailable, match="answers in another way than is known here"):
            ask(answering(wrong))


def test_a_record_of_a_newer_ledger_is_read() -> None:
    """G2, G3."""
    record = {"step": 5, "canonical_name": "checkpoint-5", "timestamp": "2026-11-21T09:30:00+00:00", "path": "/r/x"}
    page = of_a_newer_version({"checkpoints": [record], "count": 1, "total": 1, "offset": 0})
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=page))
    (found,) = RemoteLedgerClient("http://10.0.0.9/api/ledger", transport=transport).list_all()
    assert (found.step, found.canonical_name) == (5, "checkpoint-5")
