"""What another host says of an asset is believed only as far as it cannot do harm here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from core.errors import InvalidInput
from tests.vault.transfer.byte_service import ByteService, described
from tests.vault.transfer.conftest import ASSET, SIZES
from vault.manifest import MANIFEST, _rendered
from vault.transfer.listing import read_listing
from vault.transfer.pull import pull_asset

HASH = "0" * 64


def signed(answer: dict[str, Any]) -> dict[str, Any]:
    """With a digest that fits, as a hostile host makes it."""
    manifest = {key: value for key, value in answer["manifest"].items() if key != "digest"}
    answer["manifest"] = {**manifest, "digest": blake3(_rendered(manifest)).hexdigest()}
    return answer


@pytest.fixture
def answer(source: Path) -> dict[str, Any]:
    return described(source / ASSET)


def test_a_true_listing_is_read_with_its_chunks(answer: dict[str, Any], source: Path) -> None:
    listing = read_listing(ASSET, answer)
    assert (listing.name, listing.is_directory, listing.total_bytes) == (ASSET, True, sum(SIZES.values()))
    assert listing.text == (source / ASSET / MANIFEST).read_bytes()
    assert listing.chunks == 5 + 1 + 1 + 1 + 0 + 1
    assert sorted(file.first_chunk + number for file in listing.files for number in range(file.chunks)) == [*range(9)]


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/passwd", "a/../../evil", "a//b", "./a", "a/.", "", "a\0b", "a\\..\\b", "a/", "/",
        "x" * 256, "/".join(["d" * 200] * 6), "MANIFEST.json", "QUARANTINE.json", "..", "a/..", "a\ud800",
        "MANIFEST.json/x", "QUARANTINE.json/x",
    ],
)  # fmt: skip
def test_a_file_cannot_lie_outside_of_its_asset(answer: dict[str, Any], name: str) -> None:
    answer["manifest"]["files"][name] = {"size": 1, "blake3": HASH}
    with pytest.raises(InvalidInput, match="is no name of a file in it"):
        read_listing(ASSET, signed(answer))


@pytest.mark.parametrize(
    "entry",
    [
        {"size": 1}, {"size": 1, "blake3": HASH, "link": "/etc/passwd"}, {"symlink": "/etc"}, "text", None, [],
        {"size": -1, "blake3": HASH}, {"size": True, "blake3": HASH}, {"size": 1.5, "blake3": HASH},
        {"size": 1 << 60, "blake3": HASH}, {"size": 1, "blake3": "0" * 63}, {"size": 1, "blake3": HASH.upper() + "G"},
        {"size": "1", "blake3": HASH}, {"size": 1, "blake3": 5}, {"size": 0, "blake3": HASH},
    ],
)  # fmt: skip
def test_a_file_is_a_regular_one_of_a_size_with_a_hash(answer: dict[str, Any], entry: Any) -> None:
    """Links in a manifest are refused, whatever they lead to."""
    answer["manifest"]["files"]["more"] = entry
    with pytest.raises(InvalidInput, match="cannot be believed"):
        read_listing(ASSET, signed(answer))


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], Any]:
    def made(answer: dict[str, Any]) -> dict[str, Any]:
        change(answer)
        return answer

    return made


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: None,
        lambda answer: [],
        lambda answer: {},
        lambda answer: {**answer, "manifest": None},
        lambda answer: {**answer, "kind": "link"},
        lambda answer: {**answer, "kind": "file"},
        lambda answer: {**answer, "name": "../x"},
        lambda answer: {**answer, "name": ".hidden"},
        lambda answer: {**answer, "name": 5},
        changed(lambda answer: answer["manifest"].update(version=2)),
        changed(lambda answer: answer["manifest"].update(files={})),
        changed(lambda answer: answer["manifest"].update(total_bytes=1)),
        changed(lambda answer: answer["manifest"].update(digest=HASH)),
        changed(lambda answer: answer["manifest"]["files"]["optimizer.pt"].update(blake3=HASH)),
        changed(lambda answer: answer["manifest"].update(files={"a": {"size": float("nan"), "blake3": HASH}})),
    ],
)
def test_whatever_was_altered_on_the_way_is_refused(answer: dict[str, Any], spoil: Callable[..., Any]) -> None:
    """A30: the manifest covers itself by its digest."""
    with pytest.raises(InvalidInput, match="cannot be believed"):
        read_listing(ASSET, spoil(copy.deepcopy(answer)))


def test_a_name_is_not_both_a_file_and_a_directory(answer: dict[str, Any]) -> None:
    answer["manifest"]["files"]["tokenizer"] = {"size": 1, "blake3": HASH}
    with pytest.raises(InvalidInput, match="both a file and a directory"):
        read_listing(ASSET, signed(answer))


def test_a_hostile_host_touches_nothing_here(service: ByteService, answer: dict[str, Any], here: Path) -> None:
    answer["manifest"]["files"]["../../evil"] = {"size": 1, "blake3": HASH}
    service.manifests[ASSET] = signed(answer)
    with pytest.raises(InvalidInput, match="is no name of a file"):
        pull_asset(service.url, ASSET, here)
    assert not here.exists()


def test_what_was_asked_for_by_another_name_is_called_by_its_id(answer: dict[str, Any]) -> None:
    """`latest` may be another one by the time of the next chunk."""
    assert read_listing("latest", answer).asset_id == ASSET
    for odd in (["x"], "x\ud800", ""):
        assert read_listing("latest", {**answer, "asset_id": odd}).asset_id == "latest"
