"""Nothing is called verified that was not read, one copy is not two, and what is here is found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.paths import RealmPaths
from tests.vault.catalog.assets import EARLY, LATE, furnish, make_model
from tests.vault.making import publish
from vault import StorageRegistry, StrongholdType, VaultKeeper, ask_vault_first
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.bytes.source import KeeperSource
from vault.catalog.finding import describe
from vault.checkpoints import CheckpointStore
from vault.client import VaultKeeperClient
from vault.copies import here
from vault.manifest import MANIFEST
from vault.roots import Roots

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    return furnish(paths)


@pytest.fixture
def nas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nas")


@pytest.fixture
def keeper(paths: RealmPaths, store: CheckpointStore, nas: Path) -> Iterator[VaultKeeper]:
    StorageRegistry(paths.base).register_stronghold("attic", StrongholdType.NAS, base_path=nas)
    with VaultKeeper(paths.base) as keeper:
        yield keeper


def flip(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(b"X" + content[1:])


def status(keeper: VaultKeeper, reference: str, stronghold: str) -> str:
    return next(str(each.status) for each in keeper.get_asset(reference).locations if each.stronghold == stronghold)


# --- verified ------------------------------------------------------------------------------------------------------


def test_a_copy_that_nobody_has_read_is_unverified_whatever_manifest_came_with_it(
    keeper: VaultKeeper, nas: Path
) -> None:
    """A30, law 2: of the right sizes and with one byte flipped, it was called verified and preferred."""
    for folder in (nas, keeper.paths.models):
        shutil.copytree(keeper.paths.current_model / EARLY, folder / EARLY)
        flip(folder / EARLY / "model.safetensors")
    keeper.scan(nas, "attic")
    keeper.reconcile()
    told = {each.path: (each.status, each.verified_at is None) for each in keeper.get_asset(EARLY).locations}
    assert told == {
        str(keeper.paths.current_model / EARLY): ("verified", False),
        str(keeper.paths.models / EARLY): ("unverified", True),
        str(nas / EARLY): ("unverified", True),
    }
    keeper.verify(EARLY, now=NOW)
    assert status(keeper, EARLY, "attic") == "corrupted"
    # Neither a scan nor a new catalog makes it whole again.
    keeper.scan(nas, "attic")
    assert status(keeper, EARLY, "attic") == "corrupted"
    keeper.rebuild()
    assert [str(each.status) for each in keeper.get_asset(EARLY).locations] == ["verified", "corrupted", "corrupted"]


def test_what_a_verification_has_found_outlives_scans_and_rebuilding(keeper: VaultKeeper, nas: Path) -> None:
    """A model's hashes were wiped by the next scan, and rot that was found in the base directory forgotten."""
    make_model(nas / "Other-1B")
    keeper.register(nas / "Other-1B", "attic", is_primary=True)
    keeper.verify("model_other_1b", now=NOW)
    before = keeper.get_asset("model_other_1b")
    flip(keeper.paths.current_model / LATE / "model.safetensors")
    keeper.verify(LATE, now=NOW)
    keeper.scan(nas, "attic")
    keeper.rebuild()
    assert keeper.get_asset("model_other_1b") == before
    assert before.locations[0].is_primary
    assert status(keeper, LATE, LOCAL) == "corrupted"
    # Written over in place: of the same size, in a directory that has not changed.
    flip(nas / "Other-1B" / "model.safetensors")
    keeper.scan(nas, "attic")
    assert (status(keeper, "model_other_1b", "attic"), keeper.get_asset("model_other_1b").locations[0].checksum) == (
        "unverified", None,
    )  # fmt: skip


def test_a_model_that_is_saved_over_is_unverified_again(keeper: VaultKeeper) -> None:
    keeper.verify("model_qwen3_0.6b")
    keeper.reconcile()
    assert status(keeper, "model_qwen3_0.6b", LOCAL) == "verified"
    flip(keeper.paths.models / "Qwen3-0.6B" / "model.safetensors")
    keeper.reconcile()
    assert status(keeper, "model_qwen3_0.6b", LOCAL) == "unverified"


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("{}")])
def test_a_checkpoint_without_a_manifest_is_nothing_to_go_by(keeper: VaultKeeper, damage: Any) -> None:
    """A30, law 6: `cp -r` that was cut off before the manifest was handed out as a whole checkpoint."""
    shutil.copytree(keeper.paths.current_model / EARLY, keeper.paths.models / "checkpoint-7-20261121-0900")
    damage(keeper.paths.models / "checkpoint-7-20261121-0900" / MANIFEST)
    keeper.reconcile()
    lookup = keeper.locate("checkpoint_7")
    assert (lookup.found, lookup.best_location) == (True, None)
    (told,) = keeper.verify("checkpoint_7")
    assert told["status"] == "corrupted"
    with pytest.raises(Conflict):
        keeper.manifest(keeper.get_asset("checkpoint_7"), keeper.get_asset("checkpoint_7").locations[0])
    with pytest.raises(NotFound, match="No whole copy"):
        KeeperSource(keeper).held("checkpoint_7")


def test_a_disk_that_cannot_be_read_now_condemns_no_copy(
    paths: RealmPaths, store: CheckpointStore, keeper: VaultKeeper
) -> None:
    """One EIO of a loose cable made a good copy unusable."""

    def failing(target: str, kwargs: dict[str, Any]) -> Any:
        raise Unavailable(f"{kwargs['path']} cannot be read: Input/output error.")

    unlucky = VaultKeeper(paths.base, catalog=keeper.catalog, heavy=failing)
    (told,) = unlucky.verify(EARLY)
    assert told["status"] == "unverified"
    assert "Input/output error" in told["problems"][0]
    assert status(keeper, EARLY, LOCAL) == "verified"


# --- what is here --------------------------------------------------------------------------------------------------


def test_a_copy_that_lies_here_will_do_however_well_another_is_known(keeper: VaultKeeper) -> None:
    """Spec 1.9, local path first: with the zone off, 300 s went by before what lay here was tried."""
    far = Location("nas", "/far/Qwen3-0.6B", LocationStatus.VERIFIED, checksum="ab" * 32)
    keeper.catalog.put_location("model_qwen3_0.6b", far)
    lookup = keeper.locate("model_qwen3_0.6b")
    assert lookup.best_location is not None
    assert lookup.best_location.stronghold == "nas"
    assert keeper.fetch("model_qwen3_0.6b").local_path == str(keeper.paths.models / "Qwen3-0.6B")


def test_a_copy_is_in_the_catalog_as_soon_as_it_is_made(keeper: VaultKeeper, nas: Path) -> None:
    """A4, issue 6.5: what was fetched to a storage was never entered there."""
    fetched = keeper.fetch("checkpoint_1000", nas)
    assert fetched.transfer is not None
    assert fetched.transfer.to_stronghold == "attic"
    place = next(each for each in keeper.get_asset(EARLY).locations if each.stronghold == "attic")
    assert (place.path, place.status, place.synced_at is not None) == (str(nas / EARLY), "verified", True)
    keeper.fetch("model_qwen3_0.6b", nas / "deep" / "copied")
    keeper.fetch("data_held_out", nas / "renamed.jsonl")
    before = {key: keeper.get_asset(key) for key in ("checkpoint_1000", "model_qwen3_0.6b", "data_held_out")}
    keeper.scan(nas, "attic")
    keeper.reconcile()
    assert {key: keeper.get_asset(key) for key in before} == before
    told = [each["status"] for key in before for each in keeper.verify(key)]
    assert told == ["verified"] * 6


def test_a_copy_that_was_cut_off_is_gone_on_with_and_none_is_left_behind(keeper: VaultKeeper, nas: Path) -> None:
    """Law 9, A30: each try of a large copy left another staging, and none ever came to its end."""
    parts: list[dict[str, Any]] = []

    def cut(target: str, kwargs: dict[str, Any]) -> Any:
        if target.endswith("copy_part"):
            parts.append(kwargs)
            if len(parts) == 1:
                raise KeyboardInterrupt
        return here(target, kwargs)

    target, weights = nas / "deep" / EARLY, keeper.paths.current_model / EARLY / "model.safetensors"
    impatient = VaultKeeper(keeper.paths.base, catalog=keeper.catalog, heavy=cut)
    with pytest.raises(KeyboardInterrupt):
        impatient.fetch(EARLY, target)
    assert (keeper.catalog.stagings(), os.listdir(nas / "deep")) == ({}, [])
    # What a kill and a power cut leave: half of a file, and one that is filled with zeros.
    staging = Path(parts[0]["target"]).parent
    (staging / "tokenizer").mkdir(parents=True)
    (staging / "model.safetensors").write_bytes(weights.read_bytes()[:300])
    (staging / "tokenizer" / "tokenizer.json").write_bytes(bytes(5))
    assert impatient.fetch(EARLY, target).success
    begun = {(Path(each["target"]).name, each["offset"]) for each in parts[1:]}
    assert {("model.safetensors", 300), ("tokenizer.json", 5), ("tokenizer.json", 0)} <= begun
    assert ("model.safetensors", 0) not in begun
    assert (target / "model.safetensors").read_bytes() == weights.read_bytes()
    assert os.listdir(nas / "deep") == [EARLY]


def test_stagings_are_swept_wherever_they_were_made(keeper: VaultKeeper, nas: Path) -> None:
    """Law 9: those in a nested destination stayed for ever."""
    old, young = nas / "deep" / ".fetch-a", nas / "deep" / ".fetch-b"
    for staging, begun in ((old, NOW - timedelta(days=2)), (young, NOW)):
        staging.mkdir(parents=True)
        keeper.catalog.note_staging(staging, begun)
    keeper.sweep(NOW)
    assert (old.exists(), list(keeper.catalog.stagings())) == (False, [young])


def test_large_files_are_read_in_parts_each_of_them_short(keeper: VaultKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """An asset of 100 GB took longer than a job of the scribe may, so it was never verified; the inbox waited."""
    monkeypatch.setattr("vault.parts.PART_BYTES", 100)
    jobs: list[dict[str, Any]] = []

    def noting(target: str, kwargs: dict[str, Any]) -> Any:
        jobs.append(kwargs)
        if len(jobs) == 3:
            from vault import parts

            parts._readings.clear()  # the worker has ended, and another begins
        return here(target, kwargs)

    (told,) = VaultKeeper(keeper.paths.base, catalog=keeper.catalog, heavy=noting).verify(EARLY)
    assert told["status"] == "verified"
    assert len(jobs) > 10
    assert max(kwargs["length"] for kwargs in jobs) == 100


# --- names and paths -------------------------------------------------------------------------------------------------


def test_files_of_one_name_are_not_copies_of_one_another(keeper: VaultKeeper, nas: Path) -> None:
    """`a/train.jsonl` and `b/train.jsonl` were one asset with two copies, and `fetch` brought either."""
    for folder, text in (("a", "{}\n"), ("b", "{}\n{}\n"), ("c", "{}\n")):
        (nas / folder).mkdir()
        (nas / folder / "train.jsonl").write_text(text)
    assert keeper.scan(nas, "attic")[0] == ["data_train", "data_b_train"]
    assert len(keeper.get_asset("data_train").locations) == 2
    assert keeper.scan(nas, "attic")[0] == ["data_train", "data_b_train"]


def test_an_odd_file_stops_no_scan(keeper: VaultKeeper, nas: Path) -> None:
    """One name that is no Unicode below a root, and neither a scan nor a rebuilding ever came to its end."""
    (nas / "good.jsonl").write_text("{}\n")
    Path(os.fsdecode(bytes(nas) + b"/caf\xe9.jsonl")).write_text("{}\n")
    (nas / "torn").mkdir()
    ids, skipped = keeper.scan(nas, "attic")
    assert ids == ["data_good"]
    (left_out,) = skipped
    assert left_out["path"] == str(nas)
    assert "caf" in left_out["reason"]
    keeper.rebuild()
    assert keeper.catalog.locate("data_good") is not None


def test_a_scan_of_what_is_an_asset_itself_finds_it(keeper: VaultKeeper) -> None:
    """Only what lay below the folder was asked for."""
    (keeper.paths.models / os.fsdecode(b"caf\xe9")).mkdir()
    assert keeper.scan(keeper.paths.models / "Qwen3-0.6B")[0] == ["model_qwen3_0.6b"]
    assert keeper.scan(keeper.paths.models / os.fsdecode(b"caf\xe9"))[0] == []


def test_what_vanishes_while_it_is_looked_at_is_not_found(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-7-20261121-0900"
    folder.mkdir()
    (folder / "model").symlink_to(folder / "model")  # a link to itself: looked at, it is an error of the disk
    (folder / "trainer_state.json").mkdir()
    assert describe(folder).locations[0].status is LocationStatus.CORRUPTED
    shutil.rmtree(folder)
    with pytest.raises(NotFound):
        describe(folder)


def test_a_scan_of_the_base_directory_looks_at_it_once(keeper: VaultKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each log and each file in the inbox was one more look through everything."""
    looks: list[int] = []
    look = VaultKeeper.reconcile
    monkeypatch.setattr(VaultKeeper, "reconcile", lambda keeper: (looks.append(1), look(keeper))[1])
    for number in range(3):
        (keeper.paths.logs / f"{number}.log").write_text("x")
    _, skipped = keeper.scan(keeper.paths.base)
    assert len(skipped) >= 3
    assert len(looks) == 1


def test_models_on_another_disk_have_one_place(paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`models/` may be a link: what lies in it was refused by one name, and counted twice by the other."""
    disk = tmp_path_factory.mktemp("disk")
    shutil.rmtree(paths.models)
    paths.models.symlink_to(disk)
    make_model(disk / "Qwen3-0.6B")
    with VaultKeeper(paths.base) as keeper:
        place = Roots.of(paths).to_read("models/Qwen3-0.6B")
        assert keeper.register(place).asset_id == "model_qwen3_0.6b"
        assert keeper.scan(disk)[0] == ["model_qwen3_0.6b"]
        (location,) = keeper.get_asset("model_qwen3_0.6b").locations
        assert location.path == str(paths.models / "Qwen3-0.6B")


def test_the_name_of_an_asset_leads_nowhere_else(keeper: VaultKeeper) -> None:
    """Laws 6 and 8: a name that another host has told was a part of the path that is written here."""
    far = Location("nas", "/far", LocationStatus.VERIFIED)
    bad = Asset("model_x", AssetType.MODEL, "../inbox/high/x.jsonl", locations=(far,))
    keeper.catalog.put(bad)
    with pytest.raises(InvalidInput, match="no name"):
        keeper.target(bad, keeper.paths.models)
    assert "no name" in (keeper.fetch("model_x").error or "")


def test_a_storage_is_no_host_of_the_same_name(keeper: VaultKeeper, nas: Path) -> None:
    """Paths of the host were opened here, and what was scanned here was struck out by its listing."""
    import yaml

    make_model(nas / "Other-1B")
    keeper.scan(nas, "attic")
    hosts = {name: {"name": name, "host": "127.0.0.1", "role": "storage", "services": {}} for name in ("attic", "nas")}
    keeper.paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts}))
    with pytest.raises(InvalidInput, match="host of the registry"):
        StorageRegistry(keeper.paths.base).register_stronghold("nas", StrongholdType.NAS, base_path=nas)
    assert not keeper.is_here(keeper.get_asset("model_other_1b").locations[0])
    with pytest.raises(Conflict, match="host of the registry"):
        keeper.scan(nas, "attic")


def test_ask_vault_first_takes_what_lies_here_and_falls_back_whatever_fails(
    keeper: VaultKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spec 1.9: a path here, else fetched, else the fallback; it raised what the disk said instead."""
    monkeypatch.setenv("REALM_BASE_DIR", str(keeper.paths.base))
    far = Location("nas", "/far/Qwen3-0.6B", LocationStatus.VERIFIED, checksum="ab" * 32)
    keeper.catalog.put_location("model_qwen3_0.6b", far)
    here_it_is = str(keeper.paths.models / "Qwen3-0.6B")
    assert ask_vault_first("model_qwen3_0.6b", fetch_if_remote=False) == here_it_is
    keeper.catalog.put(Asset("model_x", AssetType.MODEL, "X", locations=(Location("attic", "/gone/X"),)))
    assert ask_vault_first("model_x", fallback="/nowhere") == "/nowhere"
    (keeper.paths.base / "taken").write_text("")
    with pytest.raises(Unavailable, match="cannot be made"):
        VaultKeeperClient("127.0.0.1:1").ensure_local("model_x", keeper.paths.base / "taken" / "models")


# --- not booked yet --------------------------------------------------------------------------------------------------


def test_a_checkpoint_that_was_just_saved_is_found_before_it_is_booked(
    keeper: VaultKeeper, store: CheckpointStore
) -> None:
    """`latest` was "not there" with a hundred checkpoints there, until the newest one was booked."""
    name = "checkpoint-30000-20261121-1100"
    publish(store, name)
    CheckpointLedger.of(keeper.paths).adopt_orphan(store.root / name)
    assert keeper.catalog.locate("checkpoint_30000") is None
    assert keeper.locate("latest").asset_id == "checkpoint_30000"
    other = "checkpoint-31000-20261121-1100"
    publish(store, other)
    CheckpointLedger.of(keeper.paths).adopt_orphan(store.root / other)
    assert keeper.locate("31000").asset_id == "checkpoint_31000"
    keeper.catalog.drop_location("checkpoint_31000", LOCAL)
    read_only = VaultKeeper(keeper.paths.base, catalog=keeper.catalog)
    read_only.note_checkpoints = lambda names: None  # type: ignore[method-assign]
    read_only._references._look_at = read_only.note_checkpoints
    assert read_only.locate("latest").asset_id == "checkpoint_30000"


def test_a_copy_of_another_history_in_models_keeps_its_id_when_its_step_is_saved_here(
    keeper: VaultKeeper, store: CheckpointStore, tmp_path: Path
) -> None:
    """Until the hourly look it was dropped."""
    name = "checkpoint-500-20261101-0900"
    publish(CheckpointStore(keeper.paths.models), name, content="another history")
    keeper.reconcile()
    ours = "checkpoint-500-20261121-0900"
    publish(store, ours)
    keeper.note_checkpoints([ours])
    assert keeper.get_asset("checkpoint_500").name == ours
    assert keeper.get_asset(name).locations[0].path == str(keeper.paths.models / name)


def test_a_file_of_the_same_name_in_another_lane_is_not_the_quest_that_left(keeper: VaultKeeper) -> None:
    name = "train_syllo_abc.jsonl"
    (keeper.paths.lane("high") / name).unlink()
    (keeper.paths.lane("failed") / name).write_text("{}\n{}\n")
    assert not keeper.locate("data_train_syllo_abc").found
