"""The outlook of a whole daemon: its parts are asked as they are, and the snapshot and every frame tell the same."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from arena.command.battle_control import BattleControl
from arena.quests import Strike
from core.status_files import read_status
from docs.make_reference import idle_realm
from tavern.answers import Game
from tests.arena.quest_makers import NOW
from tests.idle_realm import furnish


def causes(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cause["kind"]: cause for cause in answer["causes"]}


async def test_a_daemon_tells_what_keeps_it(tmp_path: Path) -> None:
    with idle_realm(tmp_path) as (daemon, _sites):
        await furnish(daemon)
        found = causes(await daemon.outlook.now())
        assert list(found) == ["failed_quests"]
        running = daemon.board.processing()
        assert running is not None
        daemon.board.add_strike(running.quest_id, Strike(NOW.isoformat(), 4, 2, "signal 9"))
        BattleControl(daemon.paths.control).write("pause", "the oven is on", now=NOW)
        await daemon._wishes.obey()
        await daemon.school._blockade.raise_up("The guild makes no quests for now: a test says so")
        snapshot = await daemon.crier.snapshot()
        found = causes(snapshot["momentum"])
        assert list(found) == ["paused", "school_blocked", "strikes", "failed_quests"]
        assert found["paused"]["since"] == NOW.isoformat()
        assert "running.jsonl has 1 strike against it" in found["strikes"]["message"]
        assert causes(await daemon.outlook.now()) == found


async def test_a_snapshot_is_whole_and_a_frame_is_a_part_of_it(tmp_path: Path) -> None:
    """F1, F7: what the snapshot has and a frame brings is of one shape; GPU, vault and curriculum are always there."""
    with idle_realm(tmp_path) as (daemon, _sites):
        await furnish(daemon)
        now = datetime.now(UTC)
        daemon._saga.put_series({"train_loss": [(1, 2.0), (2, 1.0)], "val_loss": [(2, 1.5)]}, now=now)
        daemon._saga.append("spike", "The loss spiked", now=now, data={"step": 2})
        daemon._saga.append("hero_level_up", "Seedling reaches level 2", now=now, data={"level": 2})
        snapshot = await daemon.crier.snapshot()
        Game.model_validate(snapshot)
        assert snapshot["loss"] == [(1, 2.0), (2, 1.0)]
        assert snapshot["vault"]["checkpoint_count"] == len(snapshot["vault"]["checkpoints"]) == 2
        assert snapshot["mood"]["wound"]["kind"] == "spike"
        assert snapshot["mood"]["rise"]["data"] == {"level": 2}
        frame = daemon.crier._frame()
        assert set(frame) <= set(snapshot)
        assert {"machine", "gpu", "momentum"} <= set(frame)
        assert {type(snapshot[key]) for key in frame} == {type(value) for value in frame.values()}
        assert read_status(daemon.paths.training_status, now=datetime.now(UTC))["status"] == "training"


@pytest.mark.parametrize("kind", ["trainer_ready", "rewound"])
async def test_nothing_is_told_twice_by_those_who_tell(tmp_path: Path, kind: str) -> None:
    """Tales, charts and snapshot read one saga: what one of them shows, all do."""
    with idle_realm(tmp_path) as (daemon, _sites):
        event = daemon._saga.append(kind, "once", now=NOW)
        tales = await daemon.reception.tales.tales(limit=1, before=None, category="battle", words="once")
        snapshot = await daemon.crier.snapshot()
        assert tales["tales"][0]["id"] == snapshot["last_event_id"] == event.id
