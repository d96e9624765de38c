"""What the Checkpoint page asks the arena for, on the tavern's port: lineage, reading again, export, going back."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from arena.hall.checkpoint_desk import CheckpointDesk
from core.errors import Conflict, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Whole
from vault.page_routes import Confirmed, Referred, reference_in

TAG, MODELS = "checkpoint pages", "arena.hall.answers"
MAX_LIMIT = 1000


class LineageAsked(Inputs):
    scope: Literal["since", "all"] = Field(
        default="since", description="Quests learned since the checkpoint before it, or all."
    )
    limit: Whole = Field(default=50, ge=0, description="Quests on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, description="How many of the latest are left out.")


class Nothing(Inputs):
    """An empty object."""


class RewindAsked(Confirmed):
    """Whether to go back to a checkpoint."""

    requeue: bool = Field(default=False, description="Whether undone quests are queued again, in their order.")


def checkpoint_desk_routes(desk: CheckpointDesk) -> list[Endpoint]:
    """The endpoints of one desk."""

    async def lineage(path: Referred, query: LineageAsked) -> dict[str, Any]:
        return await desk.lineage(reference_in(path), query.scope, query.offset, min(query.limit, MAX_LIMIT))

    async def verify(path: Referred, body: Nothing) -> dict[str, Any]:
        return await desk.verify(reference_in(path))

    async def export(path: Referred, body: Confirmed) -> dict[str, Any]:
        return await desk.export(reference_in(path), body.confirm)

    async def rewind(path: Referred, body: RewindAsked) -> dict[str, Any]:
        return await desk.rewind(reference_in(path), body.confirm, requeue=body.requeue)

    async def errands() -> dict[str, Any]:
        return desk.errands.told()

    refusals = [NotFound, Conflict, Unavailable]
    return [
        Endpoint("GET", "/checkpoint-data/{step}/lineage", lineage, "Which quests a checkpoint has learned, how many "
                 "rows and steps of each, and which checkpoints come before and after it.",
                 tag=TAG, answer=f"{MODELS}:Lineage", raises=refusals),
        Endpoint("POST", "/checkpoint-data/{step}/verify", verify, "Read all of a checkpoint again and compare it with "
                 "its hashes. Answers at once; `/vault/errands` and events tell how it goes.",
                 tag=TAG, answer=f"{MODELS}:ErrandTold", raises=refusals),
        Endpoint("POST", "/checkpoint-data/{step}/export", export, "Write a checkpoint to `exports/` as a model that "
                 "from_pretrained loads. Without `confirm` it is only told what that comes to.",
                 tag=TAG, answer=f"{MODELS}:ExportTold", raises=refusals),
        Endpoint("POST", "/checkpoint-data/{step}/rewind", rewind, "Make a checkpoint the present one, or `base` the "
                 "beginning. Without `confirm` it is only told which quests are undone by that.",
                 tag=TAG, answer=f"{MODELS}:RewindTold", raises=refusals),
        Endpoint("GET", "/vault/errands", errands, "The long errand that is under way, and how the last ones ended.",
                 tag=TAG, answer=f"{MODELS}:Errands"),
    ]  # fmt: skip
