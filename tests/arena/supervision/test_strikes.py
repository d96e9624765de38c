"""Strikes: three deaths in one place withdraw a quest; nothing else does."""

from __future__ import annotations

import pytest

from arena.quests import Strike
from arena.supervision.position_file import Phase
from arena.supervision.strikes import judge_death, strikes_in_a_row


def at(quest_step: int, ordinal: int = 7) -> Strike:
    return Strike(at="2026-11-21T09:30:00+00:00", ordinal=ordinal, quest_step=quest_step, cause="SIGKILL")


def fate(*steps: int) -> list[bool]:
    """For each death in a row of deaths of one quest: is it withdrawn now?"""
    strikes: list[Strike] = []
    verdicts = []
    for step in steps:
        verdicts.append(judge_death(strikes, at(step), replaying=False).withdraw)
        strikes.append(at(step))
    return verdicts


def test_three_deaths_at_one_step_withdraw_a_quest() -> None:
    assert fate(50, 50, 50) == [False, False, True]


def test_a_step_more_or_less_is_the_same_place() -> None:
    assert fate(50, 51, 50) == [False, False, True]
    assert fate(50, 49, 49) == [False, False, True]
    assert fate(50, 51, 52) == [False, False, True]


def test_deaths_in_different_places_never_add_up() -> None:
    """Frequent kills from outside move on through a quest and must not cost it its place."""
    assert fate(10, 20, 30, 40, 50, 60) == [False] * 6
    assert fate(50, 50, 90, 50, 50) == [False] * 5


def test_the_count_starts_again_at_one_elsewhere_and_can_be_filled_there() -> None:
    assert fate(50, 50, 90, 90, 90) == [False, False, False, False, True]


def test_another_claim_of_the_same_file_is_another_place() -> None:
    """C5: strikes belong to a claim."""
    verdict = judge_death([at(50, ordinal=7), at(50, ordinal=7)], at(50, ordinal=9), replaying=False)
    assert (verdict.charged, verdict.strikes, verdict.withdraw) == (True, 1, False)


def test_a_quest_that_is_replayed_is_never_charged() -> None:
    verdict = judge_death([at(50), at(50)], at(50), replaying=True)
    assert (verdict.charged, verdict.strikes, verdict.withdraw) == (False, 2, False)


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.WAITING, Phase.EXITED])
def test_deaths_while_no_row_of_it_was_handled_are_not_charged(phase: Phase) -> None:
    verdict = judge_death([at(50), at(50)], at(50), replaying=False, phase=phase)
    assert (verdict.charged, verdict.withdraw) == (False, False)


def test_a_quest_that_kills_while_it_is_prepared_is_withdrawn_too() -> None:
    verdict = judge_death([at(0), at(0)], at(0), replaying=False, phase=Phase.PREPARING)
    assert (verdict.strikes, verdict.limit, verdict.withdraw) == (3, 3, True)


def test_no_strikes_are_none_in_a_row() -> None:
    assert strikes_in_a_row([]) == 0
    assert strikes_in_a_row([at(1)]) == 1
