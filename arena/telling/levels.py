"""The hero's level goes up: told once for each level of a history, however often its steps are replayed."""

from __future__ import annotations

from arena.telling.snapshot import STEPS_PER_LEVEL
from core.errors import RealmError
from core.saga import News, Saga

LEVEL_UP = "hero_level_up"
NEW_HISTORIES = ("hero_changed", "rewound", "adopted")
"""Kinds of events after which levels are reached anew."""


class HeroLevels:
    """One per daemon. What was told is known from the saga itself."""

    def __init__(self, saga: Saga, hero: str) -> None:
        self._saga = saga
        self._hero = hero
        self._told: int | None = None
        """The highest level that needs no telling; None before a trainer is ready."""

    def begin(self, step: int) -> None:
        """A trainer goes on from this step: below where one was before, steps are replayed and tell nothing new."""
        level = step // STEPS_PER_LEVEL
        try:
            last = self._saga.newest_of(LEVEL_UP)
            anew = self._saga.find_events(limit=1, kinds=NEW_HISTORIES)
        except RealmError:  # a scene too few: training does not wait for it
            self._told = max(level, self._told or 0)
            return
        if last is not None and (not anew or anew[0].id < last.id):
            level = max(level, int((last.data or {}).get("level", 0)))
        self._told = level

    def reached(self, step: int) -> News | None:
        """What is to be told now that training is at this step."""
        level = step // STEPS_PER_LEVEL
        if self._told is None or level <= self._told:
            return None
        self._told = level
        return News(LEVEL_UP, f"{self._hero} reaches level {level}", {"level": level, "step": step})
