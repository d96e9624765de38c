"""A scripted realm with a past: series of thousands of steps, and hundreds of tales."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arena.telling.charts import ChartRoom
from arena.telling.routes import telling_routes
from arena.telling.tales import TaleTeller
from core.db import Database
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings
from tests.tavern.scripted_realm import SAMPLE, ScriptedRealm

STEPS = 20_000
SPIKE = 11_456
TALES = 150
KINDS = ("quest_learned", "checkpoint_saved", "disk_low")


class StoriedRealm(ScriptedRealm):
    """`make` gives one; what it tells of the past is read from its own saga."""

    @classmethod
    def make(cls, folder: Path, *, steps: int = 0, tales: int = 0) -> StoriedRealm:
        """It has made so many steps, and so much has happened beside what the sample tells."""
        past = Database(folder / "saga.db", MIGRATIONS)
        saga = Saga(past, BudgetSettings())
        write_past(saga, steps, tales)
        realm = cls(folder, rooms=telling_routes(ChartRoom(saga), TaleTeller(saga), momentum))
        realm.past = past
        realm.body["loss"] = [list(point) for point in saga.points("train_loss", limit=500)]
        realm.body["validation"] = [list(point) for point in saga.points("val_loss", limit=500)]
        realm.body["training"].update(current_step=steps, loss=1.0, train_loss_history=[[steps, 1.0]])
        return realm

    past: Database

    async def stop(self) -> None:
        await super().stop()
        self.past.close()

    def train(self, *points: tuple[int, float]) -> None:
        """These steps are made: the saga has them, and a frame tells of them."""
        self.saga.put_points("train_loss", points, now=datetime.now(UTC))
        self.body["training"]["train_loss_history"] = [list(point) for point in points]
        self.strike(rows=3000, step=points[-1][0], loss=points[-1][1])


def write_past(saga: Saga, steps: int, tales: int) -> None:
    now = datetime.now(UTC)
    loss = [(step, 50.0 if step == SPIKE else 1.0 + 4.0 / (1 + step / 1000)) for step in range(1, steps + 1)]
    saga.put_series({"train_loss": loss, "val_loss": [(step, 2.0) for step in range(500, steps, 500)]}, now=now)
    for event in SAMPLE["events"]:
        saga.append(event["kind"], event["message"], now=now - timedelta(days=1))
    for number in range(tales):
        kind = KINDS[number % len(KINDS)]
        data = {"quest_id": f"q_{number}", "nothing": None}
        saga.append(kind, f"tale {number} of <b>old</b>", now=now - timedelta(seconds=tales - number), data=data)


async def momentum() -> dict[str, Any]:
    return dict(SAMPLE["momentum"])
