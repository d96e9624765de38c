"""Levels: when one is mastered, what an examination says of which level, and what is unknown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from guild.curriculum.standing import LevelResult, Rules, SkillStanding, Standing, examined, set_level

RULES = Rules(threshold=lambda level: 0.8, min_evals=3)
MAX = 5

results = st.builds(
    lambda level, total, answered, correct: LevelResult(
        level, total, min(answered, total), min(correct, answered, total)
    ),
    st.integers(1, MAX),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 20),
)
examinations = st.lists(st.lists(results, max_size=3), max_size=40)


def at(level: int, correct: int, total: int = 20) -> LevelResult:
    return LevelResult(level, total, total, correct)


def after(*correct: int, level: int = 1, standing: SkillStanding | None = None) -> SkillStanding:
    standing = standing or SkillStanding(MAX, mastered_level=level - 1)
    for each in correct:
        standing = examined(standing, [at(level, each)], RULES)
    return standing


def test_a_level_is_mastered_by_the_mean_of_the_last_three_examinations_at_it() -> None:
    assert after(20, 20).mastered_level == 0
    assert after(15, 16, 16).mastered_level == 0
    assert after(16, 16, 16).mastered_level == 1
    assert after(3, 16, 15, 17).mastered_level == 1
    assert after(16, 16, 16).passes == ()


def test_what_counts_is_the_level_that_was_examined() -> None:
    """E1, E2: examinations of an easy level do not lead up to hard ones, however many there are."""
    standing = after(20, 20, 20)
    for _ in range(20):
        standing = examined(standing, [at(1, 20)], RULES)
    assert (standing.mastered_level, standing.training_level, standing.passes) == (1, 2, ())
    assert standing.kept == {1: 1.0}


def test_a_mastered_level_that_is_forgotten_stays_mastered_and_is_measured() -> None:
    """E3: only forward."""
    standing = examined(after(20, 20, 20), [at(2, 10), at(1, 2)], RULES)
    assert (standing.mastered_level, standing.kept, standing.passes) == (1, {1: 0.1}, (0.5,))


def test_what_was_not_answered_is_unknown_and_not_wrong() -> None:
    """E7: an examination that nobody could be asked in is no failed one."""
    unknown = LevelResult(1, total=20, answered=0, correct=0)
    assert unknown.accuracy is None
    assert examined(after(20, 20), [unknown], RULES).passes == (1.0, 1.0)
    few = LevelResult(1, total=20, answered=9, correct=9)
    assert examined(SkillStanding(MAX), [few], RULES).passes == ()
    enough = LevelResult(1, total=20, answered=10, correct=9)
    assert examined(SkillStanding(MAX), [enough], RULES).passes == (0.9,)


@given(examinations)
def test_levels_only_rise_by_one_at_a_time_and_never_beyond_the_last(history: list[list[LevelResult]]) -> None:
    """E3, E9: whatever is examined in whatever order."""
    standing = SkillStanding(MAX)
    for number, exam in enumerate(history, start=1):
        before, standing = standing, examined(standing, exam, RULES)
        assert standing.mastered_level - before.mastered_level in (0, 1)
        assert standing.mastered_level <= MAX
        assert standing.training_level == min(standing.mastered_level + 1, MAX)
        assert all(level <= standing.mastered_level for level in standing.kept)
        assert standing.examinations == number


@given(examinations, st.integers(0, 10**6))
def test_a_standing_survives_json(history: list[list[LevelResult]], number: int) -> None:
    skill = SkillStanding(MAX)
    for exam in history:
        skill = examined(skill, exam, RULES)
    standing = Standing().after(number, "bin", skill)
    assert Standing.from_json(json.loads(json.dumps(standing.to_json()))) == standing


@pytest.mark.parametrize(
    "raw", [{}, {"number": 1, "skills": {"bin": {}}}, {"number": "x", "skills": {}}, {"skills": 3}]
)
def test_what_is_no_standing_is_said_to_be_none(raw: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="no curriculum"):
        Standing.from_json(raw)


def test_mastered_and_training_level_are_two_things() -> None:
    """E10: the page of the old realm took one for the other."""
    raw = after(20, 20, 20).to_json()
    assert (raw["mastered_level"], raw["training_level"]) == (1, 2)
    last = SkillStanding(MAX, mastered_level=MAX)
    assert (last.mastered_level, last.training_level) == (MAX, MAX)


def test_a_person_sets_a_level_and_what_was_measured_below_it_stays() -> None:
    standing = set_level(SkillStanding(MAX, 3, (0.5,), {1: 0.9, 2: 0.7, 3: 1.0}), 2)
    assert (standing.mastered_level, standing.passes, standing.kept) == (2, (), {1: 0.9, 2: 0.7})
    with pytest.raises(InvalidInput, match="no level 6"):
        set_level(standing, 6)
