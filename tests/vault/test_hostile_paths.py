"""Nobody gets out of the roots of a vault or a branch officer: hundreds of attempts on 8767 and 8768, and links that
are swapped in after something was believed. What lies outside is compared before and after, hash by hash."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from blake3 import blake3
from yarl import URL

from core.checkpoint_ledger import CheckpointLedger
from core.hosts import get_registry
from core.http.access import Access
from core.http.site import ENDPOINTS
from core.paths import RealmPaths
from tests.serving import Answer, Visitor, serving
from tests.vault.catalog.assets import EARLY, asset, furnish, make_model
from tests.vault.hostile_paths import BRANCH, CHECKPOINT, HEADS, SEARCHES, VAULT, Attempt, attempts
from tests.vault.making import publish
from tests.waiting import PATIENCE_SECONDS
from vault import StorageRegistry, StrongholdType
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.catalog.catalog import Catalog
from vault.checkpoints import CheckpointStore
from vault.front_routes import vault_routes
from vault.keeper import VaultKeeper

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = list(attempts())
SECRET = "what no answer may ever tell"
TOKEN = "a-token-that-nobody-guesses"


@dataclass
class Stage:
    """A vault and an officer, each with a base directory of its own, and what is outside of both."""

    folder: Path
    sites: dict[str, Visitor]
    make_routes: dict[str, Callable[[], list[Any]]]

    @property
    def outside(self) -> Path:
        return self.folder / "outside"

    def base(self, site: str) -> Path:
        return self.folder / site

    def listing(self) -> dict[str, str]:
        """All that lies outside, with its content or where it leads, and when it was last written."""
        found = {}
        for path in sorted(self.outside.rglob("*")):
            status = path.lstat()
            content = blake3(path.read_bytes()).hexdigest() if path.is_file() else "directory"
            found[str(path)] = f"{content} {status.st_mtime_ns} {status.st_ino} {status.st_mode:o}"
        return found | {str(self.folder): " ".join(sorted(path.name for path in self.folder.iterdir()))}

    def filled(self, value: Any, site: str) -> Any:
        if isinstance(value, dict):
            return {key: self.filled(each, site) for key, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each, site) for each in value]
        own = {"{base}": str(self.base(site)), "{outside}": str(self.outside)}
        for name, place in own.items():
            value = value.replace(name, place)
        return value

    async def make(self, attempt: Attempt) -> Answer:
        visitor = self.sites[attempt.site]
        options = {"json": self.filled(attempt.body, attempt.site)} if attempt.body else {}
        # Encoded already: what is wrong with it has to arrive.
        url = URL(visitor.site.url + attempt.path, encoded=True)
        async with visitor.session.request(attempt.method, url, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.text(errors="replace"), None)

    def complaints(self, attempt: Attempt, answer: Answer) -> Iterator[str]:
        told = f"{attempt.site} {attempt.method} {attempt.path[:80]} {str(attempt.body)[:120]}: {answer.status}"
        if not 400 <= answer.status < 500:
            yield f"{told} {answer.text[:200]}"
        for word in (SECRET, "root:x:", "Traceback", TOKEN):
            if word in answer.text:
                yield f"{told} tells {word}"
        if "Set-Cookie" in answer.headers:
            yield f"{told} sets a cookie"


def furnish_outside(folder: Path) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (outside / "key.jsonl").write_text(f'{{"text": "{SECRET}"}}\n')
    publish(CheckpointStore(outside), "checkpoint-666-20261121-0900", SECRET)
    make_model(outside / "Secret-1B", SECRET)
    another = folder / "vault-of-another"
    another.mkdir()
    (another / "key.jsonl").write_text(SECRET)


def furnish_base(base: Path) -> RealmPaths:
    paths = RealmPaths(base)
    paths.create()
    furnish(paths)
    (paths.models / "way-out").symlink_to(base.parent / "outside")
    (paths.models / "link.jsonl").symlink_to(base.parent / "outside" / "key.jsonl")
    (paths.current_model / EARLY / "link.jsonl").symlink_to(base.parent / "outside" / "key.jsonl")
    (paths.models / ".hidden" / "x").mkdir(parents=True)
    paths.token_file.write_text(TOKEN)
    hosts = {
        "4090": {"host": "127.0.0.1", "role": "trainer", "services": {"vault": 9}},
        "nas": {"host": "127.0.0.1", "role": "storage", "services": {"branch": 9}},
    }
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts, "local_host": "4090"}))
    return paths


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("roots")
    furnish_outside(folder)
    paths, zone = furnish_base(folder / VAULT), furnish_base(folder / BRANCH)
    nas = folder / "nas"
    (nas / "shelf").mkdir(parents=True)
    with ExitStack() as opened:
        keeper = opened.enter_context(VaultKeeper(paths.base, roots=[nas]))
        catalog = opened.enter_context(Catalog.opened(zone.base / ".branch_catalog.db", zone.base))
        officer = BranchOfficer("nas", zone.base, catalog, lambda: get_registry(zone, {}), lambda: None)
        officer.scan()
        make_routes: dict[str, Callable[[], list[Any]]] = {
            VAULT: lambda: [*vault_routes(paths, keeper, CheckpointLedger.of(paths), [str(nas)])],
            BRANCH: lambda: [*branch_routes(officer)],
        }
        async with (
            serving(make_routes[VAULT](), service="vault_keeper") as vault,
            serving(make_routes[BRANCH](), service="branch_officer") as branch,
        ):
            yield Stage(folder, {VAULT: vault, BRANCH: branch}, make_routes)


async def test_no_attempt_leads_out_of_a_root(stage: Stage) -> None:
    """Law 8, A29: each gets a 4xx, and nothing outside has changed, come or gone."""
    before = stage.listing()
    known = {site: (await visitor.get("/stats" if site == BRANCH else "/api/stats")).body
             for site, visitor in stage.sites.items()}  # fmt: skip
    wrong = []
    for attempt in ALL:
        answer = await stage.make(attempt)
        wrong += [*stage.complaints(attempt, answer)]
        if stage.listing() != before:
            wrong.append(f"{attempt} has changed what lies outside")
            break
    assert not wrong, "\n".join(wrong[:20])
    for site, visitor in stage.sites.items():
        told = (await visitor.get("/stats" if site == BRANCH else "/api/stats")).body
        assert told["assets_by_type"] == known[site]["assets_by_type"]
    assert not list(stage.folder.glob("*/models/.fetch-*"))


async def test_there_are_enough_attempts_and_each_is_another(stage: Stage) -> None:
    assert len({json.dumps([each.site, each.method, each.path, each.body]) for each in ALL}) == len(ALL) >= 60
    assert {each.path for each in ALL if each.method == "POST"} >= {
        "/api/register", "/api/scan", "/api/fetch", "/api/transfer", "/api/push", "/api/verify", "/register", "/scan",
        "/receive",
    }  # fmt: skip


async def test_wildcards_and_quotes_in_a_search_stand_for_themselves(stage: Stage) -> None:
    for query in SEARCHES:
        answer = await stage.sites[VAULT].get(f"/api/search?{query}")
        assert (answer.status, answer.body["total"]) == (200, 0), query
    assert (await stage.sites[VAULT].get("/api/search?name=_out")).body["count"] == 1  # held_out.jsonl
    assert (await stage.sites[VAULT].get("/api/stats")).status == 200


@pytest.mark.parametrize("site", [VAULT, BRANCH])
async def test_no_head_of_a_request_becomes_a_line_of_the_answer(stage: Stage, site: str) -> None:
    url = stage.sites[site].site.url
    for line in HEADS:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        head = f"GET /api/assets/{CHECKPOINT}/files/model.safetensors HTTP/1.1\r\nHost: 127.0.0.1\r\n{line}\r\n\r\n"
        writer.write(head.encode())
        async with asyncio.timeout(PATIENCE_SECONDS):
            told = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.transport.abort()
        assert 400 <= int(told.split()[1]) < 500, (line, told)
        assert "evil" not in told


async def test_a_link_that_is_swapped_in_later_leads_nowhere(stage: Stage) -> None:
    """Law 8: what was believed is looked at again, with every step of the way to it."""
    vault, paths = stage.sites[VAULT], RealmPaths(stage.base(VAULT))
    shelf = stage.folder / "nas" / "shelf"
    make_model(paths.models / "Swapped-1B")
    make_model(shelf / "Deep-1B")
    (paths.validation / "swapped.jsonl").write_text("{}\n")
    for path in ("models", "data/validation", str(shelf)):
        assert (await vault.post("/api/scan", {"path": path})).status == 200, path
    ids = ("model_swapped_1b", "model_deep_1b", "data_swapped")
    files = ("model.safetensors", "model.safetensors", "swapped.jsonl")
    for asset_id in ids:
        assert (await vault.get(f"/api/assets/{asset_id}/manifest")).status == 200, asset_id
    shutil.rmtree(paths.models / "Swapped-1B")
    (paths.models / "Swapped-1B").symlink_to(stage.outside / "Secret-1B")
    (paths.validation / "swapped.jsonl").unlink()
    (paths.validation / "swapped.jsonl").symlink_to(stage.outside / "key.jsonl")
    shutil.rmtree(shelf)
    shelf.symlink_to(stage.outside)
    (stage.outside / "Secret-1B").rename(stage.outside / "Deep-1B")
    (paths.models / "Swapped-1B").unlink()
    (paths.models / "Swapped-1B").symlink_to(stage.outside / "Deep-1B")
    before = stage.listing()
    for asset_id, file in zip(ids, files, strict=True):
        for path in ("manifest", f"files/{file}"):
            answer = await vault.get(f"/api/assets/{asset_id}/{path}")
            assert answer.status in (404, 409), (asset_id, path, answer.text)
        fetched = await vault.post("/api/fetch", {"asset_id": asset_id, "destination": f"models/taken_{asset_id}"})
        assert fetched.status != 200 or not fetched.body["success"], fetched.text
        checked = await vault.post("/api/verify", {"asset_id": asset_id})
        assert checked.status != 200 or "leads elsewhere" in checked.text
        sent = await vault.post("/api/transfer", {"asset_id": asset_id, "target_zone": "nas"})
        assert 400 <= sent.status < 500, sent.text
    assert not [path for path in paths.models.iterdir() if path.name.startswith("taken_")]
    assert stage.listing() == before


async def test_an_officer_does_not_follow_a_link_that_is_swapped_in_later(stage: Stage) -> None:
    branch, zone = stage.sites[BRANCH], stage.base(BRANCH)
    make_model(zone / "depot" / "Late-1B")
    assert (await branch.post("/scan", {"paths": ["depot"]})).body["registered"] == 1
    assert (await branch.get("/api/assets/model_late_1b/manifest")).status == 200
    shutil.rmtree(zone / "depot")
    make_model(stage.outside / "Late-1B", SECRET)
    (zone / "depot").symlink_to(stage.outside)
    before = stage.listing()
    for path in ("manifest", "files/model.safetensors"):
        answer = await branch.get(f"/api/assets/model_late_1b/{path}")
        assert answer.status in (404, 409), answer.text
        assert SECRET not in answer.text
    received = await branch.post("/receive", {"asset_id": "checkpoint_5", "destination": "depot/checkpoint-5"})
    assert received.status == 403, received.text
    assert (await branch.post("/scan", {})).status == 200
    assert stage.listing() == before


@pytest.mark.parametrize("site", [VAULT, BRANCH])
async def test_without_the_token_a_bind_beyond_loopback_answers_401_everywhere_but_health(
    stage: Stage, site: str
) -> None:
    """Law 8: every route of the table, in every method that it has."""
    routes = stage.make_routes[site]()
    async with serving(routes, "0.0.0.0", service=site, access=Access(TOKEN)) as visitor:
        asked = [(endpoint.method, endpoint.path) for endpoint in visitor.site.app[ENDPOINTS]]
        asked += [("HEAD", path) for method, path in asked if method == "GET"]
        asked += [("GET", "/nothing"), ("OPTIONS", "/api/stats")]
        assert len(asked) > 25
        for method, path in asked:
            filled = path.replace("{file}", "model.safetensors").replace("{step}", "1000")
            while "{" in filled:
                before, _, after = filled.partition("{")
                filled = f"{before}{CHECKPOINT}{after.partition('}')[2]}"
            body = {"json": {}} if method == "POST" else {}
            answer = await visitor.ask(method, filled, **body)
            assert answer.status == (200 if path == "/health" else 401), (method, path)
        for wrong in ("Bearer x", "Basic " + TOKEN, "Bearer", TOKEN, f"Bearer {TOKEN}x", "bearer  "):
            answer = await visitor.get("/openapi.json", headers={"Authorization": wrong})
            assert answer.status in (401, 429), wrong


async def test_a_zone_cannot_name_a_place_on_this_disk_as_its_own(stage: Stage) -> None:
    """A storage that is mounted here and a host of the registry may have one name: what the host lists under it is not
    looked for outside of the mount."""
    paths, shelf = RealmPaths(stage.base(VAULT)), stage.folder / "mounted"
    shelf.mkdir()
    publish(CheckpointStore(shelf), "checkpoint-8-20261121-0900")
    StorageRegistry(paths.base).register_stronghold("attic", StrongholdType.NAS, base_path=shelf)
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        own = shelf / "checkpoint-8-20261121-0900"
        catalog.put(asset("checkpoint_8", stronghold="attic", path=str(own)))
        catalog.put(asset("checkpoint_9", stronghold="attic", path=str(stage.outside / "checkpoint-666-20261121-0900")))
    before = stage.listing()
    assert (await stage.sites[VAULT].get("/api/assets/checkpoint_8/manifest")).status == 200
    assert (await stage.sites[VAULT].get("/api/assets/checkpoint_9/manifest")).status == 404
    fetched = await stage.sites[VAULT].post("/api/fetch", {"asset_id": "checkpoint_9", "destination": "models/taken"})
    assert not fetched.body["success"], fetched.text
    assert stage.listing() == before
