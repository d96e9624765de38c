"""The byte service over a real socket: manifests, ranges, ETags, and no way to anything that no manifest names."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from blake3 import blake3

from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, asset, furnish
from tests.vault.making import publish
from vault.bytes.routes import byte_routes
from vault.bytes.source import KeeperSource
from vault.checkpoints import CheckpointStore
from vault.chunks import CHUNK_BYTES, CHUNK_HEADER
from vault.keeper import VaultKeeper
from vault.manifest import check_manifest, read_manifest

BIG = "checkpoint-5-20261121-1200"
FILES = "/api/assets/checkpoint_5/files"
CONTENT = os.urandom(1024) * 2500  # two and a half chunks


@pytest.fixture
async def api(paths: RealmPaths) -> AsyncIterator[Visitor]:
    store = furnish(paths)
    paths.config_file.write_text("notifications: {targets: ['discord://id/token']}\n")
    snapshot = paths.snapshots / "2026-11-20"
    (snapshot / "deep").mkdir(parents=True)
    (snapshot / "SNAPSHOT.json").write_text("{}")
    for folder in (snapshot, snapshot / "deep"):
        shutil.copy(paths.config_file, folder)
    head = store.head() or ""
    staging = store.stage()
    (staging / "model.safetensors").write_bytes(CONTENT)
    (staging / "deep").mkdir()
    (staging / "deep" / "empty file.txt").write_bytes(b"")
    store.publish(staging, BIG)
    store.set_head(head)
    with VaultKeeper(paths.base) as keeper:
        keeper.catalog.put(asset("checkpoint_7", stronghold="3090", path="/models/checkpoint-7"))
        async with serving(byte_routes(KeeperSource(keeper)), service="vault_keeper") as visitor:
            yield visitor


async def raw(api: Visitor, path: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.get(api.site.url + path, headers=named) as response:
        return response.status, await response.read(), response.headers


async def test_a_checkpoint_can_be_written_again_from_what_is_told(
    api: Visitor, paths: RealmPaths, tmp_path: Path
) -> None:
    """G6: bytes of directories could be had nowhere."""
    told = (await api.get(f"/api/assets/{BIG}/manifest")).body
    assert (told["asset_id"], told["asset_type"], told["name"], told["kind"]) == (
        "checkpoint_5", "checkpoint", BIG, "directory"
    )  # fmt: skip
    assert told["manifest"] == read_manifest(paths.current_model / BIG)
    copy = tmp_path / "copy"
    for name in told["manifest"]["files"]:
        status, content, headers = await raw(api, f"{FILES}/{name.replace(' ', '%20')}")
        assert (status, headers["ETag"]) == (200, f'"{blake3(content).hexdigest()}"')
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(content)
    shutil.copy(paths.current_model / BIG / "MANIFEST.json", copy)
    assert check_manifest(copy) == []


@pytest.mark.parametrize(
    ("asked", "first", "end", "chunk"),
    [
        ("bytes=0-0", 0, 1, 0),
        ("bytes=0-1048575", 0, CHUNK_BYTES, 0),
        ("bytes=1048576-", CHUNK_BYTES, len(CONTENT), None),
        ("bytes=2097152-", 2 * CHUNK_BYTES, len(CONTENT), 2),
        ("bytes=1050000-1060000", 1050000, 1060001, 1),
        ("bytes=-10", len(CONTENT) - 10, len(CONTENT), 2),
        ("bytes=1048570-1048580", 1048570, 1048581, None),
        ("bytes=5-99999999999", 5, len(CONTENT), None),
        ("bytes=-99999999999", 0, len(CONTENT), None),
    ],
)
async def test_a_range_is_sent_with_the_hash_of_its_chunk(
    api: Visitor, asked: str, first: int, end: int, chunk: int | None
) -> None:
    status, content, headers = await raw(api, f"{FILES}/model.safetensors", Range=asked, Accept_Encoding="gzip")
    assert (status, content) == (206, CONTENT[first:end])
    assert headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(CONTENT)}"
    assert "Content-Encoding" not in headers
    whole = None if chunk is None else CONTENT[chunk * CHUNK_BYTES : (chunk + 1) * CHUNK_BYTES]
    assert headers.get(CHUNK_HEADER) == (None if whole is None else blake3(whole).hexdigest())


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=5-3", "bytes=-0"])
async def test_bytes_beyond_the_end_are_refused_with_the_size(api: Visitor, asked: str) -> None:
    status, _, headers = await raw(api, f"{FILES}/model.safetensors", Range=asked)
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=1-2,5-6", "chunks=1-2", "bytes=a-b", "x" * 100])
async def test_a_range_that_is_none_is_refused(api: Visitor, asked: str) -> None:
    assert (await raw(api, f"{FILES}/model.safetensors", Range=asked))[0] == 400


async def test_the_rest_is_sent_only_of_the_same_bytes(api: Visitor) -> None:
    path, etag = f"{FILES}/model.safetensors", f'"{blake3(CONTENT).hexdigest()}"'
    assert (await raw(api, path, Range="bytes=5-9", If_Range=etag))[:2] == (206, CONTENT[5:10])
    status, content, _ = await raw(api, path, Range="bytes=5-9", If_Range='"of another file"')
    assert (status, content) == (200, CONTENT)
    assert (await raw(api, path, If_None_Match=f'"x", {etag}'))[:2] == (304, b"")
    answer = await api.ask("HEAD", path)
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(CONTENT)))
    assert (await raw(api, f"{FILES}/deep/empty%20file.txt"))[:2] == (200, b"")


@pytest.mark.parametrize(
    "name",
    [
        "MANIFEST.json", ".ledger.json", "..%2f..%2f.realm.token", "../../.realm.token", "%2Fetc%2Fpasswd", "none",
        "deep", "deep%2F..%2Fmodel.safetensors", "model.safetensors/", "%00", "%ff", "stray", "link",
    ],
)  # fmt: skip
async def test_only_what_the_manifest_names_can_be_had(api: Visitor, paths: RealmPaths, name: str) -> None:
    """Law 8: every path that comes over HTTP stays in its root."""
    (paths.current_model / BIG / "stray").write_text("not in the manifest")
    (paths.current_model / BIG / "link").symlink_to("/etc/passwd")
    status, content, _ = await raw(api, f"{FILES}/{name}")
    assert status == 404, content
    assert b"root:" not in content


async def test_settings_are_not_handed_out(api: Visitor) -> None:
    """Law 8: addresses of notifications are passwords; `/config` hides them."""
    for path in ("files/realm.yaml", "manifest"):
        refused = await api.get(f"/api/assets/config_realm/{path}")
        assert (refused.status, refused.body["error"]) == (404, "not_found")
        assert refused.body["message"].startswith("Settings are not handed out: they may hold secrets.")
    assert (await api.get("/api/assets/config_config/files/config.yaml")).status == 200


async def test_settings_within_a_directory_are_not_handed_out_either(api: Visitor) -> None:
    """Law 8: a snapshot held a copy of them, which whoever asked for its files got with all its secrets."""
    told = (await api.get("/api/assets/snapshot_2026-11-20/manifest")).body
    assert set(told["manifest"]["files"]) == {"realm.yaml", "deep/realm.yaml", "SNAPSHOT.json"}
    for name in ("realm.yaml", "deep/realm.yaml"):
        status, said, _ = await raw(api, f"/api/assets/snapshot_2026-11-20/files/{name}")
        assert (status, b"Settings are not handed out" in said, b"token" in said) == (404, True, False)
    assert (await raw(api, "/api/assets/snapshot_2026-11-20/files/SNAPSHOT.json"))[:2] == (200, b"{}")


async def test_what_is_torn_is_told_as_torn(api: Visitor, paths: RealmPaths) -> None:
    """A30: a link in place of a file, a file that was cut, one that is gone: none is sent as if it were whole."""
    weights = paths.current_model / BIG / "model.safetensors"
    weights.write_bytes(CONTENT[:-1])
    assert (await raw(api, f"{FILES}/model.safetensors"))[0] == 409
    weights.unlink()
    assert (await raw(api, f"{FILES}/model.safetensors"))[0] == 409
    (paths.base / "elsewhere").write_bytes(CONTENT)
    weights.symlink_to(paths.base / "elsewhere")
    assert (await raw(api, f"{FILES}/model.safetensors"))[0] == 409
    shutil.rmtree(paths.current_model / EARLY)
    assert (await api.get("/api/assets/checkpoint_1000/manifest")).status == 404
    (paths.current_model / BIG / "MANIFEST.json").write_text("{}")
    assert (await api.get("/api/assets/checkpoint_20000/manifest")).status == 200


async def test_a_model_and_a_file_get_manifests_of_their_own(api: Visitor) -> None:
    """A30: what had no hashes is hashed when it is first asked for."""
    model = (await api.get("/api/assets/model_qwen3_0.6b/manifest")).body
    assert (model["kind"], sorted(model["manifest"]["files"])) == ("directory", ["config.json", "model.safetensors"])
    assert model["manifest"]["created_at"] is None
    file = (await api.get("/api/assets/data_held_out/manifest")).body
    assert (file["kind"], list(file["manifest"]["files"])) == ("file", ["held_out.jsonl"])
    assert (await raw(api, "/api/assets/data_held_out/files/held_out.jsonl"))[1] == b"{}\n"


async def test_what_lies_elsewhere_is_not_here(api: Visitor) -> None:
    for reference in ("checkpoint_7", "checkpoint_8", "x%00"):
        assert (await api.get(f"/api/assets/{reference}/manifest")).status == 404
        assert (await raw(api, f"/api/assets/{reference}/files/model.safetensors"))[0] == 404


async def test_a_manifest_is_looked_for_again_when_its_asset_was_replaced(paths: RealmPaths) -> None:
    store = CheckpointStore(paths.current_model)
    publish(store, EARLY)
    now = 0.0
    with VaultKeeper(paths.base) as keeper:
        source = KeeperSource(keeper, clock=lambda: now)
        before = source.held("checkpoint_1000")
        assert source.held("checkpoint_1000") is before
        store.forget_head()
        publish(store, EARLY, content="other")
        now = 10.0
        assert source.held("checkpoint_1000").manifest["digest"] != before.manifest["digest"]
