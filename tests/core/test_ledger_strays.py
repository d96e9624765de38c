"""Checkpoints that came by another way are adopted, checked, and found by the functions that the seed names."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.checkpoint_ledger import (
    CheckpointLedger,
    RemoteLedgerClient,
    checkpoint_name,
    get_ledger,
    get_ledger_client,
    read_sidecar,
    record_checkpoint,
)
from core.errors import Conflict, InvalidInput, Unavailable
from core.paths import RealmPaths
from tests.core.ledger_making import NOW, save
from vault.manifest import check_manifest

# --- strays ---------------------------------------------------------------------------------------------------


def test_an_orphan_is_found_and_adopted_from_trainer_state(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A8: a checkpoint written by something else is taken in under its own name."""
    folder = paths.current_model / "checkpoint-500"
    folder.mkdir()
    (folder / "optimizer.pt").write_bytes(b"x" * 100)
    history = [{"loss": 2.0, "epoch": 0.5, "step": 1}, {"loss": 1.5, "epoch": 1.0}, {"eval_loss": 1.7}, "junk"]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    os.utime(folder, (NOW.timestamp(), NOW.timestamp()))
    assert ledger.scan_orphans() == [folder]
    record = ledger.adopt_orphan(folder)
    assert (record.step, record.canonical_name, record.path) == (500, "checkpoint-500", str(folder))
    assert (record.train_loss, record.val_loss, record.epoch) == (1.5, 1.7, 1.0)
    assert record.has_optimizer
    assert record.size_bytes == sum(path.stat().st_size for path in folder.iterdir() if path.name != ".ledger.json")
    assert record.timestamp == NOW.isoformat()
    assert ledger.scan_orphans() == []
    assert ledger.get(500) == record
    assert ledger.reconcile() == ([], [])


def test_the_time_of_an_orphan_is_that_in_its_name(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    folder = paths.current_model / "checkpoint-500-20251127-1430"
    folder.mkdir()
    local = datetime(2025, 11, 27, 14, 30).astimezone()
    assert datetime.fromisoformat(ledger.adopt_orphan(folder).timestamp) == local
    nonsense = paths.current_model / "checkpoint-600-99999999-9999"
    nonsense.mkdir()
    assert ledger.adopt_orphan(nonsense).step == 600


def test_adopting_takes_only_checkpoints_of_this_ledger(
    paths: RealmPaths, ledger: CheckpointLedger, tmp_path: Path
) -> None:
    (tmp_path / "checkpoint-500").mkdir()
    (paths.current_model / "best").mkdir()
    for folder in (tmp_path / "checkpoint-500", paths.current_model / "best", paths.current_model / "checkpoint-1"):
        with pytest.raises(InvalidInput):
            ledger.adopt_orphan(folder)


def test_verify_names_every_disagreement(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A1, A30: ledger, sidecar and files are compared, the files by their hashes."""
    whole, altered, gone, silent = save(paths, 1), save(paths, 2), save(paths, 3), save(paths, 4)
    for record in (whole, altered, gone):
        ledger.record(record)
    assert ledger.verify(check_manifest) == {silent.canonical_name: ["it is not in the ledger's index"]}
    (Path(altered.path) / "model.safetensors").write_text("WEIGHTS")
    (Path(silent.path) / ".ledger.json").write_text("{")
    shutil.rmtree(gone.path)
    assert ledger.verify(check_manifest) == {
        altered.canonical_name: ["model.safetensors was altered"],
        gone.canonical_name: ["it is in the ledger's index but not on disk"],
        silent.canonical_name: [
            f".ledger.json has 1 bytes instead of {len(json.dumps(silent.to_json(), indent=2)) + 1}",
            ".ledger.json is missing or damaged",
            "it is not in the ledger's index",
        ],
    }
    assert altered.canonical_name not in ledger.verify(check_manifest, deep=False)


def test_a_checkpoint_that_cannot_be_looked_at_is_one_problem_among_others(
    paths: RealmPaths, ledger: CheckpointLedger
) -> None:
    record = save(paths, 1)
    ledger.record(record)

    def refused(folder: Path, *, deep: bool) -> list[str]:
        raise Unavailable(f"{folder} cannot be checked.")

    assert ledger.verify(refused) == {record.canonical_name: [f"{record.path} cannot be checked."]}


# --- the functions of the seed --------------------------------------------------------------------------------


@pytest.fixture
def base(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> RealmPaths:
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    monkeypatch.delenv("REALM_LEDGER_URL", raising=False)
    return paths


def test_record_checkpoint_gives_the_canonical_name_and_enters_it(base: RealmPaths) -> None:
    """A13: the directory is renamed and the sidecar holds the new path."""
    folder = base.current_model / "checkpoint-500"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    record = record_checkpoint(500, folder, train_loss=0.5, skill_name="bin", now=NOW)
    name = checkpoint_name(500, NOW.astimezone())
    assert record.canonical_name == name
    assert record.path == str(base.current_model / name)
    assert (record.train_loss, record.skill_name, record.size_bytes, record.created_by) == (
        0.5,
        "bin",
        7,
        "training_daemon",
    )
    assert not folder.exists()
    assert read_sidecar(base.current_model / name) == record
    assert get_ledger().get(500) == record
    assert record_checkpoint(500, record.path, train_loss=0.5, now=NOW + timedelta(hours=1)) == record


def test_record_checkpoint_neither_overwrites_nor_mislabels(base: RealmPaths) -> None:
    folder = base.current_model / "checkpoint-500"
    folder.mkdir()
    (base.current_model / checkpoint_name(500, NOW.astimezone())).mkdir()
    with pytest.raises(Conflict, match="already"):
        record_checkpoint(500, folder, now=NOW)
    with pytest.raises(InvalidInput, match="step 600"):
        record_checkpoint(600, folder, now=NOW)
    assert record_checkpoint(500, folder, rename=False, train_loss=0.5, now=NOW).canonical_name == "checkpoint-500"
    with pytest.raises(Conflict, match="other numbers"):
        record_checkpoint(500, folder, rename=False, train_loss=0.6, now=NOW)


def test_the_client_is_the_local_ledger_where_training_happens(paths: RealmPaths, base: RealmPaths) -> None:
    save(paths, 1000)
    client = get_ledger_client()
    assert isinstance(client, CheckpointLedger)
    assert [record.step for record in client.list_all()] == [1000]


def test_a_host_that_never_trained_is_not_taken_for_the_trainer(base: RealmPaths) -> None:
    """G4: an undetected host once answered with an empty local ledger."""
    (base.current_model / ".gitkeep").touch()
    with pytest.raises(Unavailable, match="REALM_LEDGER_URL"):
        get_ledger_client()


REGISTRY = """
hosts:
  "4090":
    host: 192.168.1.10
    role: trainer
    services: {vault: 8767, ledger: {port: 8767, path: /api/ledger}}
  "3090": {host: 192.168.1.11, role: inference, services: {branch: 8768}}
local_host: "LOCAL"
"""


def test_the_host_registry_says_whose_ledger_counts(base: RealmPaths) -> None:
    """G4: even where checkpoints lie that were only brought here."""
    base.hosts_file.parent.mkdir(parents=True, exist_ok=True)
    base.hosts_file.write_text(REGISTRY.replace("LOCAL", "3090"))
    save(base, 1000)
    client = get_ledger_client()
    assert isinstance(client, RemoteLedgerClient)
    assert client.base_url == "http://192.168.1.10:8767/api/ledger"
    base.hosts_file.write_text(REGISTRY.replace("LOCAL", "4090"))
    assert isinstance(get_ledger_client(), CheckpointLedger)


def test_a_named_ledger_wins(paths: RealmPaths, base: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    save(paths, 1000)
    monkeypatch.setenv("REALM_LEDGER_URL", "http://192.168.1.10:8767/api/ledger/")
    client = get_ledger_client()
    assert isinstance(client, RemoteLedgerClient)
    assert client.base_url == "http://192.168.1.10:8767/api/ledger"
