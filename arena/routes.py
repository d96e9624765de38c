"""The arena over HTTP: what is trained, what waits, and the wishes pause, resume, stop, skip, save (spec 1.6, 1.9)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, WithJsonSchema

from core.errors import Conflict, NotFound
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs

MAX_REASON = 500
LONGEST_NAME = 255
QUEST_NAME = r"^(q_[0-9]{8}_[0-9]{6}_[0-9a-f]{8}|[^/.\u0000][^/\u0000]*\.jsonl?(\.gz|\.zst)?)$"
TAG = "training"


def _one_line(reason: str) -> str | None:
    """The reason on one line: it becomes the first line of a control file, whose further lines have a meaning."""
    return " ".join("".join(char if char.isprintable() else " " for char in reason).split()) or None


def _quest_name(name: Any) -> str:
    """An id or a bare file name: nothing that could lead out of a lane."""
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not re.fullmatch(QUEST_NAME, name):
        raise ValueError("must be the id of a quest, or the name of its file without a path")
    return name


# Not pydantic's own check of text: names of files need not be Unicode.
QuestName = Annotated[
    str,
    PlainValidator(_quest_name),
    WithJsonSchema({"type": "string", "maxLength": LONGEST_NAME, "pattern": QUEST_NAME}),
    Field(description="The id of the quest, or the name of its file."),
]


class Wish(Inputs):
    """What training should do."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"action": "pause", "reason": "dinner"}]})

    action: Literal["pause", "resume", "stop", "skip", "save"] = Field(
        description="`pause` and `stop` hold until `resume`; `skip` and `save` are for the quest that runs now."
    )
    reason: Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_one_line)] | None = Field(
        default=None, description="Shown to everybody who asks why."
    )


class QuestNamed(Inputs):
    """A quest."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quest": "addition_level3.jsonl"}]})

    quest: QuestName


class QuestMove(Inputs):
    """A quest and where it should wait."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quest": "addition_level3.jsonl", "priority": "high"}]})

    quest: QuestName
    priority: Literal["high", "normal", "low"]


class TrainingService(Protocol):
    """What the daemon offers to the web. Every method may raise a `RealmError`, which becomes the HTTP answer."""

    async def status(self) -> dict[str, Any]:
        """The body of `status/training_status.json` as `core.status_files.read_status` sees it."""
        ...

    async def queue(self) -> dict[str, Any]:
        """`{"pending", "processing", "awaiting_seal", "failed", "queues": {priority: {"count", "files"}}}`,
        at most ten file names each."""
        ...

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        """Express a `Wish`; `{"success", "action", "message"}`. Returns when the wish is on disk."""
        ...

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        """`retry`, `remove` or `move` the quest with this id or file name; `priority` is given for `move` only."""
        ...


def training_routes(arena: TrainingService) -> list[Endpoint]:
    """`/api/training/*` of port 8767."""
    return [
        Endpoint("GET", "/api/training/status", arena.status,
                 "What training does and how far it is. `unknown` once the status is out of date.",
                 tag=TAG, answer="arena.answers:TrainingStatus"),
        Endpoint("GET", "/api/training/queue", arena.queue,
                 "How many quests wait, and the next ten of each priority.",
                 tag="quests", answer="arena.answers:QueueView"),
        control_endpoint(arena, "/api/training/control"),
        *board_wishes(arena, "/api/training/quests"),
    ]  # fmt: skip


def board_wishes(arena: TrainingService, below: str) -> list[Endpoint]:
    """Retry, remove and move a quest, by endpoints `below` a path; the tavern serves the same under its own."""

    async def retry(body: QuestNamed) -> dict[str, Any]:
        return await arena.quest_action("retry", body.quest, None)

    async def remove(body: QuestNamed) -> dict[str, Any]:
        return await arena.quest_action("remove", body.quest, None)

    async def move(body: QuestMove) -> dict[str, Any]:
        return await arena.quest_action("move", body.quest, body.priority)

    def quest_endpoint(action: str, handler: Callable[..., Awaitable[dict[str, Any]]], summary: str) -> Endpoint:
        return Endpoint("POST", f"{below}/{action}", handler, summary,
                        tag="quests", answer="arena.answers:QuestMoved", raises=[NotFound, Conflict])  # fmt: skip

    return [
        quest_endpoint("retry", retry, "Let a failed quest wait again, by way of the gates where it needs them."),
        quest_endpoint("remove", remove, "Delete a quest that waits or has failed."),
        quest_endpoint("move", move, "Let a waiting quest wait in another priority."),
    ]


def health_endpoint(health: Callable[[], Awaitable[dict[str, Any]]]) -> Endpoint:
    """What the learned quests were made of."""
    return Endpoint("GET", "/api/data-health", health,
                    "What the newest learned quests were made of: profiles, emoji protocol, cut rows, remarks.",
                    tag="quests", answer="arena.answers:DataHealth")  # fmt: skip


def control_endpoint(arena: TrainingService, path: str) -> Endpoint:
    """`{"action": …, "reason"?: …}`; the tavern serves the same under its own path."""

    async def control(body: Wish) -> dict[str, Any]:
        return await arena.control(body.action, body.reason)

    summary = "Pause, resume, stop, skip or save. The answer comes when the wish lies in `control/`."
    return Endpoint("POST", path, control, summary, tag=TAG, answer="arena.answers:Granted", raises=[Conflict])
