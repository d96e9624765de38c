"""The storage status: what each stronghold says, and that one which never answers holds nobody up."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import Unavailable
from core.knocking import Knocker
from core.paths import RealmPaths
from core.settings import RetentionSettings
from tests.serving import serving
from tests.vault.catalog.assets import furnish
from vault import StorageRegistry, StrongholdType, VaultKeeper
from vault.archivist import Archivist
from vault.storage_registry import StorageProfile, Stronghold
from vault.storage_watch import StorageWatch
from watchtower.storage_routes import storage_routes

NOW = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)


class Mount:
    """A look at strongholds, of which one hangs for as long as it is `dead`."""

    def __init__(self, registry: StorageRegistry) -> None:
        self._registry = registry
        self.dead = threading.Event()
        self.alive = threading.Event()
        self.looks: list[str] = []

    def look(self, stronghold: Stronghold) -> dict[str, Any]:
        self.looks.append(stronghold.name)
        if stronghold.name == "nas" and self.dead.is_set():
            self.alive.wait()
        return self._registry.status_of(stronghold)


@pytest.fixture
def mount(paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    registry = StorageRegistry(paths.base)
    nas = tmp_path_factory.mktemp("nas")
    registry.register_stronghold("nas", StrongholdType.NAS, "192.0.2.7", "/volume1/data", nas)
    registry.register_stronghold("unplugged", StrongholdType.NAS, base_path=nas / "not there")
    registry.register_stronghold("elsewhere", StrongholdType.CLOUD)
    mount = Mount(registry)
    yield mount
    mount.alive.set()


def watch(paths: RealmPaths, mount: Mount, *, answer_seconds: float = 30.0, **more: Any) -> StorageWatch:
    """Patient, unless something hangs: a share that is alive may take its time on a busy machine."""
    return StorageWatch(paths, RetentionSettings, look=mount.look, answer_seconds=answer_seconds, **more)


def told_of(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in body["strongholds"]}


def test_each_stronghold_is_told_of_with_its_room_and_its_backups(paths: RealmPaths, mount: Mount) -> None:
    furnish(paths)
    with VaultKeeper(paths.base) as keeper:
        seal = Archivist(keeper).seal("checkpoint_1000", "nas", now=NOW)
    watch(paths, mount).look(NOW)
    body = json.loads(paths.storage_status.read_text())
    told = told_of(body)
    assert list(told) == ["local_vault", "elsewhere", "nas", "unplugged"]
    nas = told["nas"]
    assert (nas["status"], nas["reachable"], nas["host"], nas["share"]) == (
        "active",
        True,
        "192.0.2.7",
        "/volume1/data",
    )
    assert nas["total_gb"] >= nas["free_gb"] > 0
    assert (nas["backup_count"], nas["backup_gb"]) == (1, seal.size_bytes / 1e9)
    assert (nas["backup_budget_gb"], nas["newest_backup_at"]) == (500, NOW.isoformat())
    assert (told["unplugged"]["status"], told["unplugged"]["total_gb"]) == ("offline", None)
    assert (told["elsewhere"]["status"], told["elsewhere"]["health"]) == ("unknown", "unknown")
    assert body["status"] == "unreachable"
    assert datetime.fromisoformat(body["valid_until"]) > NOW


def test_a_hung_mount_is_shown_as_unreachable_and_is_not_waited_for_twice(paths: RealmPaths, mount: Mount) -> None:
    """`statvfs` on a dead NFS mount never returns: one thread hangs, and all others are told of."""
    watching = watch(paths, mount, answer_seconds=2.0)
    watching.look(NOW)
    mount.dead.set()
    nas = told_of(watching.look(NOW + timedelta(minutes=1)))["nas"]
    assert (nas["status"], nas["health"], nas["reachable"], nas["free_gb"]) == ("offline", "unreachable", False, None)
    assert nas["error"].startswith("nas has not answered within 2 s.")
    assert nas["last_seen_at"] == NOW.isoformat()
    looks = mount.looks.count("nas")
    told = told_of(watching.look(NOW + timedelta(minutes=2)))
    assert mount.looks.count("nas") == looks
    assert (told["nas"]["reachable"], told["local_vault"]["reachable"]) == (False, True)
    mount.dead.clear()
    mount.alive.set()
    for thread in threading.enumerate():
        if thread.name == "knock: nas":
            thread.join(5.0)
    assert told_of(watching.look(NOW + timedelta(minutes=3)))["nas"]["reachable"]


async def test_the_loop_goes_on_while_a_mount_hangs(paths: RealmPaths, mount: Mount) -> None:
    """Law 5: a beat every few milliseconds, whatever the share does."""
    mount.dead.set()
    beats = 0
    looking = asyncio.create_task(watch(paths, mount, answer_seconds=0.3).go())
    while not looking.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert beats > 2
    assert json.loads(paths.storage_status.read_text())["status"] == "unreachable"


async def test_what_answers_is_tidied_once_an_hour_and_what_does_not_is_left_alone(
    paths: RealmPaths, mount: Mount
) -> None:
    """A1: what was deleted by hand in a share stays in no catalog for long."""
    tidied: list[str] = []
    watching = watch(paths, mount, tidy=lambda name, now: tidied.append(name))
    await watching.go()
    await watching.go()
    assert tidied == ["local_vault", "nas"]


def test_how_full_a_stronghold_is_makes_its_health(paths: RealmPaths, mount: Mount) -> None:
    for percent, profile, health in (
        (89.0, StorageProfile(), "healthy"),
        (91.0, StorageProfile(), "warning"),
        (91.0, StorageProfile(cleanup_threshold_pct=93.0), "healthy"),
        (96.0, StorageProfile(), "critical"),
    ):
        StorageRegistry(paths.base).register_stronghold(
            "nas", StrongholdType.NAS, base_path=paths.base, profile=profile
        )
        usage = {"status": "active", "total_gb": 1.0, "used_gb": 1.0, "free_gb": 0.1, "usage_percent": percent}
        told = StorageWatch(paths, RetentionSettings, look=lambda each, usage=usage: dict(usage)).look(NOW)
        assert told_of(told)["nas"]["health"] == health


async def test_the_watchtower_serves_it_and_says_unknown_once_nobody_vouches_for_it(
    paths: RealmPaths, mount: Mount
) -> None:
    """F3, law 7: the numbers of a writer that is gone are no numbers of now."""
    clock = [datetime.now(UTC)]
    async with serving(storage_routes(paths.storage_status, lambda: clock[0]), service="watchtower") as visitor:
        nothing = (await visitor.get("/api/storage")).body
        assert (nothing["status"], nothing["stale"], nothing["strongholds"]) == ("unknown", True, [])
        watch(paths, mount).look(clock[0])
        told = (await visitor.get("/api/storage")).body
        assert (told["status"], told["stronghold_count"], told["reachable_count"]) == ("unreachable", 4, 2)
        assert told["free_gb"] > 0
        details = (await visitor.get("/api/storage/details")).body
        assert told_of(details)["nas"]["share"] == "/volume1/data"
        clock[0] += timedelta(hours=1)
        old = (await visitor.get("/api/storage/details")).body
        assert (old["status"], old["stale"]) == ("unknown", True)
        nas = told_of(old)["nas"]
        assert (nas["status"], nas["free_gb"], nas["backup_count"], nas["share"]) == (
            "unknown",
            None,
            0,
            "/volume1/data",
        )


def test_a_disk_that_does_not_take_the_status_is_told_of_and_tried_again(paths: RealmPaths, mount: Mount) -> None:
    paths.status.rename(paths.base / "away")
    watching = watch(paths, mount)
    asyncio.run(watching.go())
    (paths.base / "away").rename(paths.status)
    asyncio.run(watching.go())
    assert paths.storage_status.exists()


# --- knocking ------------------------------------------------------------------------------------------------------


def test_a_knock_gives_what_the_work_gives_and_raises_what_it_raises() -> None:
    knocker = Knocker()
    assert knocker.ask("door", lambda: 7, 5.0) == 7
    with pytest.raises(ZeroDivisionError):
        knocker.ask("door", lambda: 1 // 0, 5.0)


def test_whoever_finds_somebody_else_at_the_door_has_his_turn_after_him() -> None:
    knocker, begun, end = Knocker(), threading.Event(), threading.Event()
    answers: list[int] = []

    def slow() -> int:
        begun.set()
        end.wait()
        return 1

    first = threading.Thread(target=lambda: answers.append(knocker.ask("door", slow, 10.0)))
    first.start()
    begun.wait()
    second = threading.Thread(target=lambda: answers.append(knocker.ask("door", lambda: 2, 10.0)))
    second.start()
    end.set()
    for thread in (first, second):
        thread.join(10.0)
    assert sorted(answers) == [1, 2]


def test_a_door_that_stays_shut_takes_one_thread_and_no_more() -> None:
    knocker, end = Knocker(), threading.Event()
    for _ in range(3):
        with pytest.raises(Unavailable, match="has not answered within"):
            knocker.ask("door", end.wait, 0.05)
    assert [thread.name for thread in threading.enumerate()].count("knock: door") == 1
    end.set()
