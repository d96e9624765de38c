"""What an officer says of its zone: verified is what was compared, one id is one asset, nothing that came is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, NotFound
from core.hosts import HostRegistry
from core.paths import RealmPaths
from tests.vault.branch.conftest import CHECKPOINT
from tests.vault.making import publish
from vault.assets import LOCAL, Location, LocationStatus
from vault.branch.looking import Looking, settling
from vault.branch.officer import BranchOfficer
from vault.catalog.catalog import Catalog
from vault.checkpoints import CheckpointStore
from vault.manifest import digest_of, make_manifest, read_manifest
from vault.roots import OutOfBounds
from vault.transfer.booking import book_landed
from vault.transfer.pull import PullReport

NOW = datetime.now(UTC)
MODEL = "models/Qwen3-0.6B"


@pytest.fixture
def catalog(zone: Path) -> Iterator[Catalog]:
    with Catalog.opened(zone / ".branch_catalog.db", zone) as catalog:
        yield catalog


@pytest.fixture
def officer(zone: Path, catalog: Catalog) -> BranchOfficer:
    """Without a scan yet; that of the conftest has its own catalog."""
    registry = HostRegistry({}, RealmPaths(zone).hosts_file)
    return BranchOfficer("nas", zone, catalog, lambda: registry, lambda: None)


def told(officer: BranchOfficer, asset_id: str) -> dict[str, Any]:
    found: dict[str, Any] = officer.asset(asset_id)["asset"]
    return found


def landed(path: Path, asset_id: str, asset_type: str = "checkpoint") -> PullReport:
    manifest = read_manifest(path) if (path / "MANIFEST.json").exists() else make_manifest(path)
    assert manifest is not None
    return PullReport(path, asset_type, manifest, manifest["total_bytes"], manifest["total_bytes"], 0, 0, 0, 0.1,
                      already_there=False, asset_id=asset_id)  # fmt: skip


def test_a_copy_that_nobody_compared_is_not_verified_and_a_torn_one_is_known_as_such(
    officer: BranchOfficer, zone: Path
) -> None:
    """A30: brought by `cp` with a flipped byte, it had a manifest whose sizes fit."""
    officer.scan()
    asset = told(officer, "checkpoint_175000")
    assert (asset["status"], asset["verified_at"], len(asset["checksum"])) == ("unverified", None, 64)
    (zone / "checkpoints" / CHECKPOINT / "model.safetensors").unlink()
    officer.scan()
    assert told(officer, "checkpoint_175000")["status"] == "corrupted"


def test_what_was_compared_when_it_landed_stays_verified_until_it_is_written(
    officer: BranchOfficer, catalog: Catalog, zone: Path
) -> None:
    """Each scan forgot what was verified, and when it had come."""
    for path, asset_id, kind in (
        (zone / "checkpoints" / CHECKPOINT, "checkpoint_175000", "checkpoint"),
        (zone / MODEL, "model_qwen3_0.6b", "model"),
    ):
        book_landed(catalog, landed(path, asset_id, kind), NOW)
    officer.scan()
    for asset_id in ("checkpoint_175000", "model_qwen3_0.6b"):
        place = officer.find(asset_id).locations[0]
        assert (place.status, place.verified_at, place.synced_at) == ("verified", NOW.isoformat(), NOW.isoformat())
    weights = zone / MODEL / "model.safetensors"
    with weights.open("r+b") as file:
        file.write(b"x")
    os.utime(weights, ns=(0, weights.stat().st_mtime_ns + 1))
    officer.scan()
    assert told(officer, "model_qwen3_0.6b")["status"] == "unverified"
    assert told(officer, "checkpoint_175000")["status"] == "verified"


def test_what_landed_under_another_name_keeps_its_id_and_so_does_what_nothing_tells_apart(
    officer: BranchOfficer, catalog: Catalog, zone: Path
) -> None:
    """A4, A27: it was booked as `model_five`, and archives were not booked at all."""
    shutil.copytree(zone / "checkpoints" / CHECKPOINT, zone / "five")
    archive = zone / "kept" / "backup-1"
    (archive / "deep").mkdir(parents=True)
    (archive / "deep" / "notes.yaml").write_text("a: 1\n")
    shutil.rmtree(zone / "checkpoints" / CHECKPOINT)
    book_landed(catalog, landed(zone / "five", "checkpoint_175000"), NOW)
    book_landed(catalog, landed(archive, "backup_dio-1", "backup"), NOW)
    for _ in range(2):
        found = catalog.locate("checkpoint_175000")
        assert found is not None
        assert (found.locations[0].path, found.step, found.asset_type) == (str(zone / "five"), 175000, "checkpoint")
        assert told(officer, "backup_dio-1")["path"] == str(archive)
        officer.scan()
    with pytest.raises(NotFound):
        officer.find("config_notes")


def test_a_landed_asset_whose_id_other_bytes_have_gets_one_of_its_own(
    officer: BranchOfficer, catalog: Catalog, zone: Path
) -> None:
    """It had landed whole, and each retry was a conflict."""
    other = "checkpoint-175000-20261122-1000"
    publish(CheckpointStore(zone / "checkpoints"), other, "of another history")
    officer.register(f"checkpoints/{CHECKPOINT}")
    asset = book_landed(catalog, landed(zone / "checkpoints" / other, "checkpoint_175000"), NOW)
    assert asset.asset_id == other.replace("-", "_", 1)
    assert officer.find("checkpoint_175000").name == CHECKPOINT


def test_what_arrives_while_a_scan_looks_stays_and_what_goes_does_not_come_back(
    officer: BranchOfficer, catalog: Catalog, zone: Path
) -> None:
    """A2, A4: a transfer that ended during the hourly scan was not there until the next one."""
    began = NOW - timedelta(minutes=5)
    seen = Looking(catalog).below([zone / "models", zone / "train_syllo_abc.jsonl"])
    book_landed(catalog, landed(zone / "checkpoints" / CHECKPOINT, "checkpoint_175000"), NOW)
    book_landed(catalog, landed(zone / MODEL, "model_qwen3_0.6b", "model"), NOW)
    (zone / "train_syllo_abc.jsonl").unlink()
    catalog.replace_stronghold(LOCAL, seen.assets, settle=settling(seen.assets, began))
    assert officer.find("checkpoint_175000").locations[0].status == "verified"
    assert officer.find("model_qwen3_0.6b").locations[0].status == "verified"
    assert catalog.locate("data_train_syllo_abc") is None


def test_a_name_that_is_no_unicode_is_told_and_keeps_nothing_else_out(officer: BranchOfficer, zone: Path) -> None:
    """One such file kept a whole zone out of every catalog."""
    Path(os.fsdecode(os.fsencode(zone) + b"/caf\xe9.jsonl")).write_text("{}\n")
    answer = officer.scan()
    assert answer["registered"] == 3
    assert "no Unicode" in answer["errors"][0]


def test_a_checkpoint_that_was_moved_is_found_where_it_is(officer: BranchOfficer, catalog: Catalog, zone: Path) -> None:
    """A1: the row of its former place was looked at first, and it was 404 until a whole scan."""
    officer.scan()
    (zone / "b").mkdir()
    os.rename(zone / "checkpoints" / CHECKPOINT, zone / "b" / CHECKPOINT)
    with pytest.raises(NotFound):
        officer.find("checkpoint_175000")
    officer.register(f"b/{CHECKPOINT}")
    asset = catalog.locate("checkpoint_175000")
    assert asset is not None
    assert [place.path for place in asset.locations] == [str(zone / "b" / CHECKPOINT)]
    shutil.copytree(zone / "b" / CHECKPOINT, zone / "a" / CHECKPOINT)
    officer.scan()
    assert len(officer.find("checkpoint_175000").locations) == 2
    shutil.rmtree(zone / "a")
    assert officer.held("checkpoint_175000").root == zone / "b" / CHECKPOINT


def test_two_files_of_one_stem_are_two_assets(officer: BranchOfficer, zone: Path) -> None:
    """A27: one was sent, verified and booked for the other."""
    for name in ("a", "b"):
        (zone / name).mkdir()
        (zone / name / "x.jsonl").write_text(f'{{"of": "{name}"}}\n')
    first = officer.register("a/x.jsonl")["asset"]["asset_id"]
    second = officer.register("b/x.jsonl")["asset"]["asset_id"]
    assert (first, second) == ("data_x", "data_b_x")
    officer.scan()
    for asset_id, name in ((first, "a"), (second, "b")):
        assert officer.held(asset_id).root == zone / name


def test_other_names_of_a_checkpoint_are_taken_as_by_the_vault(officer: BranchOfficer, zone: Path) -> None:
    publish(CheckpointStore(zone / "checkpoints"), "checkpoint-180000-20261122-1000", "later", train_loss=0.7)
    officer.scan()
    older = ("175000", CHECKPOINT, CHECKPOINT.replace("-", "_", 1), "checkpoint-175000", "best")
    assert {officer.find(name).asset_id for name in older} == {"checkpoint_175000"}
    assert officer.find("latest").asset_id == "checkpoint_180000"


def test_what_is_told_with_a_registration_is_held_against_what_lies_there(officer: BranchOfficer, zone: Path) -> None:
    """Spec 1.11: its body has type, name, checksum and metadata as well."""
    digest = digest_of(make_manifest(zone / MODEL))
    body: dict[str, Any] = {"asset_id": "model_qwen3_0.6b", "asset_type": "model", "name": "Qwen3-0.6B"}
    asset = officer.register(MODEL, **body, checksum=digest, metadata={"from": "hub"})["asset"]
    assert (asset["status"], asset["checksum"]) == ("verified", digest)
    officer.scan()
    assert told(officer, "model_qwen3_0.6b")["metadata"] == {"model_type": "qwen3", "from": "hub"}
    assert told(officer, "model_qwen3_0.6b")["status"] == "verified"
    for wrong in ({"asset_type": "checkpoint"}, {"name": "other"}, {"checksum": "0" * 64}):
        with pytest.raises(Conflict, match="What lies at"):
            officer.register(MODEL, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "place", ["configs/hosts.json", "status/x", "queue/normal/x.jsonl", "current_model/x", "data/x"]
)
def test_nothing_is_fetched_into_what_has_its_own_ways_in(officer: BranchOfficer, zone: Path, place: str) -> None:
    """Law 6: a quest that was never checked, a checkpoint in no ledger, another registry."""
    RealmPaths(zone).create()
    with pytest.raises(OutOfBounds, match="has its own ways in"):
        officer.receive("config_x", "config", place, None)
    assert officer.receive("config_x", "config", "models/x", None)["ready"]


def test_a_zone_without_a_realm_may_have_folders_of_these_names(officer: BranchOfficer) -> None:
    assert officer.receive("checkpoint_5", "checkpoint", "data/checkpoint-5", None)["ready"]
    with pytest.raises(OutOfBounds):
        officer.receive("configs", "config", None, None)


def test_the_first_of_several_places_is_a_whole_one(officer: BranchOfficer, catalog: Catalog, zone: Path) -> None:
    officer.scan()
    asset = officer.find("checkpoint_175000")
    torn = Location(LOCAL, str(zone / "models"), LocationStatus.CORRUPTED)
    catalog.put(replace(asset, locations=(torn,)))
    assert officer.find("checkpoint_175000").locations[0].path.endswith(CHECKPOINT)
