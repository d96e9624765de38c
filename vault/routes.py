"""`/api/ledger`: the checkpoint ledger over HTTP (spec 1.9), read by `core.remote_ledger` and the Tavern."""

from __future__ import annotations

import asyncio

from aiohttp import web

from core.checkpoint_ledger import CheckpointLedger, lower_is_better
from core.errors import InvalidInput, NotFound
from core.http import json_response

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000

_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def ledger_routes(ledger: CheckpointLedger) -> list[web.RouteDef]:
    """The routes of one ledger; disk work runs in threads, errors are raised as `core.errors`."""

    async def list_records(request: web.Request) -> web.Response:
        limit = _number(request, "limit", DEFAULT_LIMIT, MAX_LIMIT)
        offset = _number(request, "offset", 0, None)
        skill = request.query.get("skill")
        if skill:
            records = await asyncio.to_thread(ledger.list_by_skill, skill)
        else:
            records = await asyncio.to_thread(ledger.list_all)
        page = [record.to_view() for record in records[offset : offset + limit]]
        return json_response({"checkpoints": page, "count": len(page), "total": len(records), "offset": offset})

    async def summary(_: web.Request) -> web.Response:
        return json_response(await asyncio.to_thread(ledger.get_summary))

    async def best(request: web.Request) -> web.Response:
        metric = request.query.get("metric", "train_loss")
        lower = _TRUTH.get(request.query.get("lower", str(lower_is_better(metric))).lower())
        if lower is None:
            raise InvalidInput("lower must be true or false.")
        record = await asyncio.to_thread(ledger.get_best, metric, lower)
        if record is None:
            raise NotFound(f"No checkpoint has a {metric}.")
        return json_response({**record.to_view(), "metric": metric, "value": getattr(record, metric)})

    async def one(request: web.Request) -> web.Response:
        reference = request.match_info["step"]
        record = await asyncio.to_thread(ledger.find, reference)
        if record is None:
            raise NotFound(f"The ledger has no checkpoint {reference!r}.", hint="/api/ledger lists them.")
        return json_response(record.to_view())

    return [
        web.get("/api/ledger", list_records),
        web.get("/api/ledger/summary", summary),
        web.get("/api/ledger/best", best),
        web.get("/api/ledger/{step}", one),
    ]


def _number(request: web.Request, name: str, default: int, largest: int | None) -> int:
    text = request.query.get(name, str(default))
    # isdecimal alone lets other scripts' digits pass; 18 digits are more than any list is long.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidInput(f"{name} must be a whole number from 0 on, not {text!r}.")
    return int(text) if largest is None else min(int(text), largest)
