"""Series for charts: what there is, and any part of one, small enough to be drawn (`core.saga_series`)."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from core.errors import NotFound
from core.saga import Saga

DIGITS = 6
"""Of a value in a chart; more are not seen, and half of the answer would be made of them."""
TITLES = {
    "train_loss": ("Training loss", "nats"),
    "val_loss": ("Validation loss", "nats"),
    "learning_rate": ("Learning rate", None),
    "grad_norm": ("Gradient norm", None),
    "tokens_per_second": ("Speed", "tokens/s"),
}
"""Words and unit of the series that the trainer makes."""


class ChartRoom:
    """Looks series up for the web."""

    def __init__(self, saga: Saga) -> None:
        self._saga = saga

    async def list(self) -> dict[str, Any]:
        """The body of `GET /api/series`."""
        ends = await asyncio.to_thread(self._saga.series_ends)
        return {
            "series": [
                {
                    "name": each.name,
                    "title": TITLES.get(each.name, (each.name, None))[0],
                    "unit": TITLES.get(each.name, (each.name, None))[1],
                    "first_step": each.first_step,
                    "last_step": each.last_step,
                    "last_value": each.last_value,
                }
                for each in ends
            ]
        }

    async def curve(self, name: str, since: int | None, until: int | None, points: int) -> dict[str, Any]:
        """The body of `GET /api/series/{name}`; raises `NotFound` for a series that nobody writes."""
        return await asyncio.to_thread(self._curve, name, since, until, points)

    def _curve(self, name: str, since: int | None, until: int | None, points: int) -> dict[str, Any]:
        curve = self._saga.curve(name, since=since, until=until, most=points)
        if curve.last_step is None and name not in TITLES:
            raise NotFound(f"There is no series {name!r}.", hint="/api/series lists them.")
        told = curve.to_json()
        for key in ("values", "lows", "highs"):
            told[key] = [_short(value) for value in told[key]]
        return told


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
