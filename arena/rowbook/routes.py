"""The row-level chronicle over HTTP: with which loss the rows of a quest were learned (`realm quest rows`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from arena.routes import QuestName
from arena.rowbook.desk import RowDesk
from core.errors import InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_TEXT, Inputs


class OneQuest(Inputs):
    """A quest."""

    quest: QuestName


class Shown(Inputs):
    """Which rows are wanted."""

    order: Literal["worst", "file"] = Field(
        default="worst", description="`worst`: those of the highest last loss first; `file`: as they stand in the file."
    )
    limit: Annotated[int, Field(ge=1, le=500), FROM_TEXT] = 50
    offset: Annotated[int, Field(ge=0, le=100_000_000, description="So many are left out."), FROM_TEXT] = 0


def rowbook_routes(desk: RowDesk) -> list[Endpoint]:
    """One quest at a time, its rows in pages."""

    async def row_losses(path: OneQuest, query: Shown) -> dict[str, Any]:
        in_order = query.order == "file"
        told = await desk.rows(path.quest, limit=query.limit, offset=query.offset, in_order=in_order)
        rows = told.pop("worst")
        return {**told, "order": query.order, "offset": query.offset, "shown": rows}

    return [
        Endpoint("GET", "/api/quests/{quest}/row-losses", row_losses,
                 "With which loss, at which step, the rows of a quest were learned first and last.",
                 tag="quests", answer="arena.rowbook.answers:RowLosses",
                 raises=[NotFound, InvalidInput, Unavailable]),
    ]  # fmt: skip
