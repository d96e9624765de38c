"""What the pages read of the past, and why nothing is happening: `/api/series`, `/saga` and `/api/momentum` of 8888."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from pydantic import Field

from arena.telling.charts import ChartRoom
from arena.telling.tales import TaleTeller
from core.errors import InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_TEXT, Inputs, Whole
from core.http.shared_answers import SharedAnswer, SharedAnswers

MOST_POINTS = 2000
DEFAULT_POINTS = 1000
MOST_TALES = 500


class SeriesNamed(Inputs):
    """A series."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$", description="One of `/api/series`, such as `train_loss`.")


class Window(Inputs):
    """Which part of it, and how fine."""

    from_step: Whole | None = Field(default=None, ge=0, description="First step.")
    to_step: Whole | None = Field(default=None, ge=0, description="Last step.")
    points: Annotated[int, Field(ge=2, le=MOST_POINTS), FROM_TEXT] = Field(
        default=DEFAULT_POINTS, description="Entries at most; each stands for all points of some steps."
    )


class TalesWanted(Inputs):
    """Which tales."""

    limit: Annotated[int, Field(ge=1, le=MOST_TALES), FROM_TEXT] = Field(default=30, description="Tales at most.")
    category: Literal["battle", "quests", "guild", "vault", "realm", "trouble"] | None = Field(
        default=None, description="Only tales of this kind."
    )
    q: str = Field(default="", max_length=200, description="Words that a tale must all hold, in either case.")
    before: Whole | None = Field(
        default=None, ge=0, description="Only tales with a smaller id: `next_before` of the page before."
    )


def telling_routes(
    charts: ChartRoom, tales: TaleTeller, momentum: Callable[[], Awaitable[dict[str, Any]]]
) -> list[Endpoint]:
    """The endpoints; `momentum` is `Outlook.now`."""

    shared = SharedAnswers()

    async def curve(path: SeriesNamed, query: Window) -> Any:
        asked = (path.name, query.from_step, query.to_step, query.points)
        return await shared.get(asked, lambda: charts.curve(*asked))

    async def saga(query: TalesWanted) -> Any:
        # Of a log that is open on many pages, all ask when something happens.
        find = functools.partial(
            tales.tales, limit=query.limit, before=query.before, category=query.category, words=query.q
        )
        return await shared.get(("saga", query.limit, query.before, query.category, query.q), find)

    return [
        Endpoint("GET", "/api/series", charts.list,
                 "The series that charts can be drawn of.",
                 tag="telling", answer="arena.telling.answers:SeriesList", raises=[Unavailable]),
        Endpoint("GET", "/api/series/{name}", curve,
                 "A series, or a part of it, with mean, least and greatest value of each stretch of steps.",
                 tag="telling", answer="arena.telling.answers:CurveTold", raises=[NotFound, InvalidInput, Unavailable]),
        Endpoint("GET", "/saga", saga,
                 "What happened, the newest first, by category, words and page.",
                 tag="telling", answer="arena.telling.answers:Tales", raises=[Unavailable]),
        Endpoint("GET", "/saga/stats", tales.stats,
                 "How many tales there are, by category and type.",
                 tag="telling", answer="arena.telling.answers:TaleStats", raises=[Unavailable]),
        # Names of the first version (spec 4.1), which programs may still ask.
        Endpoint("GET", "/chronicle", saga, "The same as `/saga`.",
                 tag="telling", answer="arena.telling.answers:Tales", raises=[Unavailable]),
        Endpoint("GET", "/chronicle/stats", tales.stats, "The same as `/saga/stats`.",
                 tag="telling", answer="arena.telling.answers:TaleStats", raises=[Unavailable]),
        Endpoint("GET", "/api/momentum", SharedAnswer(momentum).get,
                 "Why nothing is happening, or not as much as could, and what to do about it.",
                 tag="telling", answer="arena.telling.answers:Momentum"),
    ]  # fmt: skip
