"""`realm ledger`: readable for people, exact JSON for programs, exit code 1 when something is wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from core.checkpoint_ledger import CheckpointLedger
from core.cli import Choices
from core.errors import InvalidInput, NotFound
from core.paths import CHECKOUT, RealmPaths
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.cli import ledger_app
from vault.scrub_record import ScrubRecord, write_scrub_record

OLD = "checkpoint-1000-20261121-0900"
NEW = "checkpoint-20000-20261121-0930"


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    store = CheckpointStore(paths.current_model)
    publish(store, OLD, train_loss=0.5, accuracy=0.2, skill_name="[b]bin", skill_level=3)
    publish(store, NEW, train_loss=0.7, accuracy=0.9)
    CheckpointLedger.of(paths).reconcile()
    return store


def ask(paths: RealmPaths, *arguments: str, as_json: bool = False) -> Result:
    return CliRunner().invoke(ledger_app(), list(arguments), obj=Choices(paths, as_json))


def ask_json(paths: RealmPaths, *arguments: str) -> Any:
    result = ask(paths, *arguments, as_json=True)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_empty_ledger_says_when_the_first_checkpoint_comes(paths: RealmPaths) -> None:
    result = ask(paths, "list")
    assert result.exit_code == 0
    assert "No checkpoint yet" in result.stdout
    assert ask_json(paths, "list") == []


def test_the_list_names_every_checkpoint_newest_first(paths: RealmPaths, store: CheckpointStore) -> None:
    text = ask(paths, "list").stdout
    assert text.index(NEW) < text.index(OLD)
    assert "[b]bin L3" in text
    assert [line.split()[1] for line in text.splitlines() if line.strip().startswith("checkpoint-")] == [
        "20000",
        "1000",
    ]
    assert [row["step"] for row in ask_json(paths, "list")] == [20000, 1000]
    assert [row["step"] for row in ask_json(paths, "list", "--limit", "1")] == [20000]
    assert [row["step"] for row in ask_json(paths, "list", "--skill", "[b]bin")] == [1000]


def test_one_is_shown_by_step_or_name(paths: RealmPaths, store: CheckpointStore) -> None:
    for reference in ("1000", OLD, "checkpoint_1000", "best"):
        assert ask_json(paths, "show", reference)["canonical_name"] == OLD
    text = ask(paths, "show", "1000").stdout
    assert "train_loss" in text
    assert "0.5" in text
    assert "val_loss" not in text


def test_a_step_that_is_not_there_is_an_expected_error(paths: RealmPaths, store: CheckpointStore) -> None:
    """A29: 100 is not the beginning of 1000."""
    result = ask(paths, "show", "100")
    assert isinstance(result.exception, NotFound)


def test_the_best_looks_at_the_right_end_of_each_metric(paths: RealmPaths, store: CheckpointStore) -> None:
    assert ask_json(paths, "best")["step"] == 1000
    accurate = ask_json(paths, "best", "--metric", "accuracy")
    assert (accurate["step"], accurate["metric"], accurate["value"]) == (20000, "accuracy", 0.9)
    assert ask_json(paths, "best", "--metric", "accuracy", "--lower")["step"] == 1000
    assert isinstance(ask(paths, "best", "--metric", "val_loss").exception, NotFound)
    assert isinstance(ask(paths, "best", "--metric", "beauty").exception, InvalidInput)


def test_the_summary_counts(paths: RealmPaths, store: CheckpointStore) -> None:
    assert ask_json(paths, "summary")["count"] == 2
    assert "[b]bin" in ask(paths, "summary").stdout


WELL = {"ok": True, "deep": True, "checked": [OLD, NEW], "problems": {}, "strays": {}, "set_aside": {}}


def test_verify_is_content_when_all_is_well(paths: RealmPaths, store: CheckpointStore) -> None:
    result = ask(paths, "verify")
    assert (result.exit_code, "agree" in result.stdout) == (0, True)
    assert ask_json(paths, "verify") == WELL
    assert ask_json(paths, "verify", "--quick") == WELL | {"deep": False}


def test_verify_reads_every_file_unless_it_is_to_be_quick(paths: RealmPaths, store: CheckpointStore) -> None:
    """A30: verifying means hashing, and problems end with exit code 1."""
    (store.root / OLD / "model.safetensors").write_text("WEIGHTS" * 100)
    assert ask(paths, "verify", "--quick").exit_code == 0
    result = ask(paths, "verify")
    assert result.exit_code == 1
    assert f"{OLD}: model.safetensors was altered" in result.stdout
    result = ask(paths, "verify", as_json=True)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == {OLD: ["model.safetensors was altered"]}
    assert store.resolve(OLD) is not None


def test_verify_looks_at_one_when_one_is_named(paths: RealmPaths, store: CheckpointStore) -> None:
    (store.root / OLD / "model.safetensors").write_text("WEIGHTS" * 100)
    for reference in ("20000", NEW, "latest"):
        assert ask_json(paths, "verify", reference)["checked"] == [NEW]
    assert ask(paths, "verify", "checkpoint_1000").exit_code == 1
    assert isinstance(ask(paths, "verify", "200").exception, NotFound)


def test_verify_looks_at_branches_and_snapshots_on_demand(paths: RealmPaths, store: CheckpointStore) -> None:
    store.move_to_branch(OLD, "rewound-7")
    CheckpointLedger.of(paths).reconcile()
    snapshot = paths.snapshots / "2026-11-21" / NEW
    shutil.copytree(store.root / NEW, snapshot)
    branch = f"branches/rewound-7/{OLD}"
    everything = [NEW, branch, f"2026-11-21/{NEW}"]
    assert ask_json(paths, "verify")["checked"] == [NEW]
    assert ask_json(paths, "verify", "--all")["checked"] == everything
    assert ask_json(paths, "verify", "1000")["checked"] == [branch]
    (snapshot / "model.safetensors").unlink()
    (store.branches()[0].path / "MANIFEST.json").write_text("{")
    result = ask(paths, "verify", "--all", as_json=True)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == {
        branch: ["MANIFEST.json is damaged"], f"2026-11-21/{NEW}": ["model.safetensors is missing"],
    }  # fmt: skip


def test_verify_tells_what_was_set_aside_and_what_lies_in_a_checkpoint_by_mistake(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    store.quarantine(OLD, ["model.safetensors was altered"])
    CheckpointLedger.of(paths).reconcile()
    (store.root / NEW / "pytorch_model.bin").write_text("")
    told = ask_json(paths, "verify")
    assert told["ok"] is True
    assert told["set_aside"] == {f".quarantine-{OLD}": ["model.safetensors was altered"]}
    assert told["strays"] == {NEW: ["pytorch_model.bin"]}
    text = ask(paths, "verify").stdout
    assert f".quarantine-{OLD} was set aside: model.safetensors was altered" in text
    assert "never loaded: pytorch_model.bin" in text


def test_verify_tells_of_files_that_it_may_not_read_instead_of_failing(
    paths: RealmPaths, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = Path.open

    def no_right(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "model.safetensors":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real_open(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", no_right)
    result = ask(paths, "verify", OLD)
    assert result.exit_code == 1
    assert "Permission denied" in result.stdout


def test_show_tells_when_a_checkpoint_was_last_read_again(paths: RealmPaths, store: CheckpointStore) -> None:
    assert ask_json(paths, "show", OLD)["verified_at"] is None
    record = ScrubRecord(verified_at={OLD: "2026-11-22T03:00:00+00:00"})
    write_scrub_record(paths.scrub_record, record, now=datetime(2026, 11, 22, 3, tzinfo=UTC))
    assert ask_json(paths, "show", OLD)["verified_at"] == "2026-11-22T03:00:00+00:00"


def test_help_loads_nothing_that_the_verbs_need() -> None:
    """`realm --help` stays under 0.3 s."""
    code = (
        "import sys, vault.cli; vault.cli.ledger_app(); "
        "print([m for m in ('httpx', 'blake3', 'aiohttp', 'rich.table', 'core.checkpoint_ledger') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_verbs_stand_below_a_parent_command(paths: RealmPaths, store: CheckpointStore) -> None:
    realm = typer.Typer()
    realm.add_typer(ledger_app(), name="ledger")

    @realm.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths, as_json=True)

    result = CliRunner().invoke(realm, ["ledger", "list"])
    assert [row["step"] for row in json.loads(result.stdout)] == [20000, 1000]
