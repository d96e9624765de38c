"""Checkpoints that a rewind has left behind are kept whole, and met by nothing that looks for the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Conflict, NotFound
from core.files import Files
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest

OLD = "checkpoint-1000-20261121-0900"
NEW = "checkpoint-2000-20261121-0930"


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    store = CheckpointStore(tmp_path / "current_model")
    store.root.mkdir()
    publish(store, OLD)
    publish(store, NEW)
    store.set_head(OLD)
    return store


def test_what_lies_on_a_branch_is_whole_and_out_of_sight(store: CheckpointStore) -> None:
    """A10, D17: the greatest number is not the present one."""
    place = store.move_to_branch(NEW, "rewound-7")
    assert place == store.root / "branches" / "rewound-7" / NEW
    assert check_manifest(place) == []
    assert [found.name for found in store.list()] == [OLD]
    assert store.resolve("2000") is None
    store.forget_head()
    assert (store.head(), store.newest_valid()[0]) == (None, store.resolve(OLD))
    assert store.sweep() == []
    assert [(found.name, found.step) for found in store.branches()] == [(NEW, 2000)]


def test_a_new_branch_outlasts_a_power_cut(store: CheckpointStore) -> None:
    synced: list[Path] = []

    class Watched(Files):
        def fsync_dir(self, folder: Path) -> None:
            synced.append(folder)
            super().fsync_dir(folder)

    place = CheckpointStore(store.root, Watched()).move_to_branch(NEW, "rewound-7")
    assert {store.root, store.root / "branches", place.parent} <= set(synced)


def test_it_comes_back_under_its_name_and_an_empty_branch_goes(store: CheckpointStore) -> None:
    store.move_to_branch(NEW, "rewound-7")
    publish(store, NEW, "another of the same minute")
    with pytest.raises(Conflict, match="another checkpoint-2000"):
        store.move_from_branch(store.branches()[0])
    store.move_to_branch(NEW, "rewound-12")
    later = store.branches()
    assert [found.path.parent.name for found in later] == ["rewound-7", "rewound-12"]
    store.move_from_branch(later[0])
    assert "another" not in (store.root / NEW / "model.safetensors").read_text()
    assert [path.name for path in (store.root / "branches").iterdir()] == ["rewound-12"]


def test_the_latest_branch_is_that_of_the_latest_journal_line_whatever_made_it(store: CheckpointStore) -> None:
    """A10: `realm rewind` takes the latest of several; `rewound-9` is older than `healed-10`."""
    for name in ("adopted-30", "healed-31", "rewound-9", "healed-10"):
        publish(store, "checkpoint-3000-20261121-1000", name)
        store.move_to_branch("checkpoint-3000-20261121-1000", name)
    order = [found.path.parent.name for found in store.branches()]
    assert order == ["rewound-9", "healed-10", "adopted-30", "healed-31"]


def test_only_an_ancestor_stands_in_for_a_torn_head(store: CheckpointStore) -> None:
    publish(store, "checkpoint-3000-20261121-1000")
    (store.root / "checkpoint-3000-20261121-1000" / "model.safetensors").write_text("torn")
    found, quarantined = store.newest_valid(is_ancestor=lambda folder: folder.name != NEW)
    assert found == store.resolve(OLD)
    assert [torn.name for torn in quarantined] == ["checkpoint-3000-20261121-1000"]
    # Not torn, only of another line: it stays where it is.
    assert store.resolve(NEW) is not None


def test_a_checkpoint_that_never_became_head_can_be_taken_back(store: CheckpointStore) -> None:
    """A29: exactly the one that is named."""
    store.take_back(NEW)
    assert [found.name for found in store.list()] == [OLD]
    with pytest.raises(Conflict, match="present checkpoint"):
        store.take_back(OLD)
    with pytest.raises(NotFound):
        store.take_back("checkpoint-100-20261121-0900")
