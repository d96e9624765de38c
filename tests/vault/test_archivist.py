"""The archivist on real directories: sealing, reading again, bringing back, and what a kill leaves of each."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, NotFound, Unavailable
from core.files import Files
from core.paths import RealmPaths
from core.settings import RetentionSettings
from tests.vault.catalog.assets import EARLY, LATE, furnish
from tests.vault.making import killed_at, publish
from vault import StorageRegistry, StrongholdType, VaultKeeper
from vault.archivist import Archivist
from vault.assets import LOCAL, AssetType
from vault.budgets import Purge
from vault.checkpoints import CheckpointStore
from vault.copies import here
from vault.manifest import check_manifest
from vault.seals import NOTE, STAGING, problems_of_seal, read_seal
from vault.storage_registry import StorageProfile
from vault.stores import Stores
from vault.treasury import Treasury

NOW = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)

SEAL = """
import sys
from datetime import datetime
from pathlib import Path
from vault.archivist import Archivist
from vault.keeper import VaultKeeper
with VaultKeeper(Path(sys.argv[1])) as keeper:
    archivist = Archivist(keeper)
    now = datetime.fromisoformat(sys.argv[2])
    act = {"seal": archivist.seal, "restore": archivist.restore}[sys.argv[3]]
    act("checkpoint_1000", now=now)
"""


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    return furnish(paths)


@pytest.fixture
def keeper(paths: RealmPaths, store: CheckpointStore) -> Iterator[VaultKeeper]:
    with VaultKeeper(paths.base) as keeper:
        yield keeper


@pytest.fixture
def nas(paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stronghold that is mounted on this host."""
    mounted = tmp_path_factory.mktemp("nas")
    StorageRegistry(paths.base).register_stronghold("nas", StrongholdType.NAS, "192.0.2.7", base_path=mounted)
    return mounted


def strongholds_of(keeper: VaultKeeper, asset_id: str) -> list[str]:
    found = keeper.find(asset_id)
    return [] if found is None else sorted(each.stronghold for each in found.locations)


# --- sealing -------------------------------------------------------------------------------------------------------


def test_a_sealed_checkpoint_is_a_verified_copy_of_the_same_asset(keeper: VaultKeeper, nas: Path) -> None:
    """A4, A27: a copy elsewhere was in no catalog; and it is no second asset."""
    archivist = Archivist(keeper)
    seal = archivist.seal("best", "nas", "before a risky change", now=NOW)
    assert seal.path == nas / "backups" / f"{EARLY}-20261122T101500Z"
    assert check_manifest(seal.content) == []
    found = keeper.get_asset("checkpoint_1000")
    own, there = sorted(found.locations, key=lambda each: each.stronghold != LOCAL)
    assert (there.stronghold, there.path, there.status) == ("nas", str(seal.content), "verified")
    assert (there.checksum, there.verified_at) == (own.checksum, NOW.isoformat())
    told = json.loads((seal.path / NOTE).read_text())
    assert (told["reason"], told["came_from"]) == ("before a risky change", f"current_model/{EARLY}")
    assert archivist.seals("nas") == [read_seal(seal.path, "nas")]


def test_sealing_the_same_bytes_again_makes_no_second_copy_unless_the_first_has_rotted(keeper: VaultKeeper) -> None:
    archivist = Archivist(keeper)
    first = archivist.seal("checkpoint_1000", now=NOW)
    again = archivist.seal("checkpoint_1000", now=NOW + timedelta(hours=1))
    assert (again.path, again.note.verified_at) == (first.path, NOW + timedelta(hours=1))
    (first.content / "model.safetensors").write_text("x" * 700)
    second = archivist.seal("checkpoint_1000", now=NOW + timedelta(hours=2))
    assert second.path != first.path
    assert problems_of_seal(here, second.path) == []


@pytest.mark.parametrize("asset_id", ["model_qwen3_0.6b", "data_train_syllo_abc", "backup_dio-20261101T120000Z"])
def test_what_has_no_manifest_gets_one_with_its_seal(keeper: VaultKeeper, asset_id: str) -> None:
    """A30: directories had no checksum, so nobody could say whether a copy of one was whole."""
    archivist = Archivist(keeper)
    seal = archivist.seal(asset_id, now=NOW)
    assert problems_of_seal(here, seal.path) == []
    file = seal.content if seal.content.is_file() else next(each for each in seal.content.rglob("*") if each.is_file())
    file.write_text("something else")
    assert archivist.verify(seal) != []
    assert len(strongholds_of(keeper, asset_id)) == 2


def test_a_checkpoint_that_is_not_what_its_manifest_says_is_not_sealed(keeper: VaultKeeper) -> None:
    """A30: a torn copy that passes for a backup is worse than none."""
    (keeper.paths.current_model / EARLY / "model.safetensors").write_text("x" * 700)
    with pytest.raises(Conflict, match="altered"):
        Archivist(keeper).seal("checkpoint_1000")
    assert [each.name for each in keeper.paths.backups.iterdir()] == []
    assert strongholds_of(keeper, "checkpoint_1000") == [LOCAL]


def test_a_stronghold_that_cannot_take_it_says_why(keeper: VaultKeeper, nas: Path, tmp_path: Path) -> None:
    archivist, registry = Archivist(keeper), StorageRegistry(keeper.paths.base)
    with pytest.raises(NotFound, match="no stronghold 'attic'"):
        archivist.seal("checkpoint_1000", "attic")
    registry.register_stronghold("attic", StrongholdType.NAS)
    with pytest.raises(Unavailable, match="not mounted"):
        archivist.seal("checkpoint_1000", "attic")
    registry.register_stronghold("attic", StrongholdType.NAS, base_path=tmp_path / "never mounted")
    with pytest.raises(Unavailable):
        archivist.seal("checkpoint_1000", "attic")
    registry.register_stronghold("nas", StrongholdType.NAS, base_path=nas, profile=StorageProfile(store_backups=False))
    with pytest.raises(Conflict, match="not for backups"):
        archivist.seal("checkpoint_1000", "nas")
    registry.register_stronghold("nas", StrongholdType.NAS, base_path=nas, profile=StorageProfile(max_size_gb=1e-9))
    with pytest.raises(Conflict, match="larger than"):
        archivist.seal("checkpoint_1000", "nas")
    assert not (tmp_path / "never mounted").exists()


def test_a_dead_mount_keeps_nobody_waiting(keeper: VaultKeeper, nas: Path) -> None:
    """The look at a share that is gone never returns; the others are told of all the same."""
    archivist = Archivist(keeper)
    archivist.seal("checkpoint_1000", now=NOW)
    ever = threading.Event()

    class Hanging(Stores):
        def _look(self, store: object) -> list[object]:  # type: ignore[override]
            if getattr(store, "name", None) == "nas":
                ever.wait()
            return super()._look(store)  # type: ignore[arg-type,return-value]

    slow = Archivist(keeper, Hanging(keeper.paths, look_seconds=0.2))
    assert [each.stronghold for each in slow.seals()] == [LOCAL]
    with pytest.raises(Unavailable, match="has not answered within"):
        slow.seals("nas")
    ever.set()


# --- reading again and bringing back -------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["a flipped byte", "a file less", "another manifest"])
def test_a_damaged_backup_is_found_and_never_brought_back(keeper: VaultKeeper, damage: str) -> None:
    """A30: verify was `exists`."""
    archivist = Archivist(keeper)
    seal = archivist.seal("checkpoint_1000", now=NOW)
    assert archivist.verify(seal) == []
    weights = seal.content / "model.safetensors"
    if damage == "a flipped byte":
        weights.write_text("W" + weights.read_text()[1:])
    elif damage == "a file less":
        weights.unlink()
    else:
        shutil.copy(keeper.paths.current_model / LATE / "MANIFEST.json", seal.content / "MANIFEST.json")
    assert archivist.verify(seal) != []
    place = keeper.paths.models / "again"
    with pytest.raises((Conflict, Unavailable)):
        archivist.restore(seal.name, place)
    assert not place.exists()
    assert not list(keeper.paths.models.glob(".fetch-*"))


def test_a_lost_checkpoint_comes_back_to_a_branch_from_which_a_rewind_takes_it(
    keeper: VaultKeeper, store: CheckpointStore
) -> None:
    """DESIGN section 3: out of sight of everything that looks for the newest or the best, until somebody goes back."""
    archivist = Archivist(keeper)
    archivist.seal("checkpoint_1000", now=NOW)
    shutil.rmtree(store.root / EARLY)
    keeper.reconcile()
    assert strongholds_of(keeper, "checkpoint_1000") == [LOCAL]
    foretold = archivist.foretell_restore("1000", now=NOW)
    done = archivist.restore("1000", now=NOW)
    assert (done.path, done.was_there) == (foretold["path"], False)
    assert [(each.name, each.path) for each in store.branches()] == [(EARLY, Path(done.path))]
    assert check_manifest(Path(done.path)) == []
    assert archivist.restore("1000", now=NOW + timedelta(days=1)).was_there
    assert len(store.branches()) == 1


def test_nothing_that_differs_is_ever_overwritten(keeper: VaultKeeper) -> None:
    archivist = Archivist(keeper)
    archivist.seal("data_train_syllo_abc", now=NOW)
    data = keeper.paths.lane("high") / "train_syllo_abc.jsonl"
    assert archivist.restore("data_train_syllo_abc").was_there
    data.write_text('{"mine": true}\n')
    with pytest.raises(Conflict, match="Something else lies at"):
        archivist.restore("data_train_syllo_abc")
    assert data.read_text() == '{"mine": true}\n'
    data.unlink()
    assert archivist.restore("data_train_syllo_abc").path == str(data)
    assert data.read_text() == "{}\n"


def test_a_note_that_leads_out_of_its_place_is_no_backup(keeper: VaultKeeper) -> None:
    """A note is a file like others, and may be written by anybody who mounts the share."""
    archivist = Archivist(keeper)
    seal = archivist.seal("data_train_syllo_abc", now=NOW)
    note = json.loads((seal.path / NOTE).read_text())
    for field, value in (("name", "../../x"), ("name", ".."), ("version", 2), ("sealed_at", "2026-01-01T00:00:00")):
        (seal.path / NOTE).write_text(json.dumps({**note, field: value}))
        assert archivist.seals() == []
    (seal.path / NOTE).write_text(json.dumps({**note, "came_from": "../../etc/x"}))
    with pytest.raises(Conflict, match="outside of the realm"):
        archivist.restore(seal.name)
    (seal.path / NOTE).write_text(json.dumps({**note, "manifest": {**note["manifest"], "total_bytes": 1}}))
    assert archivist.seals() == []
    with pytest.raises(NotFound):
        archivist.find("data_train_syllo_abc")


# --- the catalog ---------------------------------------------------------------------------------------------------


def test_backups_are_in_a_catalog_that_is_made_anew_and_leave_it_when_they_are_deleted_by_hand(
    keeper: VaultKeeper, nas: Path
) -> None:
    """A1, A26: told of although it was gone."""
    archivist = Archivist(keeper)
    there, here = archivist.seal("checkpoint_1000", "nas", now=NOW), archivist.seal("checkpoint_1000", now=NOW)
    before = list(keeper.export())
    keeper.rebuild()
    assert list(keeper.export()) == before
    for seal in (there, here):
        shutil.rmtree(seal.path)
    archivist.tidy("nas", NOW)
    assert strongholds_of(keeper, "checkpoint_1000") == [LOCAL]
    assert len(keeper.get_asset("checkpoint_1000").locations) == 1


def test_a_backup_outlives_its_asset_in_the_catalog(keeper: VaultKeeper, nas: Path) -> None:
    """A24: what was deleted here is still found where it was kept."""
    archivist = Archivist(keeper)
    seal = archivist.seal("model_qwen3_0.6b", "nas", now=NOW)
    assert keeper.get_asset("model_qwen3_0.6b").status == "active"
    shutil.rmtree(keeper.paths.models / "Qwen3-0.6B")
    assert keeper.get_asset("model_qwen3_0.6b").status == "archived"  # before any look finds out
    assert "model_qwen3_0.6b" not in [each.asset_id for each in keeper.search(status="active").assets]
    keeper.reconcile()
    found = keeper.locate("model_qwen3_0.6b")
    assert found.best_location is not None
    assert found.best_location.path == str(seal.content)
    assert [each.asset_id for each in keeper.search(status="archived").assets] == [
        "backup_dio-20261101T120000Z", "model_qwen3_0.6b"
    ]  # fmt: skip
    assert keeper.fetch("model_qwen3_0.6b", keeper.paths.models / "Qwen3-0.6B").success


def test_a_step_that_was_made_anew_is_not_taken_for_its_backup(keeper: VaultKeeper, store: CheckpointStore) -> None:
    """G15: after a rewind the same step holds other weights."""
    Archivist(keeper).seal("checkpoint_1000", now=NOW)
    shutil.rmtree(store.root / EARLY)
    newer = "checkpoint-1000-20261122-1200"
    publish(store, newer, "other weights")
    keeper.reconcile()
    assert keeper.get_asset("checkpoint_1000").name == newer
    assert keeper.get_asset(EARLY.replace("-", "_", 1)).name == EARLY


# --- kills and full disks ------------------------------------------------------------------------------------------

KILLED_AT = ("asset.copied", "seal.staged", "seal.renamed")


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_kill_while_sealing_leaves_a_whole_backup_or_none(
    paths: RealmPaths, store: CheckpointStore, point: str
) -> None:
    """A30: an interrupted copy passed for a checkpoint."""
    killed_at(point, SEAL, str(paths.base), NOW.isoformat(), "seal")
    with VaultKeeper(paths.base) as keeper:
        keeper.reconcile()
        archivist = Archivist(keeper)
        known = archivist.seals()
        assert [problems_of_seal(here, each.path) for each in known] == ([[]] if point == "seal.renamed" else [])
        assert len(keeper.get_asset("checkpoint_1000").locations) == 1 + len(known)
        stagings = list(paths.backups.glob(f"{STAGING}*"))
        assert bool(stagings) == (point != "seal.renamed")
        archivist.tidy(LOCAL, datetime.now(UTC))
        assert list(paths.backups.glob(f"{STAGING}*")) == stagings
        archivist.tidy(LOCAL, datetime.now(UTC) + timedelta(days=2))
        assert not list(paths.backups.glob(f"{STAGING}*"))
        assert problems_of_seal(here, archivist.seal("checkpoint_1000", now=NOW).path) == []


def test_a_kill_while_restoring_leaves_nothing_under_the_name(paths: RealmPaths, store: CheckpointStore) -> None:
    with VaultKeeper(paths.base) as keeper:
        Archivist(keeper).seal("checkpoint_1000", now=NOW)
    shutil.rmtree(store.root / EARLY)
    killed_at("asset.copied", SEAL, str(paths.base), NOW.isoformat(), "restore")
    assert store.branches() == []
    with VaultKeeper(paths.base) as keeper:
        archivist = Archivist(keeper)
        keeper.sweep(datetime.now(UTC) + timedelta(days=2))
        assert not list(paths.current_model.rglob(".fetch-*"))
        archivist.restore("checkpoint_1000", now=NOW)
    assert [each.name for each in store.branches()] == [EARLY]


def test_a_disk_that_refuses_leaves_no_half_backup(keeper: VaultKeeper) -> None:
    class Full(Files):
        def rename_dir(self, source: Path, target: Path) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="No space left"):
        Archivist(keeper, files=Full()).seal("checkpoint_1000")
    assert list(keeper.paths.backups.iterdir()) == []


# --- purging -------------------------------------------------------------------------------------------------------


def treasury_of(keeper: VaultKeeper, **limits: object) -> Treasury:
    settings = RetentionSettings.model_validate(limits)
    treasury = Treasury(keeper.paths, CheckpointLedger.of(keeper.paths), lambda: settings)
    treasury.on_gone = keeper.note_gone
    return treasury


@pytest.fixture
def sealed(keeper: VaultKeeper, nas: Path) -> Archivist:
    """Three backups of a model in the stronghold, a day between them, and one here."""
    archivist = Archivist(keeper)
    weights = keeper.paths.models / "Qwen3-0.6B" / "model.safetensors"
    for day in range(3):
        weights.write_text(f"weights of day {day}")
        archivist.seal("model_qwen3_0.6b", "nas", now=NOW + timedelta(days=day))
    archivist.seal("data_train_syllo_abc", now=NOW)
    return archivist


def test_backups_go_by_number_age_and_name_and_a_dry_run_says_which(keeper: VaultKeeper, sealed: Archivist) -> None:
    """A1: whatever deletes tells the catalog."""
    later, treasury = NOW + timedelta(days=30), treasury_of(keeper)
    for wish, number in ((Purge(keep=1, stronghold="nas"), 2), (Purge(older_than_days=28.5), 3), (Purge(keep=0), 4)):
        assert len(treasury.purge(wish, later, dry_run=True).deletions) == number
    assert len(sealed.seals()) == 4
    told = treasury.purge(Purge(keep=2, stronghold="nas"), later)
    assert [each.reason for each in told.deletions] == ["It is not one of the 2 newest backups."]
    first = told.deletions[0].holding
    assert (first.stronghold, first.path.exists()) == ("nas", False)
    assert len(sealed.seals("nas")) == 2
    newest = sealed.seals("nas")[-1]
    assert keeper.find(f"backup_{newest.name}") is not None
    # Whoever names one has seen it, however young it is.
    named = treasury.purge(Purge(names=(newest.name,)), NOW + timedelta(days=2, hours=1))
    assert [each.holding.name for each in named.deletions] == [newest.name]
    assert keeper.find(f"backup_{newest.name}") is None
    with pytest.raises(NotFound):
        treasury.purge(Purge(names=("no such backup",)), later)


def test_rounds_keep_to_the_budget_of_each_stronghold_that_is_cleaned_up_by_itself(
    keeper: VaultKeeper, sealed: Archivist, nas: Path
) -> None:
    """A16: nobody pruned what was put elsewhere, until that disk was full."""
    later, registry = NOW + timedelta(days=30), StorageRegistry(keeper.paths.base)
    assert treasury_of(keeper, backups=1).plan(later) == []
    size = sealed.seals("nas")[0].size_bytes
    profile = StorageProfile(auto_cleanup=True, max_size_gb=2.5 * size / 1e9)
    registry.register_stronghold("nas", StrongholdType.NAS, base_path=nas, profile=profile)
    gone = treasury_of(keeper).prune(later)
    assert [each.reason.partition(", ")[2] for each in gone] == ["more than max_size_gb of nas allows."]
    profile = StorageProfile(auto_cleanup=True, retention_days=27)
    registry.register_stronghold("nas", StrongholdType.NAS, base_path=nas, profile=profile)
    assert len(treasury_of(keeper).prune(later)) == 2
    assert sealed.seals("nas") == []


def test_backups_of_another_realm_in_the_same_stronghold_are_left_alone(keeper: VaultKeeper, sealed: Archivist) -> None:
    seal = sealed.seals("nas")[0]
    note = json.loads((seal.path / NOTE).read_text())
    (seal.path / NOTE).write_text(json.dumps({**note, "base_dir": "/srv/another-realm"}))
    told = treasury_of(keeper).purge(Purge(keep=0, stronghold="nas"), NOW + timedelta(days=30), dry_run=True)
    assert len(told.deletions) == 2
    assert seal.name not in [each.holding.name for each in told.deletions]


def test_a_deletion_that_was_cut_off_is_finished_in_the_stronghold_too(
    keeper: VaultKeeper, sealed: Archivist, nas: Path
) -> None:
    class Refusing(Files):
        def unlink(self, path: Path) -> None:
            raise OSError(5, "Input/output error")

    settings = RetentionSettings()
    treasury = Treasury(keeper.paths, CheckpointLedger.of(keeper.paths), lambda: settings, files=Refusing())
    treasury.purge(Purge(keep=2, stronghold="nas"), NOW + timedelta(days=30))
    assert len(list((nas / "backups").glob(".trash-*"))) == 1
    assert len(sealed.seals("nas")) == 2
    treasury_of(keeper).prune(NOW + timedelta(days=30))
    assert not list((nas / "backups").glob(".trash-*"))


def test_what_kind_of_asset_it_is_stands_in_the_list(keeper: VaultKeeper, sealed: Archivist) -> None:
    kinds = {each.note.asset_type for each in sealed.seals()}
    assert kinds == {AssetType.MODEL, AssetType.TRAINING_DATA}
    assert os.path.basename(sealed.seals(LOCAL)[0].to_json()["path"]) == "train_syllo_abc.jsonl-20261122T101500Z"
