"""A realm that plays a script: real saga, real hub, real site; only what the daemon reports is made by the test."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.db import Database
from core.errors import Conflict, Unavailable
from core.http.access import Access
from core.http.endpoints import Endpoint
from core.http.events import EventHub
from core.http.site import Site, make_app
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings
from tavern.routes import LOGIN, tavern_routes
from tests.waiting import wait_until_async

SAMPLE: dict[str, Any] = json.loads(Path(__file__).with_name("sample_snapshot.json").read_text(encoding="utf-8"))

AFTER = {"pause": "paused", "resume": "training", "stop": "stopped", "skip": "idle"}
"""State reached once a wish is fulfilled."""


class ScriptedRealm:
    """Serves the tavern on one port; tests move `self.body` and say so by `tell` and `progress`."""

    def __init__(self, folder: Path, port: int = 0, token: str | None = None, rooms: Sequence[Endpoint] = ()) -> None:
        """With a `token`, it wants to be logged in to, as a realm beyond loopback does. `rooms` are what pages beyond
        the battle ask."""
        self.body = copy.deepcopy(SAMPLE)
        self.wishes: list[tuple[str, str | None]] = []
        self.snapshots = 0
        self.before_snapshot: Callable[[], Any] | None = None
        self.away = False
        self.clock_error = timedelta(0)
        self._db = Database(folder / "saga.db", MIGRATIONS)
        self.saga = Saga(self._db, BudgetSettings())
        if not self.saga.latest_events(1):
            for event in SAMPLE["events"]:
                self.saga.append(event["kind"], event["message"], now=datetime.fromisoformat(event["at"]))
        self.hub = EventHub(self.saga)
        routes = [*tavern_routes(self.snapshot, self.hub, self), *rooms]
        self.access = Access(token)
        app = make_app(routes, service="tavern", health=dict, access=self.access, login=LOGIN, closing=[self.hub.close])
        self.site = Site(app, "127.0.0.1", port, "tavern")

    async def start(self) -> ScriptedRealm:
        await self.site.start()
        return self

    async def stop(self) -> None:
        await self.site.stop()
        self._db.close()

    # --- what the daemon offers ---------------------------------------------------------------------------

    async def snapshot(self) -> dict[str, Any]:
        if self.away:
            raise Unavailable("The daemon is away.")
        self.snapshots += 1
        events = [event.to_json() for event in self.saga.latest_events(30)]
        last = events[-1]["id"] if events else 0
        body = {**copy.deepcopy(self.body), "timestamp": self.time(), "events": events, "last_event_id": last}
        if self.before_snapshot is not None:
            await self.before_snapshot()
        return body

    async def status(self) -> dict[str, Any]:
        return dict(self.body["training"])

    async def queue(self) -> dict[str, Any]:
        return dict(self.body["queue"])

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        self.wishes.append((action, reason))
        if action == "save":
            raise Conflict("A checkpoint is being written already.", hint="Wait for it.")
        return {"success": True, "action": action, "message": f"{action} takes effect after the present step."}

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        return {"success": True, "action": action, "message": quest}

    def time(self) -> str:
        """What the realm's own clock says."""
        return (datetime.now(UTC) + self.clock_error).isoformat()

    # --- what the test lets happen ------------------------------------------------------------------------

    def fulfil(self, action: str) -> None:
        """The wish takes effect: the daemon reports the new state and tells the saga."""
        self.report_state(AFTER[action])

    def report_state(self, state: str, reason: str | None = None) -> None:
        self.body["realm"] = {**self.body["realm"], "state": state, "reason": reason, "since": now()}
        self.tell("state_changed", f"The realm is {state} now.")

    def show_state(self, state: str) -> None:
        """Report a state by a progress frame alone."""
        self.body["realm"] = {**self.body["realm"], "state": state}
        frame = {"timestamp": now(), "realm": self.body["realm"]}
        self.hub.publish_progress(lambda: frame)

    async def watched(self) -> None:
        """Wait until a page listens: what is published before reaches nobody."""
        await wait_until_async(lambda: self.hub.viewers == 1, message="no page listens")

    def tell(self, kind: str, message: str) -> None:
        self.saga.append(kind, message, now=datetime.now(UTC))

    def strike(self, rows: int, step: int, loss: float | None) -> None:
        """Training went on to `step` with `rows` rows of the quest learned."""
        self.body["training"].update(current_step=step, loss=loss)
        self.body["hero"].update(xp=step, level=step // 1000)
        self.body["quest"].update(rows_done=rows, loss=loss, step=step - 1189)
        self.body["loss"] = [*self.body["loss"], [step, loss]]
        keys = ("realm", "hero", "training", "quest")
        frame = {"timestamp": self.time(), **{key: copy.deepcopy(self.body[key]) for key in keys}}
        self.hub.publish_progress(lambda: frame)


def now() -> str:
    return datetime.now(UTC).isoformat()
