"""The branch officer over a real socket: what it knows, what it hands out, and what it lets nobody do."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from core.errors import Conflict
from core.http.access import Access
from tests.serving import Visitor, serving
from tests.vault.branch.conftest import CHECKPOINT
from tests.vault.transfer.byte_service import same_tree
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.chunks import CHUNK_BYTES
from vault.transfer.pull import PullOptions, pull_asset

OPTIONS = PullOptions(reserve_bytes=0, retry_seconds=5)
IDS = {"checkpoint_175000", "model_qwen3_0.6b", "data_train_syllo_abc"}


async def test_the_zone_tells_what_it_has_and_how_full_it_is(site: Visitor, zone: Path) -> None:
    body = (await site.get("/status")).body
    assert (body["status"], body["zone_id"], body["base_dir"]) == ("online", "3090", str(zone))
    assert body["catalog"]["total_assets"] == 3
    assert body["catalog"]["assets_by_type"]["checkpoint"]["count"] == 1
    assert 0 <= body["disk"]["used_pct"] <= 100
    health = (await site.get("/health")).body
    assert (health["status"], health["service"]) == ("healthy", "branch_officer")


async def test_assets_are_listed_by_type_and_page(site: Visitor) -> None:
    """A27: one id for one asset; it is found by its name as well."""
    body = (await site.get("/assets")).body
    assert {each["asset_id"] for each in body["assets"]} == IDS
    body = (await site.get("/assets?type=checkpoint&limit=1")).body
    assert [each["name"] for each in body["assets"]] == [CHECKPOINT]
    assert (await site.get("/assets?type=chekpoint")).status == 400
    for reference in ("checkpoint_175000", CHECKPOINT):
        asset = (await site.get(f"/assets/{reference}")).body["asset"]
        assert (asset["asset_id"], len(asset["checksum"])) == ("checkpoint_175000", 64)
        assert asset["created_at"] == "2026-11-21T09:30:00+00:00"
    assert (await site.get("/assets/checkpoint_17500")).status == 404


async def test_what_was_deleted_by_hand_is_found_no_more(site: Visitor, zone: Path) -> None:
    """A1, A26: the catalog never struck out what was deleted."""
    shutil.rmtree(zone / "checkpoints" / CHECKPOINT)
    for path in ("/assets/checkpoint_175000", "/fetch/checkpoint_175000", "/api/assets/checkpoint_175000/manifest"):
        assert (await site.get(path)).status == 404, path
    told = (await site.post("/scan", {})).body
    assert (told["errors"], told["zone_id"]) == ([], "3090")
    assert (await site.get("/status")).body["catalog"]["total_assets"] == 2


async def test_a_scan_of_one_place_finds_what_is_new_there(site: Visitor, zone: Path) -> None:
    (zone / "more").mkdir()
    (zone / "more" / "extra.jsonl").write_text("{}\n")
    assert (await site.post("/scan", {"paths": ["more"]})).body["registered"] == 1
    assert (await site.get("/assets/data_extra")).body["asset"]["path"] == str(zone / "more" / "extra.jsonl")


async def test_how_to_fetch_names_no_zone_as_a_host(site: Visitor) -> None:
    """G7: `3090:/x` was given to ssh as a host."""
    body = (await site.get("/fetch/checkpoint_175000")).body
    assert (body["type"], body["rsync_source"]) == ("directory", None)
    assert (await site.get("/fetch/data_train_syllo_abc")).body["type"] == "file"


async def test_its_bytes_are_fetched_whole_and_verified(site: Visitor, zone: Path, tmp_path: Path) -> None:
    """A30: a model that has no manifest gets one, and arrives with it."""
    url, here = site.site.url, tmp_path / "here"
    for reference, place in (
        ("checkpoint_175000", f"checkpoints/{CHECKPOINT}"),
        ("model_qwen3_0.6b", "models/Qwen3-0.6B"),
    ):
        report = await asyncio.to_thread(pull_asset, url, reference, here, options=OPTIONS)
        (report.path / "MANIFEST.json").unlink()
        (zone / place / "MANIFEST.json").unlink(missing_ok=True)
        assert same_tree(zone / place, report.path)
    report = await asyncio.to_thread(pull_asset, url, "data_train_syllo_abc", here, options=OPTIONS)
    assert report.path.read_text() == '{"messages": []}\n'


async def test_files_go_out_by_ranges_as_http_has_them(site: Visitor, zone: Path) -> None:
    path = "/api/assets/model_qwen3_0.6b/files/model.safetensors"
    manifest = (await site.get("/api/assets/model_qwen3_0.6b/manifest")).body["manifest"]
    etag = f'"{manifest["files"]["model.safetensors"]["blake3"]}"'
    async with site.session.get(site.site.url + path) as whole:
        assert (whole.status, whole.headers["ETag"], len(await whole.read())) == (200, etag, 3_000_000)
    for wanted, told in (
        ("bytes=0-0", "0-0"), ("bytes=5-99999999", "5-2999999"), ("bytes=2999999-", "2999999-2999999"),
        (f"bytes={CHUNK_BYTES - 1}-{CHUNK_BYTES}", "1048575-1048576"),
    ):  # fmt: skip
        async with site.session.get(site.site.url + path, headers={"Range": wanted}) as part:
            first, last = map(int, told.split("-"))
            assert (part.status, part.headers["Content-Range"]) == (206, f"bytes {told}/3000000")
            assert len(await part.read()) == last - first + 1
    answer = await site.get(path, headers={"Range": "bytes=3000000-"})
    assert (answer.status, answer.body["details"]["size_bytes"]) == (416, 3_000_000)
    async with site.session.get(site.site.url + path, headers={"Range": "bytes=0-9", "If-Range": '"x"'}) as other:
        assert (other.status, len(await other.read())) == (200, 3_000_000)
    async with site.session.head(site.site.url + path) as head:
        assert (head.status, head.headers["Content-Length"]) == (200, "3000000")


TRAVERSALS = ["../secret", "/etc/passwd", "..", "a/../../secret", "out/secret", "", "a\0b", ".hidden", "x" * 3000,
              "checkpoints/../../secret"]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
async def test_no_path_leads_out_of_the_zone(site: Visitor, zone: Path, path: str) -> None:
    """A destination of `../../x` escaped from the base directory; links are no way out either."""
    secret = zone.parent / "secret"
    secret.mkdir()
    (secret / "key.jsonl").write_text("secret")
    (zone / "out").symlink_to(zone.parent)
    for endpoint, body in (
        ("/receive", {"asset_id": "checkpoint_5", "destination": path}),
        ("/register", {"path": path}),
        ("/scan", {"paths": [path]}),
    ):
        answer = await site.post(endpoint, body)
        assert 400 <= answer.status < 500, (endpoint, answer.text)
    assert [each.name for each in secret.iterdir()] == ["key.jsonl"]


@pytest.mark.parametrize(
    "name",
    ["../secret", "%2e%2e/secret", "..%2f..%2fetc%2fpasswd", "%00", "MANIFEST.json", "out", "nothing", "/etc/passwd"],
)
async def test_only_files_that_a_manifest_names_go_out(site: Visitor, zone: Path, name: str) -> None:
    answer = await site.get(f"/api/assets/checkpoint_175000/files/{name}")
    assert answer.status == 404, answer.text


async def test_a_link_in_an_asset_is_not_followed(site: Visitor, zone: Path) -> None:
    (zone.parent / "secret").write_bytes(b"s" * 900)
    place = zone / "checkpoints" / CHECKPOINT / "model.safetensors"
    place.unlink()
    place.symlink_to(zone.parent / "secret")
    assert (await site.get("/api/assets/checkpoint_175000/files/model.safetensors")).status in (404, 409)


async def test_an_asset_is_expected_and_registered(site: Visitor, zone: Path) -> None:
    body = (await site.post("/receive", {"asset_id": "checkpoint_5", "destination": "checkpoints/checkpoint-5"})).body
    assert (body["ready"], body["destination"]) == (True, str(zone / "checkpoints" / "checkpoint-5"))
    assert body["transfer_id"] is None
    shutil.copytree(zone / "checkpoints" / CHECKPOINT, zone / "checkpoints" / "checkpoint-5-20261121-0930")
    body = (await site.post("/register", {"path": "checkpoints/checkpoint-5-20261121-0930"})).body
    assert body["asset"]["asset_id"] == "checkpoint_5"
    answer = await site.post("/register", {"path": "train_syllo_abc.jsonl", "asset_id": "data_other"})
    assert (answer.status, "data_train_syllo_abc" in answer.body["message"]) == (409, True)


async def test_only_hosts_of_the_registry_are_called(site: Visitor) -> None:
    """Whoever may speak to the officer must not make it speak to others."""
    for source in ("127.0.0.1", "http://evil.example", "5090", "../x"):
        answer = await site.post("/receive", {"asset_id": "checkpoint_5", "source": source})
        assert answer.status == 404, answer.text
        assert "no host" in answer.body["message"]
    assert (await site.get("/transfers")).body["count"] == 0
    assert (await site.get("/transfers/nothing")).status == 404


async def test_beyond_loopback_everything_wants_the_token(officer: BranchOfficer) -> None:
    """Law 8: without it there is an answer from `/health` alone."""
    async with serving(branch_routes(officer), access=Access("t" * 32)) as site:
        for path in ("/status", "/assets", "/fetch/x", "/stats", "/transfers", "/api/assets/checkpoint_175000/manifest",
                     "/api/assets/checkpoint_175000/files/model.safetensors", "/openapi.json"):  # fmt: skip
            assert (await site.get(path)).status == 401, path
        for path in ("/scan", "/receive", "/register"):
            assert (await site.post(path, {})).status == 401, path
        assert (await site.get("/health")).status == 200
        assert (await site.get("/status", headers={"Authorization": f"Bearer {'t' * 32}"})).status == 200


def test_a_damaged_manifest_is_not_handed_out(officer: BranchOfficer, zone: Path) -> None:
    (zone / "checkpoints" / CHECKPOINT / "MANIFEST.json").write_text("{}")
    with pytest.raises(Conflict, match="is damaged"):
        officer.held("checkpoint_175000")


async def test_what_was_read_again_is_known_for_what_it_is_until_it_is_written(site: Visitor, zone: Path) -> None:
    """A30: `verify` meant that it exists. A scan, which reads nothing, must not forget what a reading has found."""

    async def status() -> str:
        return str((await site.get("/assets/checkpoint_175000")).body["asset"]["status"])

    assert await status() == "unverified"
    for _ in range(2):
        told = (await site.post("/verify", {"asset_id": CHECKPOINT})).body
        assert (told["zone_id"], told["asset_id"]) == ("3090", "checkpoint_175000")
        assert [(each["status"], each["problems"]) for each in told["verification_results"]] == [("verified", [])]
        await site.post("/scan", {})
        assert await status() == "verified"
    weights = zone / "checkpoints" / CHECKPOINT / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(b"X" + content[1:])
    await site.post("/scan", {})
    assert await status() == "unverified"  # nobody has read what was written
    (result,) = (await site.post("/verify", {"asset_id": "checkpoint_175000"})).body["verification_results"]
    assert (result["status"], result["problems"]) == ("corrupted", ["model.safetensors was altered"])
    await site.post("/scan", {})
    assert await status() == "corrupted"
    weights.write_bytes(content)
    await site.post("/scan", {})
    assert await status() == "unverified"
    # What has no hashes gets them.
    (result,) = (await site.post("/verify", {"asset_id": "data_train_syllo_abc"})).body["verification_results"]
    assert result["status"] == "verified"
    assert (await site.get("/assets/data_train_syllo_abc")).body["asset"]["checksum"]
    assert (await site.post("/verify", {"asset_id": "checkpoint_5"})).status == 404
