"""The ladder of a disk that fills: warned, pruned, held, and on again; each turn told once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from arena.disk.governor import DiskGovernor
from arena.disk.headroom import HEADROOM
from arena.protocol import DiskShort
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.errors import Unavailable
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Event, Saga
from core.settings import BudgetSettings, DiskSettings, RetentionSettings
from tests.arena.disk.small_files import MEGABYTE, SmallDisk
from tests.arena.quest_makers import NOW
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.treasury import Treasury

RESERVE = 4 * MEGABYTE


@dataclass
class Watch:
    """A governor of a realm on a small disk, and what it told."""

    paths: RealmPaths
    database: Database
    disk: SmallDisk = field(default_factory=lambda: SmallDisk(free=100 * MEGABYTE))
    turns: int = 0

    def __post_init__(self) -> None:
        self.saga = Saga(self.database, BudgetSettings())
        self.disk.reserve = self.paths.current_model / HEADROOM
        self.ledger = CheckpointLedger.of(self.paths)
        settings = RetentionSettings(min_age_hours=0, weights_only=2)
        self.governor = DiskGovernor(
            self.paths, DiskSettings(reserve_megabytes=4, warn_saves=2), saga=self.saga,
            treasury=Treasury(self.paths, self.ledger, lambda: settings), ledger=self.ledger,
            on_turn=self._turn, files=self.disk,
        )  # fmt: skip

    def _turn(self) -> None:
        self.turns += 1

    async def at(self, free: int) -> str:
        """Look with so many bytes free beside the reserve as it is held now; returns the state."""
        self.disk.others = 0
        self.disk.others = self.disk.free - free
        return await self.look()

    async def look(self) -> str:
        await self.governor.look()
        state: str = self.governor.view()["state"]
        return state

    @property
    def told(self) -> list[str]:
        return [event.kind for event in self.events if event.kind.startswith("disk_")]

    @property
    def events(self) -> list[Event]:
        return self.saga.events_after(0)

    @property
    def holds_reserve(self) -> bool:
        return (self.paths.current_model / HEADROOM).exists()

    def let_saga_grow(self, pages: int | None = None) -> None:
        """To so many pages; without a number, by none at all, and what is free in those that it has is used up."""
        with self.database.write() as connection:
            now = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages or now}")
        with suppress(Unavailable):
            while pages is None:
                self.saga.append("filler", "x" * 200, now=NOW)


@pytest.fixture
def watch(paths: RealmPaths) -> Iterator[Watch]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Watch(paths, database)


async def test_a_full_disk_gives_the_reserve_up_holds_the_work_and_lets_it_go_on_by_itself(watch: Watch) -> None:
    """A23: told once each; between full and well lies as much as the reserve takes, so that nothing flaps."""
    assert await watch.look() == "plenty"
    assert watch.holds_reserve
    assert watch.governor.reason is None
    assert await watch.at(RESERVE // 4 - 4096) == "full"
    assert not watch.holds_reserve, "what the reserve took is there for journal, moves and status"
    first = watch.governor.reason
    assert first is not None
    assert first.startswith("disk: the disk of current_model/ is full")
    for free in (0, RESERVE, 2 * RESERVE):
        assert await watch.at(free) == "full"
    assert watch.governor.reason == first, "the words stay, whatever the numbers are by now"
    assert watch.governor.bars_trainer is False, "a trainer that starts now finds the room that was given up"
    assert await watch.at(20 * RESERVE) == "plenty"
    assert watch.holds_reserve
    assert watch.governor.reason is None
    assert watch.told == ["disk_low", "disk_full", "disk_ok"]
    assert watch.turns == 2


async def test_few_saves_that_still_fit_are_told_once_and_what_retention_lets_go_goes(watch: Watch) -> None:
    """A23: the warning comes while there is still room, says how many saves fit, and names what goes."""
    store = CheckpointStore(watch.paths.current_model)
    for day in range(1, 5):
        name = f"checkpoint-{day}0-2026110{day}-0900"
        publish(store, name, milestone=True, size_bytes=5 * MEGABYTE, has_optimizer=True)
    assert await watch.look() == "plenty"
    assert await watch.at(14 * MEGABYTE + 4096) == "plenty"
    for _ in range(3):
        assert await watch.at(14 * MEGABYTE - 4096) == "low"
    assert await watch.at(17 * MEGABYTE) == "low", "a little more than the limit does not end it"
    assert watch.governor.reason is None, "nothing stands still for a warning"
    assert watch.told.count("disk_low") == 1
    low = next(event for event in watch.events if event.kind == "disk_low")
    assert low.data is not None
    assert low.data["saves_that_fit"] == 2
    assert low.data["may_go"] == ["checkpoint-10-20261101-0900", "checkpoint-20-20261102-0900"]
    assert [found.step for found in store.list()] == [30, 40], "pruned by policy, and by nothing else"
    assert await watch.at(40 * MEGABYTE) == "plenty"
    assert watch.told[-1] == "disk_ok"


async def test_a_save_that_does_not_fit_is_an_alert_until_it_is_made(watch: Watch) -> None:
    """A23: training goes on or pauses as the trainer knows best; files are still taken in."""
    await watch.look()
    short = DiskShort(what="milestone", needed_bytes=200 * MEGABYTE, free_bytes=96 * MEGABYTE)
    for _ in range(2):
        await watch.governor.note_short(short)
    assert watch.governor.view()["state"] == "short"
    assert "210 MB" in watch.governor.view()["message"]
    assert watch.governor.reason is None
    await watch.governor.note_saved()
    assert watch.governor.view()["state"] == "plenty"
    assert watch.told == ["disk_short", "disk_ok"]


async def test_a_save_that_does_not_fit_gets_room_although_the_rules_have_just_let_nothing_go(watch: Watch) -> None:
    """A23: on a low disk the looks by policy took every turn, and an urgent save paused training for minutes."""
    store = CheckpointStore(watch.paths.current_model)
    for day in (1, 2):
        name = f"checkpoint-{day}0-2026110{day}-0900"
        publish(store, name, milestone=True, size_bytes=5 * MEGABYTE, has_optimizer=True)
    await watch.look()
    assert await watch.at(13 * MEGABYTE) == "low"
    assert [found.step for found in store.list()] == [10, 20], "both are within the limits"
    await watch.governor.note_short(DiskShort(what="milestone", needed_bytes=20 * MEGABYTE, free_bytes=13 * MEGABYTE))
    assert [found.step for found in store.list()] == [20]
    assert watch.governor.view()["state"] == "short"


@pytest.mark.parametrize(
    ("switch", "kind", "words"),
    [("read_only", "read_only", "queue/ is mounted read-only"), ("broken", "failing", "Input/output error")],
)
async def test_a_read_only_and_a_failing_disk_are_named_once_and_waited_for(
    watch: Watch, switch: str, kind: str, words: str
) -> None:
    """B30, A28: no trainer is started meanwhile, so that none can die of it and no quest be blamed."""
    await watch.look()
    getattr(watch.disk, switch).add("queue")
    assert await watch.look() == kind
    assert await watch.look() == kind
    assert words in str(watch.governor.reason)
    with pytest.raises(Unavailable, match=words):
        watch.governor.check_trainer()
    getattr(watch.disk, switch).clear()
    assert await watch.look() == "plenty"
    watch.governor.check_trainer()
    await watch.governor.until_usable()
    assert watch.told == [f"disk_{kind}", "disk_ok"]


async def test_a_disk_without_room_for_another_file_is_full_whatever_its_free_bytes(watch: Watch) -> None:
    await watch.look()
    watch.disk.files_left = 10
    assert await watch.look() == "full"
    assert "no more files can be made" in str(watch.governor.reason)
    watch.disk.files_left = 100
    assert await watch.look() == "full"
    watch.disk.files_left = 1000
    assert await watch.look() == "plenty"


async def test_a_turn_that_the_saga_does_not_take_is_told_later_with_its_own_time(watch: Watch) -> None:
    """A23: the events of a full disk stand in a database on that disk."""
    await watch.look()
    watch.let_saga_grow()
    watch.disk.read_only.add("queue")
    await watch.look()
    assert watch.told == []
    watch.let_saga_grow(1 << 30)
    await watch.look()
    assert watch.told == ["disk_read_only"]


async def test_one_vanished_directory_after_the_other_is_told(watch: Watch, tmp_path: Path) -> None:
    await watch.look()
    for place in (watch.paths.current_model, watch.paths.queue):
        place.rename(tmp_path / f"{place.name}-away")
    assert await watch.look() == "missing"
    (tmp_path / "current_model-away").rename(watch.paths.current_model)
    assert await watch.look() == "missing"
    assert [_place(event.data) for event in watch.events] == ["current_model", "queue"]


def _place(data: dict[str, Any] | None) -> Any:
    return None if data is None else data["place"]
