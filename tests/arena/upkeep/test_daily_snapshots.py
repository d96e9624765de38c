"""The snapshot of the day is taken once, by a scribe of its own, and made up for after a day without a realm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from arena.heroes import survey_heroes
from arena.journal import Genesis, encode_entry
from arena.upkeep.base_pins import base_pins
from arena.upkeep.daily_snapshots import DailySnapshots
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings, RetentionSettings
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.retention import Pin, Protection
from vault.snapshots import snapshot_days
from vault.treasury import Treasury

NAME = "checkpoint-100-20261121-0930"
NOON = datetime(2099, 11, 21, 12, 0).astimezone()


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Saga(database, BudgetSettings())


def checkpoint(paths: RealmPaths) -> Path:
    return publish(CheckpointStore(paths.current_model), NAME, more={"config.json": "{}"})


def kinds(saga: Saga) -> list[str]:
    return [event.kind for event in saga.events_after(0)]


async def test_a_snapshot_a_day_and_one_for_the_time_that_was_missed(paths: RealmPaths, saga: Saga) -> None:
    """A12: nightly work that failed every night, unnoticed; here it is done, once, and told."""
    keeper = DailySnapshots(paths, saga, RetentionSettings)
    await keeper.look(now=NOON)
    assert not paths.snapshots.exists()
    checkpoint(paths)
    await keeper.look(now=NOON.replace(hour=1))
    await keeper.look(now=NOON.replace(hour=1, minute=30))
    assert [day.isoformat() for day in snapshot_days(paths)] == ["2099-11-20"]
    await keeper.look(now=NOON)
    assert [day.isoformat() for day in snapshot_days(paths)] == ["2099-11-20", "2099-11-21"]
    assert kinds(saga) == ["snapshot_taken", "snapshot_taken"]
    (paths.snapshots / "2099-11-21" / "SNAPSHOT.json").unlink()
    await keeper.look(now=NOON)
    assert json.loads((paths.snapshots / "2099-11-21" / "SNAPSHOT.json").read_text())["checkpoint"] == NAME


async def test_one_that_cannot_be_taken_is_told_once_and_tried_again_after_an_hour(
    paths: RealmPaths, saga: Saga
) -> None:
    """A30: a torn checkpoint makes no snapshot; gigabytes are not hashed again every minute."""
    keeper = DailySnapshots(paths, saga, RetentionSettings)
    weights = checkpoint(paths) / "model.safetensors"
    whole = weights.read_text()
    weights.write_text("torn")
    await keeper.look(now=NOON)
    weights.write_text(whole)
    await keeper.look(now=NOON + timedelta(minutes=59))
    assert (snapshot_days(paths), kinds(saga)) == ([], ["snapshot_blocked"])
    await keeper.look(now=NOON + timedelta(minutes=60))
    assert kinds(saga) == ["snapshot_blocked", "snapshot_goes_on", "snapshot_taken"]


async def test_a_disk_that_refuses_holds_the_snapshot_up_and_nothing_else(paths: RealmPaths, saga: Saga) -> None:
    """A12, A23: the scribe called it a bug, which ended the task with a traceback every minute."""
    checkpoint(paths)
    paths.snapshots.write_text("no directory can be made here")
    keeper = DailySnapshots(paths, saga, RetentionSettings)
    await keeper.look(now=NOON)
    assert kinds(saga) == ["snapshot_blocked"]
    paths.snapshots.unlink()
    await keeper.look(now=NOON + timedelta(hours=1))
    assert kinds(saga)[1:] == ["snapshot_goes_on", "snapshot_taken"]


async def test_without_snapshots_in_the_settings_none_is_taken(paths: RealmPaths, saga: Saga) -> None:
    checkpoint(paths)
    await DailySnapshots(paths, saga, lambda: RetentionSettings(snapshots=0)).look(now=NOON)
    assert not paths.snapshots.exists()


def test_the_checkpoint_that_a_hero_was_made_from_is_held(paths: RealmPaths) -> None:
    """A24: retention deleted checkpoints that others referred to."""
    base = checkpoint(paths)
    heroes = paths.configs / "heroes"
    heroes.mkdir()
    (heroes / "mira.yaml").write_text(json.dumps({"base_model": str(base), "titel": "with a typing error"}))
    (heroes / "broken.yaml").write_text("{")
    reason = "It is the base model of the hero mira."
    assert base_pins(paths, None)[base] == Pin(Protection.SACRED, reason)
    assert base_pins(paths, "/elsewhere")[Path("/elsewhere")].reason == "It is the base model that model_name names."


def test_a_base_model_is_held_by_whatever_name_leads_to_it(paths: RealmPaths) -> None:
    """A24: a directory of models/ that is a link, a shipped hero, and what an archived model began with."""
    base = checkpoint(paths)
    (paths.models / "mine").symlink_to(base)
    (paths.models / "loop").symlink_to("loop")
    hub = next(hero.base_model for hero in survey_heroes(paths)[0].values() if "/" in hero.base_model)
    archived = paths.archive / "dio-20260101T000000Z"
    archived.mkdir(parents=True)
    first = Genesis(seq=1, at="2026-01-01", hero="dio", base_model="/old/models/mine", weights="0" * 64)
    (archived / "journal.jsonl").write_bytes(encode_entry(first) + b"\n")

    def held(model_name: str | None) -> dict[str, str]:
        pins = base_pins(paths, model_name)
        keeper = Treasury(paths, CheckpointLedger.of(paths), RetentionSettings, pins=lambda: pins)
        assert paths.models / hub.replace("/", "--") in pins
        return {each.holding.name: each.pin.reason for each in keeper.verdict(NOON).kept if each.pin is not None}

    assert held("loop")[NAME] == f"The model in {archived.name} began with it."
    (archived / "journal.jsonl").write_text("{}\n")
    assert held("mine")[NAME] == "It is the base model that model_name names."
    assert held(None)[NAME] == "HEAD: the next start resumes from it."
