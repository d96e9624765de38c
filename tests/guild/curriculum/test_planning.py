"""What a quest teaches and asks: shares of rehearsal, evenly mixed skills, and nothing that depends on time."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from guild.curriculum.planning import QuestPlan, Wishes, choose_skill, plan_quest, seed_of
from guild.curriculum.rehearsal import rehearsed
from guild.curriculum.standing import SkillStanding
from guild.curriculum.strain import zone_of
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import problem_key
from guild.quests.making import lines_of, questions_of

WISHES = Wishes(seed=7, count=200, rehearsal=0.25, problems=20, rehearsal_problems=10)


def plan(number: int = 1, mastered: int = 0, wishes: Wishes = WISHES, **kept: float) -> QuestPlan:
    standing = SkillStanding(30, mastered, kept={int(level[1:]): value for level, value in kept.items()})
    return plan_quest(
        number=number, skill="bin", version="1.0.0", standing=standing, threshold=lambda level: 0.8, wishes=wishes,
        holds_out=lambda level: True,
    )  # fmt: skip


def rows(planned: QuestPlan) -> dict[int, int]:
    return {portion.level: portion.count for portion in planned.rows}


def test_nothing_is_rehearsed_before_anything_is_mastered() -> None:
    assert rows(plan()) == {1: 200}
    assert [(part.level, part.purpose) for part in plan().examination] == [(1, "level"), (1, "static")]


def test_a_quarter_of_the_rows_is_of_mastered_levels() -> None:
    """C21: quests of one level alone made the hero forget the others."""
    assert rows(plan(mastered=2, l1=1.0, l2=0.9)) == {3: 150, 1: 25, 2: 25}


def test_what_is_forgotten_gets_more_rows_and_rehearsal_more_of_the_quest() -> None:
    """C21: forgetting is measured and paid for."""
    shares = rows(plan(mastered=2, l1=0.4, l2=0.9))
    assert shares[1] > 2 * shares[2]
    assert shares[1] + shares[2] == 75
    assert rows(plan(mastered=2, l1=0.0, l2=0.9))[3] == 100


@given(
    st.dictionaries(st.integers(1, 29), st.floats(0, 1)),
    st.integers(1, 10_000),
    st.floats(0, 0.9),
    st.integers(1, 30),
)
def test_rehearsal_never_takes_the_whole_quest_nor_loses_a_row(
    kept: dict[int, float], count: int, share: float, level: int
) -> None:
    shares = rehearsed(kept, lambda level: 0.8, count=count, share=share, training_level=level)
    assert sum(shares.values()) <= 0.9 * count
    assert all(0 < each < level for each in shares)
    assert all(shares.values())
    if level > 1:
        assert sum(shares.values()) >= int(share * count)


def test_mastered_levels_are_examined_again_in_turn() -> None:
    asked = []
    for examinations in range(6):
        standing = SkillStanding(30, 3, kept={}, examinations=examinations)
        planned = plan_quest(
            number=examinations + 9, skill="bin", version="1.0.0", standing=standing, threshold=lambda level: 0.8,
            wishes=WISHES, holds_out=lambda level: True,
        )  # fmt: skip
        asked += [part.level for part in planned.examination if part.purpose == "again"]
    assert asked == [1, 2, 3, 1, 2, 3]


@given(st.dictionaries(st.sampled_from(["bin", "sy", "x"]), st.floats(0.1, 10), min_size=1))
def test_skills_come_as_often_as_their_weights_say_and_evenly_mixed(weights: dict[str, float]) -> None:
    """C21: several skills take turns."""
    chosen = Counter(choose_skill(weights, number) for number in range(1, 401))
    for name, weight in weights.items():
        assert abs(chosen[name] / 400 - weight / sum(weights.values())) < 0.03


def test_no_skill_at_all_is_told() -> None:
    with pytest.raises(InvalidInput, match="No skill"):
        choose_skill({}, 1)


def test_a_plan_follows_from_seed_number_and_standing_alone_and_survives_json() -> None:
    first, again = plan(12, 2, l1=0.9, l2=0.8), plan(12, 2, l1=0.9, l2=0.8)
    assert QuestPlan.from_json(json.loads(json.dumps(first.to_json()))) == again
    assert list(lines_of(first)) == list(lines_of(again))
    assert plan(13, 2, l1=0.9, l2=0.8).rows[0].seed != first.rows[0].seed
    assert len({seed_of(7, number, what) for number in range(100) for what in ("rows", "examination")}) == 200
    with pytest.raises(InvalidInput, match="no plan"):
        QuestPlan.from_json({"number": 1})


def test_what_is_asked_was_never_taught() -> None:
    """C14: problems of examinations are of a share that no quest ever holds."""
    planned = plan(5, 2)
    taught = {json.loads(line)["messages"][0]["content"] for line in lines_of(planned)}
    asked = {problem.prompt for problem in questions_of(planned)}
    assert len(list(lines_of(planned))) == 200
    assert not taught & asked
    assert all(is_held_out(problem_key("bin", prompt)) for prompt in asked)
    assert not any(is_held_out(problem_key("bin", prompt)) for prompt in taught)


@pytest.mark.parametrize(
    ("passes", "zone"),
    [
        ((), None),
        ((0.9,), "recovery"),
        ((0.1, 0.5, 0.6), "productive"),
        ((0.1, 0.2), "stretch"),
        ((0.0, 0.1, 0.0, 0.2, 0.3, 0.3), "stretch"),
        ((0.2, 0.2, 0.2, 0.2, 0.1, 0.2), "overload"),
    ],
    ids=str,
)
def test_strain_is_a_view_of_the_newest_examinations(passes: tuple[float, ...], zone: str | None) -> None:
    assert zone_of(passes, 0.8) == zone
