"""Deleting one checkpoint because somebody asks for it: what is told before, and what stays whatever is asked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, NotFound
from core.paths import RealmPaths
from tests.vault.test_treasury import NOW, STEPS, milestone, name_of, steps_in, treasury
from vault.checkpoint_facts import checkpoint_facts
from vault.checkpoints import CheckpointStore
from vault.giving_up import give_up_checkpoint
from vault.retention import Pin, Protection


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    """Five milestones to resume from, the last of them HEAD."""
    store = CheckpointStore(paths.current_model)
    for step in STEPS:
        milestone(store, step)
    CheckpointLedger.of(paths).reconcile()
    return store


def give_up(paths: RealmPaths, reference: str, confirm: str | None = None, **limits: Any) -> dict[str, Any]:
    ledger = CheckpointLedger.of(paths)
    return give_up_checkpoint(paths, ledger, treasury(paths, **limits), reference, confirm, NOW)


def why(paths: RealmPaths, step: int, **limits: Any) -> dict[str, Any]:
    facts = checkpoint_facts(paths, CheckpointLedger.of(paths), treasury(paths, **limits), str(step), NOW)
    told: dict[str, Any] = facts["protection"]
    return told


def test_only_the_one_that_is_named_goes(paths: RealmPaths, store: CheckpointStore) -> None:
    """A29: deleting 1000 once deleted 10000 and 100000 too."""
    give_up(paths, "1000", name_of(1000))
    assert steps_in(store) == [9000, 10000, 99000, 100000]
    with pytest.raises(NotFound, match="There are 4, from step 9000 to 100000"):
        give_up(paths, "1000")
    with pytest.raises(Conflict, match="What was confirmed is not"):
        give_up(paths, "10000", name_of(100000))


def test_a_copy_of_the_same_name_elsewhere_is_another_thing(paths: RealmPaths, store: CheckpointStore) -> None:
    """It was fetched from another host, and lies in `models/` under the very name."""
    shutil.copytree(store.root / name_of(1000), paths.models / name_of(1000))
    give_up(paths, "1000", name_of(1000))
    assert (paths.models / name_of(1000)).is_dir()


def test_what_a_snapshot_shares_frees_nothing_and_says_so(paths: RealmPaths, store: CheckpointStore) -> None:
    day = paths.snapshots / "2026-11-20"
    shutil.copytree(store.root / name_of(9000), day / name_of(9000), copy_function=os.link)
    told = give_up(paths, "9000")
    assert (told["frees_bytes"], told["size_bytes"] > 0) == (0, True)
    assert "A snapshot shares its files" in told["text"]


@pytest.mark.parametrize(
    ("step", "limits", "reason"),
    [
        (100000, {}, "HEAD"),
        (99000, {}, "falls back to it"),
        (1000, {"keep": ["1000"]}, "Take its name out of retention.keep first"),
    ],
)
def test_what_is_held_says_by_what(
    paths: RealmPaths, store: CheckpointStore, step: int, limits: dict[str, Any], reason: str
) -> None:
    told = give_up(paths, str(step), **limits)
    assert (told["frees_bytes"], told["deleted"]) == (None, False)
    assert reason in told["text"]
    with pytest.raises(Conflict, match="stays"):
        give_up(paths, str(step), name_of(step), **limits)
    assert step in steps_in(store)


def test_why_each_is_kept(paths: RealmPaths, store: CheckpointStore) -> None:
    """In the order of strength: what others refer to, HEAD, the best, youth, and then the limits alone."""
    assert why(paths, 100000)["reason"] == "HEAD: the next start resumes from it."
    assert why(paths, 1000) == {
        "level": "expendable",
        "reason": "It is a milestone: it stays while it is one of the 20 newest checkpoints to resume from.",
    }
    assert why(paths, 1000, enabled=False)["reason"].startswith("retention.enabled is off")
    milestone(store, 5000, milestone=False)
    store.set_head(name_of(100000))
    CheckpointLedger.of(paths).reconcile()
    assert why(paths, 5000)["reason"].startswith("It lies in the rolling slot")
    milestone(store, 6000, timestamp=NOW.isoformat())
    store.set_head(name_of(100000))
    CheckpointLedger.of(paths).reconcile()
    assert why(paths, 6000) == {"level": "guarded", "reason": "It is younger than 36 h."}
    pin = Pin(Protection.SACRED, "It is the base model of the hero bard.")
    own = treasury(paths, pins={store.root / name_of(9000): pin})
    facts = checkpoint_facts(paths, CheckpointLedger.of(paths), own, "9000", NOW)
    assert facts["protection"] == {"level": "sacred", "reason": pin.reason}


def test_a_checkpoint_without_a_manifest_is_told_by_its_directory(paths: RealmPaths, store: CheckpointStore) -> None:
    folder: Path = store.root / "checkpoint-500"
    folder.mkdir()
    (folder / "optimizer.pt").write_text("moments")
    facts = checkpoint_facts(paths, CheckpointLedger.of(paths), treasury(paths), "500", NOW)
    assert (facts["found"], facts["ledger"], facts["comparison"]) == (True, None, None)
    assert facts["physical"]["files"] == [{"name": "optimizer.pt", "size_bytes": 7}]
