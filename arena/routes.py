"""The arena over HTTP: what is trained, what waits, and the wishes pause, resume, stop, skip, save (spec 1.6, 1.9)."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler

from core.errors import InvalidInput, NotFound
from core.http import json_response, read_json_body
from core.paths import PRIORITIES

CONTROL_ACTIONS = ("pause", "resume", "stop", "skip", "save")
QUEST_ACTIONS = ("retry", "remove", "move")
MAX_REASON = 500


class TrainingService(Protocol):
    """What the daemon offers to the web. Every method may raise a `RealmError`, which becomes the HTTP answer."""

    async def status(self) -> dict[str, Any]:
        """The body of `status/training_status.json` as `read_status` sees it; `{"status": "unknown", "message"}`
        when there is none."""
        ...

    async def queue(self) -> dict[str, Any]:
        """`{"pending", "processing", "awaiting_seal", "failed", "queues": {priority: {"count", "files"}}}`,
        at most ten file names each."""
        ...

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        """Express one of `CONTROL_ACTIONS`; `{"success", "action", "message"}`. Returns when the wish is on disk."""
        ...

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        """Do one of `QUEST_ACTIONS` to the quest with this id or file name; `priority` is given for `move` only."""
        ...


def training_routes(arena: TrainingService) -> list[web.AbstractRouteDef]:
    """`/api/training/*` of port 8767."""

    async def show_status(request: web.Request) -> web.Response:
        return json_response(await arena.status())

    async def show_queue(request: web.Request) -> web.Response:
        return json_response(await arena.queue())

    async def act_on_quest(request: web.Request) -> web.Response:
        action = request.match_info["action"]
        if action not in QUEST_ACTIONS:
            raise NotFound(f"There is no quest action {action!r}.", hint=f"Valid: {', '.join(QUEST_ACTIONS)}.")
        body = await read_json_body(request, allowed={"quest", "priority"} if action == "move" else {"quest"})
        priority = body.get("priority")
        if action == "move" and priority not in PRIORITIES:
            raise InvalidInput("`priority` is missing or unknown.", hint=f"Valid: {', '.join(PRIORITIES)}.")
        return json_response(await arena.quest_action(action, _quest_name(body.get("quest")), priority))

    return [
        web.get("/api/training/status", show_status),
        web.get("/api/training/queue", show_queue),
        web.post("/api/training/control", control_handler(arena)),
        web.post("/api/training/quests/{action}", act_on_quest),
    ]


def control_handler(arena: TrainingService) -> Handler:
    """The handler of `{"action": …, "reason"?: …}`; the tavern serves the same under its own path."""

    async def control(request: web.Request) -> web.StreamResponse:
        body = await read_json_body(request, allowed={"action", "reason"})
        action = body.get("action")
        if action not in CONTROL_ACTIONS:
            raise InvalidInput("`action` is missing or unknown.", hint=f"Valid: {', '.join(CONTROL_ACTIONS)}.")
        return json_response(await arena.control(action, _one_line(body.get("reason"))))

    return control


def _one_line(reason: Any) -> str | None:
    """The reason on one line: it becomes the first line of a control file, whose further lines have a meaning."""
    if reason is None:
        return None
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise InvalidInput(f"`reason` must be a text of at most {MAX_REASON} characters.")
    return " ".join("".join(char if char.isprintable() else " " for char in reason).split()) or None


def _quest_name(quest: Any) -> str:
    """An id or a bare file name: nothing that could lead out of a lane."""
    if not isinstance(quest, str) or not 0 < len(quest) <= 255:
        raise InvalidInput("`quest` must be the id or the file name of a quest.")
    if quest in {".", ".."} or "/" in quest or "\0" in quest:
        raise InvalidInput("`quest` must be a bare name without a path.", found=quest)
    return quest
