"""The tavern over HTTP, port 8888: the page, its snapshot, its event stream and its control buttons.

A page is one snapshot and then the stream (DESIGN section 8). The **snapshot** (`GET /api/game`) is one JSON object;
whatever is not known is null, never 0; a sample lies in `tests/tavern/sample_snapshot.json`:

    timestamp      ISO 8601 UTC, when it was put together
    realm          {state, reason, since, version}; `state` is one of starting, idle, preparing, training,
                   replaying, evaluating, saving, pausing, paused, stopping, stopped, crashed, unknown
    hero           {id, name, level, xp, atk, def, acc, gold, model: {name, parameters, device}}
    training       the body of training_status.json; the page reads current_step, loss, validation_loss
    quest          {file, quest_id, rows_done, rows_total, step, steps, epoch, epochs, loss, learning_rate,
                   tokens_per_sec, eta_seconds, replaying}, or null; rows and steps count over all epochs,
                   speed and time left are null while nothing moves
    queue          {high, normal, low, processing, awaiting_seal, completed, failed, inbox}: files
    loss           [[step, loss], …], at most 500, rising steps
    validation     the same of the validation loss
    checkpoint     {latest: {name, step, train_loss, saved_at, size_gb} or null, count}
    events         [{id, at, kind, message}, …], at most 30, oldest first
    last_event_id  id of the newest event; the page asks the stream for what follows it

A **progress frame** of the stream is a JSON object with `timestamp` and any of `realm`, `hero`, `training`, `quest`:
each key that is there replaces that key of the snapshot as a whole, the others stay as they are (F1).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from arena.routes import TrainingService, control_handler
from core.http import json_response
from core.http_events import EventHub

STATIC = Path(__file__).resolve().parent / "static"
PAGE_PATHS = ("/", "/game", "/game.html")


def tavern_routes(
    snapshot: Callable[[], Awaitable[dict[str, Any]]], hub: EventHub, training: TrainingService
) -> list[web.AbstractRouteDef]:
    """Everything the browser asks for; it talks to this port only (F15)."""

    async def show_page(request: web.Request) -> web.FileResponse:
        return web.FileResponse(STATIC / "index.html")

    async def show_snapshot(request: web.Request) -> web.Response:
        return json_response(await snapshot())

    return [
        *(web.get(path, show_page) for path in PAGE_PATHS),
        web.static("/static", STATIC),
        web.get("/api/game", show_snapshot),
        web.get("/api/events/stream", hub.serve, allow_head=False),
        web.post("/api/daemon/control", control_handler(training)),
    ]
