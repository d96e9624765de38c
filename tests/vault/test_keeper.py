"""The VaultKeeper over a real realm's directory: ids, deletions, registering, scanning, verifying, fetching."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, InvalidInput, NotFound
from core.paths import RealmPaths
from core.settings import RetentionSettings
from tests.vault.catalog.assets import EARLY, LATE, furnish, make_model
from tests.vault.making import killed_at, publish
from tests.waiting import wait_until
from vault import StorageRegistry, StrongholdType, VaultDiscovery, VaultKeeper, ask_vault_first
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog, Changes
from vault.checkpoints import CheckpointStore
from vault.treasury import Treasury

IDS = [
    "backup_dio-20261101T120000Z", "checkpoint_1000", "checkpoint_20000", "config_config", "data_held_out",
    "data_train_syllo_abc", "model_qwen3_0.6b",
]  # fmt: skip

ENTER = """
import sys
from pathlib import Path
from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore
from vault.keeper import VaultKeeper

paths = RealmPaths(Path(sys.argv[1]))
keeper = VaultKeeper(paths.base)
ledger = CheckpointLedger.of(paths)
ledger.on_change = keeper.note_checkpoints
"""
RECORD = ENTER + "ledger.adopt_orphan(paths.current_model / sys.argv[2])"
FORGET = ENTER + "CheckpointStore(paths.current_model).trash(sys.argv[2]); ledger.forget(sys.argv[2], 'test')"


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    return furnish(paths)


@pytest.fixture
def keeper(paths: RealmPaths, store: CheckpointStore) -> Iterator[VaultKeeper]:
    with VaultKeeper(paths.base) as keeper:
        yield keeper


def contents(keeper: VaultKeeper) -> list[Asset]:
    return list(keeper.export())


# --- finding -------------------------------------------------------------------------------------------------------


def test_the_first_keeper_of_a_realm_finds_everything_in_it(keeper: VaultKeeper) -> None:
    assert [asset.asset_id for asset in contents(keeper)] == IDS
    found = keeper.locate("checkpoint_20000")
    assert found.best_location is not None
    assert (found.found, found.best_location.status, Path(found.best_location.path).name) == (True, "verified", LATE)
    assert found.best_location.checksum is not None
    assert keeper.get_asset("checkpoint_1000").metadata == {
        "step": 1000, "train_loss": 0.5, "skill_name": "bin", "has_optimizer": False, "milestone": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reference", "asset_id"),
    [
        ("checkpoint_1000", "checkpoint_1000"),
        (EARLY, "checkpoint_1000"),
        ("checkpoint_1000-20261121-0900", "checkpoint_1000"),
        ("checkpoint-1000", "checkpoint_1000"),
        ("1000", "checkpoint_1000"),
        ("latest", "checkpoint_20000"),
        ("best", "checkpoint_1000"),
        ("model_qwen3_0.6b", "model_qwen3_0.6b"),
        ("Qwen3-0.6B", "model_qwen3_0.6b"),
        ("data_train_syllo_abc", "data_train_syllo_abc"),
        ("config_config", "config_config"),
    ],
)
def test_an_asset_is_found_by_all_its_names(keeper: VaultKeeper, reference: str, asset_id: str) -> None:
    """A27: the same thing once had two ids, and was not found by one of them."""
    assert keeper.locate(reference).asset_id == asset_id
    assert keeper.locate(reference).found


@pytest.mark.parametrize(
    "reference",
    [
        "checkpoint_100",
        "10",
        "checkpoint-1000-20261121-0901",
        "",
        "checkpoint_",
        "champion",
        "../x",
        "\udcff",
        "9" * 40,
    ],
)
def test_what_is_not_there_is_not_found_and_says_so(keeper: VaultKeeper, reference: str) -> None:
    """A29: 100 is not 1000."""
    lookup = keeper.locate(reference)
    assert (lookup.found, lookup.best_location, lookup.locations) == (False, None, ())
    assert lookup.error
    with pytest.raises(NotFound):
        keeper.get_asset(reference)


def test_of_two_checkpoints_of_one_step_the_newer_one_has_the_short_id(
    keeper: VaultKeeper, store: CheckpointStore
) -> None:
    """A27: as the ledger has it; when the newer one goes, the older one takes its id."""
    ledger = CheckpointLedger.of(keeper.paths)
    ledger.on_change = keeper.note_checkpoints
    newer = "checkpoint-1000-20261121-1800"
    publish(store, newer)
    ledger.adopt_orphan(store.root / newer)
    assert keeper.get_asset("checkpoint_1000").name == newer == ledger.find("checkpoint_1000").canonical_name  # type: ignore[union-attr]
    assert keeper.locate(EARLY).asset_id == "checkpoint_1000-20261121-0900"
    store.take_back(LATE) if store.head() != LATE else None
    store.set_head(EARLY)
    store.trash(newer)
    ledger.forget(newer, "test")
    assert keeper.get_asset("checkpoint_1000").name == EARLY
    assert not keeper.locate(newer).found
    assert keeper.catalog.locate("checkpoint_1000-20261121-0900") is None


def test_an_unknown_type_is_refused_and_a_close_one_is_guessed(keeper: VaultKeeper) -> None:
    with pytest.raises(InvalidInput, match="Did you mean checkpoint"):
        keeper.search("checkpont")
    with pytest.raises(InvalidInput, match="There are active"):
        keeper.search(status="zzz")
    assert keeper.search("model").total == 1


# --- deletions -----------------------------------------------------------------------------------------------------


def test_a_directory_deleted_by_hand_is_gone_from_every_answer_at_once_and_from_the_file_with_the_next_look(
    keeper: VaultKeeper, paths: RealmPaths
) -> None:
    """A1, A26: a catalog that tells of what is not there."""
    shutil.rmtree(paths.current_model / EARLY)
    shutil.rmtree(paths.models / "Qwen3-0.6B")
    assert not keeper.locate("checkpoint_1000").found
    assert keeper.locate("best").asset_id != "checkpoint_1000"
    assert [asset.asset_id for asset in keeper.list_checkpoints().assets] == ["checkpoint_20000"]
    assert keeper.is_behind
    changes = keeper.reconcile()
    assert changes.removed == ["checkpoint_1000", "model_qwen3_0.6b"]
    assert keeper.stats()["total_assets"] == len(IDS) - 2
    assert not keeper.is_behind


def test_nothing_that_was_deleted_comes_back(keeper: VaultKeeper, store: CheckpointStore) -> None:
    """A2: a look that began before a deletion must not enter what is gone."""
    from vault.catalog.finding import discover
    from vault.catalog.reconcile import settling

    seen = discover(keeper.paths)
    store.trash(EARLY)
    keeper.note_checkpoints([EARLY])
    keeper.catalog.replace_stronghold(LOCAL, seen, settle=settling(keeper.paths, seen))
    assert keeper.catalog.locate("checkpoint_1000") is None


def test_what_came_while_the_disk_was_looked_at_stays(keeper: VaultKeeper, store: CheckpointStore) -> None:
    """The other way round: a look that began before a save must not strike it out."""
    from vault.catalog.finding import discover
    from vault.catalog.reconcile import settling

    seen = discover(keeper.paths)
    publish(store, "checkpoint-30000-20261121-1100")
    keeper.note_checkpoints(["checkpoint-30000-20261121-1100"])
    keeper.catalog.replace_stronghold(LOCAL, seen, settle=settling(keeper.paths, seen))
    assert keeper.catalog.locate("checkpoint_30000") is not None


def test_whatever_the_treasury_deletes_leaves_ledger_and_catalog_in_the_same_act(
    keeper: VaultKeeper, store: CheckpointStore
) -> None:
    """A1, A24: checkpoints by the ledger, archives by the treasury itself."""
    ledger = CheckpointLedger.of(keeper.paths)
    ledger.reconcile()
    limits = RetentionSettings(resumable=1, weights_only=0, archives=0, archive_days=1e-9, min_age_hours=0)
    treasury = Treasury(keeper.paths, ledger, lambda: limits)
    ledger.on_change, treasury.on_gone = keeper.note_checkpoints, keeper.note_gone
    make_model(keeper.paths.archive / "dio-20260901T120000Z")
    keeper.reconcile()
    gone = {each.holding.name for each in treasury.prune(datetime(2099, 1, 1, tzinfo=UTC))}
    assert "dio-20260901T120000Z" in gone
    assert keeper.catalog.locate("backup_dio-20260901T120000Z") is None
    assert keeper.catalog.locate("backup_dio-20261101T120000Z") is not None


@pytest.mark.parametrize(
    ("point", "code", "is_there"), [("catalog.entering", RECORD, True), ("catalog.striking", FORGET, False)]
)
def test_a_kill_between_ledger_and_catalog_is_made_good_by_the_next_look(
    paths: RealmPaths, store: CheckpointStore, point: str, code: str, is_there: bool
) -> None:
    """A4: the ledger knew of it, and the catalog did not."""
    with VaultKeeper(paths.base):
        pass
    name = "checkpoint-1500-20261121-0930"
    publish(store, name)
    store.set_head(LATE)
    if not is_there:
        CheckpointLedger.of(paths).adopt_orphan(store.root / name)
        with VaultKeeper(paths.base) as keeper:
            keeper.reconcile()
    killed_at(point, code, str(paths.base), name)
    with VaultKeeper(paths.base) as keeper:
        assert (keeper.catalog.locate("checkpoint_1500") is not None) is not is_there
        keeper.reconcile()
        assert keeper.locate("checkpoint_1500").found is is_there


def test_a_catalog_that_cannot_be_written_falls_behind_and_says_so(keeper: VaultKeeper, store: CheckpointStore) -> None:
    """A checkpoint is saved all the same; what the catalog missed it learns with the next round."""
    keeper.catalog.db.close()
    keeper.note_checkpoints([EARLY])
    assert keeper.is_behind


def test_a_quest_that_went_to_another_lane_is_found_there(keeper: VaultKeeper, paths: RealmPaths) -> None:
    (paths.lane("high") / "train_syllo_abc.jsonl").rename(paths.lane("processing") / "train_syllo_abc.jsonl")
    best = keeper.locate("data_train_syllo_abc").best_location
    assert best is not None
    assert best.path == str(paths.lane("processing") / "train_syllo_abc.jsonl")


# --- rebuilding ----------------------------------------------------------------------------------------------------


def test_a_catalog_that_is_made_anew_has_the_same_content(
    paths: RealmPaths, store: CheckpointStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """DESIGN section 3: the catalog is a derived view."""
    nas, root = tmp_path_factory.mktemp("nas"), tmp_path_factory.mktemp("root")
    shutil.copytree(paths.current_model / LATE, nas / "kept" / LATE)
    make_model(root / "Other-1B")
    StorageRegistry(paths.base).register_stronghold("nas", StrongholdType.NAS, base_path=nas)
    with VaultKeeper(paths.base, roots=[root]) as keeper:
        keeper.scan(nas, "nas")
        keeper.register(root / "Other-1B", is_primary=False)
        before, counted = contents(keeper), keeper.stats()
        assert {len(asset.locations) for asset in before} == {1, 2}
        keeper.rebuild()
        assert contents(keeper) == before
        assert keeper.stats() == counted
    paths.catalog_db.unlink()
    with VaultKeeper(paths.base, roots=[root]) as keeper:
        keeper.rebuild()
        assert contents(keeper) == before


# --- registering and scanning ----------------------------------------------------------------------------------------


def test_a_checkpoint_is_one_asset_and_not_one_for_each_of_its_files(
    keeper: VaultKeeper, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The predecessor's scan entered every file inside a checkpoint as a model."""
    nas = tmp_path_factory.mktemp("nas")
    shutil.copytree(keeper.paths.current_model / EARLY, nas / "a" / EARLY)
    (nas / "a" / "notes.jsonl").write_text("{}\n")
    (nas / "link").symlink_to(keeper.paths.base)
    StorageRegistry(keeper.paths.base).register_stronghold("nas", StrongholdType.NAS, base_path=nas)
    ids, skipped = keeper.scan(nas, "nas")
    assert (ids, skipped) == (["checkpoint_1000", "data_notes"], [])
    assert keeper.scan(nas, "nas", recursive=False) == ([], [])
    assert [each.stronghold for each in keeper.locate("checkpoint_1000").locations] == [LOCAL, "nas"]
    shutil.rmtree(keeper.paths.current_model / EARLY)
    best = keeper.locate("checkpoint_1000").best_location
    assert best is not None
    assert (best.stronghold, best.status, best.verified_at) == ("nas", "unverified", None)
    keeper.reconcile()
    assert [each.stronghold for each in keeper.locate("checkpoint_1000").locations] == ["nas"]


def test_a_copy_with_other_bytes_is_left_out_with_its_reason(
    keeper: VaultKeeper, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """G15: a checkpoint of the same step from another history is not the same asset."""
    elsewhere = CheckpointStore(tmp_path_factory.mktemp("elsewhere"))
    publish(elsewhere, EARLY, content="other weights")
    publish(elsewhere, "checkpoint-20000-20261120-0000", content="other weights")
    ids, skipped = keeper.scan(elsewhere.root)
    assert ids == ["checkpoint_20000-20261120-0000"]
    assert "its hashes differ" in skipped[0]["reason"]
    assert keeper.get_asset("checkpoint_20000").name == LATE


def test_a_step_that_is_made_anew_after_a_rewind_is_not_confused_with_copies_of_its_former_self(
    keeper: VaultKeeper, store: CheckpointStore
) -> None:
    """G15: what this realm holds now is the checkpoint of that step."""
    former = keeper.get_asset("checkpoint_1000").locations[0].checksum
    keeper.catalog.put_location("checkpoint_1000", Location("nas", "/nas/1000", checksum=former))
    store.trash(EARLY)
    anew = "checkpoint-1000-20261121-1800"
    publish(store, anew, content="learned otherwise")
    keeper.note_checkpoints([EARLY, anew])
    asset = keeper.get_asset("checkpoint_1000")
    assert (asset.name, [each.stronghold for each in asset.locations]) == (anew, [LOCAL])


def test_what_is_no_asset_cannot_be_registered(keeper: VaultKeeper, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "program.exe").write_text("x")
    (folder / "link.jsonl").symlink_to(folder / "program.exe")
    for path in (folder, folder / "program.exe", folder / "link.jsonl", folder / "none"):
        with pytest.raises(NotFound):
            keeper.register(path)
    with pytest.raises(NotFound, match="no stronghold"):
        keeper.register(folder, "nowhere")
    with pytest.raises(NotFound, match="nothing that the catalog keeps"):
        keeper.register(keeper.paths.status)
    assert keeper.register(keeper.paths.models / "Qwen3-0.6B").asset_id == "model_qwen3_0.6b"


def test_what_was_registered_outside_is_gone_once_its_folder_is_there_without_it(
    paths: RealmPaths, store: CheckpointStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And a root that is not mounted tells nothing of what lies on it."""
    root = tmp_path_factory.mktemp("root")
    make_model(root / "Other-1B")
    with VaultKeeper(paths.base, roots=[root]) as keeper:
        keeper.register(root / "Other-1B")
        root.rename(root.with_name("unplugged"))
        keeper.reconcile()
        assert keeper.catalog.locate("model_other_1b") is not None
        root.with_name("unplugged").rename(root)
        shutil.rmtree(root / "Other-1B")
        assert keeper.reconcile().removed == ["model_other_1b"]


# --- verifying and fetching ------------------------------------------------------------------------------------------


def test_a_copy_is_verified_by_its_bytes_and_stays_so_in_later_looks(keeper: VaultKeeper) -> None:
    """A30: that a directory is there says nothing about what is in it."""
    (result,) = keeper.verify("checkpoint_1000", now=datetime(2030, 1, 1, tzinfo=UTC))
    assert (result["status"], result["problems"]) == ("verified", [])
    keeper.reconcile()
    (location,) = keeper.get_asset("checkpoint_1000").locations
    assert location.verified_at == "2030-01-01T00:00:00+00:00"
    weights = keeper.paths.current_model / EARLY / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(b"X" + content[1:])
    (result,) = keeper.verify(EARLY, now=datetime(2030, 1, 2, tzinfo=UTC))
    assert (result["status"], result["problems"]) == ("corrupted", ["model.safetensors was altered"])
    lookup = keeper.locate("checkpoint_1000")
    assert (lookup.found, lookup.best_location) == (True, None)
    keeper.reconcile()
    assert keeper.locate("checkpoint_1000").best_location is None


def test_a_model_without_hashes_gets_them_with_its_verification(keeper: VaultKeeper) -> None:
    """A30: directories had no checksum at all."""
    assert keeper.get_asset("model_qwen3_0.6b").locations[0].checksum is None
    keeper.verify("model_qwen3_0.6b")
    keeper.reconcile()
    (location,) = keeper.get_asset("model_qwen3_0.6b").locations
    assert (location.status, len(location.checksum or "")) == ("verified", 64)
    # The same bytes have the same hash, wherever they lie and whenever they came there.
    copied = keeper.paths.models / "Copied"
    shutil.copytree(keeper.paths.models / "Qwen3-0.6B", copied)
    keeper.reconcile()
    keeper.verify("model_copied")
    assert keeper.get_asset("model_copied").locations[0].checksum == location.checksum


def test_a_fetched_copy_is_whole_or_not_there(keeper: VaultKeeper, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A30: an interrupted copy once counted as a checkpoint."""
    target = tmp_path_factory.mktemp("fetched")
    fetched = keeper.fetch("checkpoint_1000", target)
    assert (fetched.success, fetched.local_path) == (True, str(target / EARLY))
    assert sorted(os.listdir(target / EARLY)) == sorted(os.listdir(keeper.paths.current_model / EARLY))
    assert keeper.fetch("checkpoint_1000", target / EARLY).transfer is None
    (target / LATE).write_text("in the way")
    refused = keeper.fetch("checkpoint_20000", target / LATE)
    assert not refused.success
    assert "Something else lies at" in (refused.error or "")
    (keeper.paths.current_model / LATE / "model.safetensors").write_text("cut off")
    assert not keeper.fetch("checkpoint_20000", target / "other").success
    assert sorted(os.listdir(target)) == sorted([EARLY, LATE])
    file = keeper.fetch("data_held_out", target)
    assert Path(file.local_path or "").read_text() == "{}\n"
    told = keeper.stats()["recent_transfers"]
    assert [(each["asset_id"], each["success"]) for each in told] == [
        ("data_held_out", True), ("checkpoint_20000", False), ("checkpoint_20000", False), ("checkpoint_1000", True),
    ]  # fmt: skip


def test_a_checkpoint_that_was_brought_to_models_is_a_copy_and_no_model(keeper: VaultKeeper) -> None:
    """A27: the same bytes are the same asset, wherever they lie; the copy stays when the first one goes."""
    own, copy = keeper.paths.current_model / EARLY, keeper.paths.models / EARLY
    assert keeper.fetch("checkpoint_1000", keeper.paths.models).local_path == str(copy)
    assert [each.status for each in keeper.get_asset("checkpoint_1000").locations] == ["verified", "verified"]
    assert not keeper.reconcile()
    assert [each.path for each in keeper.locate("checkpoint_1000").locations] == [str(own), str(copy)]
    assert keeper.search("model").total == 1
    assert not keeper.reconcile()
    shutil.rmtree(own)
    keeper.note_checkpoints([EARLY])
    keeper.rebuild()
    (location,) = keeper.locate("checkpoint_1000").locations
    assert location.path == str(copy)


def test_copies_with_unlike_bytes_are_told_apart_once_they_are_hashed(
    keeper: VaultKeeper, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A30: two directories of one name were taken for the same model."""
    nas = tmp_path_factory.mktemp("nas")
    make_model(nas / "Qwen3-0.6B", content="WEIGHTS")
    StorageRegistry(keeper.paths.base).register_stronghold("nas", StrongholdType.NAS, base_path=nas)
    keeper.scan(nas, "nas")
    own, other = keeper.verify("model_qwen3_0.6b")
    assert (own["stronghold"], own["status"]) == (LOCAL, "verified")
    assert (other["stronghold"], other["status"]) == ("nas", "corrupted")
    assert "its hashes differ" in other["problems"][0]
    assert [each.status for each in keeper.locate("model_qwen3_0.6b").locations] == ["verified", "corrupted"]


def test_a_file_may_be_fetched_under_another_name_and_is_known_again(keeper: VaultKeeper, tmp_path: Path) -> None:
    target = tmp_path / "data" / "renamed.jsonl"
    assert keeper.fetch("data_held_out", target).local_path == str(target)
    again = keeper.fetch("data_held_out", target)
    assert (again.success, again.transfer) == (True, None)
    target.write_text("changed")
    assert not keeper.fetch("data_held_out", target).success


def test_what_a_cut_off_fetch_left_behind_is_deleted_after_a_day(keeper: VaultKeeper) -> None:
    """Law 9; one that may still go on is left alone."""
    old, young = (keeper.paths.models / f".fetch-{name}" for name in ("old", "young"))
    for staging in (old, young):
        staging.mkdir()
    now = datetime.now(UTC)
    os.utime(old, (now.timestamp() - 2 * 86_400,) * 2)
    keeper.sweep(now)
    assert (old.exists(), young.exists()) == (False, True)


def test_what_lies_in_another_zone_is_brought_by_whoever_knows_the_way(keeper: VaultKeeper) -> None:
    far = Location("3090", "/models/checkpoint-7", LocationStatus.VERIFIED)
    keeper.catalog.put(Asset("checkpoint_7", AssetType.CHECKPOINT, "checkpoint-7", locations=(far,), step=7))
    assert "no host '3090'" in (keeper.fetch("checkpoint_7").error or "")
    assert "no usable copy" in (keeper.fetch("checkpoint_7", from_stronghold="nas").error or "")
    assert not keeper.fetch("checkpoint_8").success
    assert keeper.verify("checkpoint_7")[0]["problems"] == ["It lies on another host, 3090."]


# --- as the seed writes it -------------------------------------------------------------------------------------------


def test_ask_vault_first_gives_a_path_to_load_from_or_the_fallback(
    paths: RealmPaths, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    assert VaultDiscovery().scan_all() == {
        "checkpoints": 2, "models": 1, "training_data": 1, "validation_data": 1, "configs": 1, "snapshots": 0,
        "backups": 1,
    }  # fmt: skip
    assert ask_vault_first("checkpoint_1000", fallback="/nowhere") == str(paths.current_model / EARLY)
    assert ask_vault_first("checkpoint_175000", fallback="/nowhere") == "/nowhere"
    with pytest.raises(NotFound):
        ask_vault_first("checkpoint_175000")


def test_a_keeper_needs_neither_torch_nor_a_trainer(tmp_path: Path) -> None:
    """On an inference host or a NAS: a directory that no realm ever ran in."""
    with VaultKeeper(tmp_path) as keeper:
        assert keeper.stats()["total_assets"] == 0
        assert keeper.locate("latest").error == "There is no checkpoint yet."


def test_an_open_catalog_is_taken_as_it_is(paths: RealmPaths, store: CheckpointStore) -> None:
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        keeper = VaultKeeper(paths.base, catalog=catalog)
        assert keeper.stats()["total_assets"] == 0
        keeper.reconcile()
        asset = keeper.get_asset("checkpoint_1000")
        with pytest.raises(Conflict):
            catalog.put(replace(asset, locations=(replace(asset.locations[0], stronghold="nas", checksum="0" * 64),)))


def test_scans_at_the_same_time_share_a_look_that_began_after_each_was_asked_for(
    keeper: VaultKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two callers who scanned again and again had the whole directory looked through for each."""
    looks: list[int] = []
    looking, go_on = threading.Event(), threading.Event()
    reconcile = keeper.reconcile

    def slowly() -> Changes:
        looks.append(len(looks))
        looking.set()
        assert go_on.wait(20)
        return reconcile()

    monkeypatch.setattr(keeper, "reconcile", slowly)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(keeper.scan, keeper.paths.models)
        assert looking.wait(20)
        # What came after the first look had begun may be missed by it.
        (keeper.paths.models / "notes.jsonl").write_text("{}\n")
        make_model(keeper.paths.models / "New-1B")
        later = [pool.submit(keeper.scan, keeper.paths.models) for _ in range(4)]
        wait_until(lambda: sum(each.running() for each in later) == 4, message="they never began")
        go_on.set()
        assert all("model_new_1b" in each.result(20)[0] for each in later)
        assert first.result(20)
    assert len(looks) < 5
    ids, skipped = keeper.scan(keeper.paths.models)
    assert (ids, [Path(each["path"]).name for each in skipped]) == (
        ["model_new_1b", "model_qwen3_0.6b"],
        ["notes.jsonl"],
    )
