"""Places outside of the base directory: what has gone from them is struck out, and what is only away is not."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Unavailable
from core.knocking import Knocker
from core.mounts import Mount
from core.paths import RealmPaths
from tests.vault.catalog.assets import make_model
from vault import StorageRegistry, StrongholdType, VaultKeeper
from vault.assets import LOCAL
from vault.catalog.catalog import Catalog
from vault.outlying import Outlying


class Disks:
    """The table of mounts, as it is told here: a share on `point` comes and goes."""

    def __init__(self, point: Path) -> None:
        self.point = point
        self.is_there = True
        self.fs_type = "nfs4"

    def __call__(self) -> dict[str, Mount]:
        mounted = {"/": Mount(Path("/"), "ext4", read_only=False)}
        if self.is_there:
            mounted[str(self.point)] = Mount(self.point, self.fs_type, read_only=False)
        return mounted


@pytest.fixture
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("share")


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.opened(tmp_path / "catalog.db", tmp_path / "base") as catalog:
        yield catalog


def test_an_empty_mount_point_tells_nothing_of_the_disk_that_is_away(catalog: Catalog, share: Path) -> None:
    """A26: what umount leaves is a directory without anything in it."""
    disks = Disks(share)
    outlying = Outlying(catalog, lambda: [str(share)], disks)
    model = make_model(share / "models" / "A")
    outlying.note(str(model))
    disks.is_there = False
    unplugged = share.with_name("unplugged")
    share.rename(unplugged)
    share.mkdir()
    assert outlying.gone([str(model)]) == set()
    with pytest.raises(Unavailable, match="is not mounted"):
        outlying.refuse_if_away(str(share / "new"))
    disks.is_there, disks.fs_type = True, "autofs"  # mounted when somebody looks into it, and now it is not
    assert outlying.gone([str(model)]) == set()
    disks.fs_type = "nfs4"
    share.rmdir()
    unplugged.rename(share)
    assert outlying.gone([str(model)]) == set()
    shutil.rmtree(share / "models")
    assert outlying.gone([str(model)]) == {str(model)}


def test_a_share_that_hangs_keeps_nobody_waiting_for_long_nor_a_second_time(catalog: Catalog, share: Path) -> None:
    """Issue 6.4: offline is shown, never waited for."""
    knocker, answer = Knocker(), threading.Event()
    outlying = Outlying(catalog, lambda: [str(share)], Disks(share), knocker)
    with pytest.raises(Unavailable):
        knocker.ask(str(share), answer.wait, 0.05)  # the look that does not come back
    try:
        assert outlying.gone([str(share / "a")]) == set()
        assert not outlying.is_there(str(share))
        assert outlying.gone(["/nowhere-else/b"]) == set()
    finally:
        answer.set()


def test_what_comes_while_it_is_looked_for_is_there(catalog: Catalog, share: Path) -> None:
    place = str(share / "A")
    outlying = Outlying(catalog, lambda: [str(share)], Disks(share))

    def places() -> Iterator[str]:
        yield place
        outlying.note(place)  # as a fetch that ends now does

    assert outlying.gone(places()) == set()
    assert outlying.gone([place]) == {place}


def test_what_was_deleted_from_a_storage_is_gone_with_the_next_look_and_is_never_handed_out(
    paths: RealmPaths, share: Path
) -> None:
    """A26, issue 6.1: a copy on a NAS that was deleted by hand was told of for ever, and fetched as a success."""
    first, second, third = (make_model(share / "models" / name) for name in ("A", "B", "C"))
    StorageRegistry(paths.base).register_stronghold("attic", StrongholdType.NAS, base_path=share)
    with VaultKeeper(paths.base) as keeper:
        assert keeper.scan(share, "attic")[0] == ["model_a", "model_b", "model_c"]
        shutil.rmtree(first)
        assert not keeper.fetch("model_a").success
        assert keeper.is_behind
        shutil.rmtree(second)
        (told,) = keeper.verify("model_b")
        assert (told["status"], told["problems"]) == ("missing", [f"{second} is not there any more"])
        assert keeper.catalog.locate("model_b") is None
        assert keeper.reconcile().removed == ["model_a"]
        shutil.rmtree(share / "models")
        assert keeper.reconcile().removed == ["model_c"]
        assert not third.exists()


def test_hashes_of_a_disk_that_is_away_are_kept(paths: RealmPaths, share: Path) -> None:
    """Terabytes would be read again after each remount; and no look at a share is made amid a write."""
    with VaultKeeper(paths.base, roots=[share]) as keeper:
        kept, gone = make_model(share / "A"), make_model(share / "B")
        for name in ("a", "b"):
            keeper.register(share / name.upper())
            keeper.verify(f"model_{name}")
        shutil.rmtree(gone)
        share.rename(share.with_name("away"))
        keeper.reconcile()
        assert keeper.catalog.manifest_places() == [str(kept), str(gone)]
        share.with_name("away").rename(share)
        keeper.reconcile()
        assert keeper.catalog.manifest_places() == [str(kept)]
        assert [each.stronghold for each in keeper.get_asset("model_a").locations] == [LOCAL]


def test_a_storage_that_is_not_mounted_is_offline_and_not_the_disk_below(paths: RealmPaths, share: Path) -> None:
    """Law 7: an empty mount point has the size of the disk that the system is on."""
    registry = StorageRegistry(paths.base)
    made = registry.register_stronghold("attic", StrongholdType.NAS, base_path=share)
    assert made.mount_point is not None
    assert registry.status_of(made)["status"] in ("active", "degraded")
    file = paths.configs / "storage_registry.json"
    file.write_text(file.read_text().replace(f'"{made.mount_point}"', f'"{share}"'))
    told = registry.status_of(registry.get("attic"))
    assert (told["status"], told["total_gb"]) == ("offline", None)
    assert os.path.isdir(share)
