"""A level is reached once in a history, whatever is killed and replayed."""

from __future__ import annotations

from arena.telling.levels import LEVEL_UP, HeroLevels
from core.saga import News, Saga
from tests.arena.quest_makers import NOW


def reach(saga: Saga, levels: HeroLevels, *steps: int) -> list[int]:
    """Levels that were told of."""
    told = [news for step in steps if (news := levels.reached(step)) is not None]
    saga.append_all(told, now=NOW)
    return [news.data["level"] for news in told if news.data is not None]


def test_each_thousand_steps_is_told_once(saga: Saga) -> None:
    levels = HeroLevels(saga, "Seedling")
    assert reach(saga, levels, 5000) == [], "nobody has said where the trainer begins"
    levels.begin(1800)
    assert reach(saga, levels, 1900, 1999, 2000, 2001, 4100) == [2, 4]
    newest = saga.newest_of(LEVEL_UP)
    assert newest is not None
    assert newest.message == "Seedling reaches level 4"


def test_steps_that_are_replayed_tell_nothing_again(saga: Saga) -> None:
    """F17: a toast with each restart."""
    levels = HeroLevels(saga, "Seedling")
    levels.begin(900)
    assert reach(saga, levels, 1000, 2000) == [1, 2]
    again = HeroLevels(saga, "Seedling")
    again.begin(950)
    assert reach(saga, again, 1000, 2000, 2999, 3000) == [3]


def test_after_a_rewind_or_with_another_hero_levels_are_reached_anew(saga: Saga) -> None:
    levels = HeroLevels(saga, "Seedling")
    levels.begin(0)
    assert reach(saga, levels, 1000, 2000) == [1, 2]
    saga.append_all([News("rewound", "back to step 500")], now=NOW)
    levels.begin(500)
    assert reach(saga, levels, 999, 1000) == [1]
