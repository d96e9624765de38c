"""Achievements: each is earned by what it says, and by nothing else."""

from __future__ import annotations

from guild.curriculum.achievements import earned
from guild.curriculum.standing import LevelResult, Rules, SkillStanding, examined


def names(before: SkillStanding, *results: LevelResult) -> set[str]:
    after = examined(before, results, Rules(lambda level: 0.8, 1))
    return {each.name for each in earned("bin", before, after, results, lambda level: 0.8)}


def test_each_is_earned_by_what_it_says() -> None:
    fresh = SkillStanding(30)
    assert names(fresh, LevelResult(1, 20, 20, 3)) == {"first_examination"}
    assert names(fresh, LevelResult(1, 20, 20, 16)) == {"first_examination", "bin_level_1"}
    assert "bin_flawless" in names(fresh, LevelResult(1, 20, 20, 20))
    assert "bin_flawless" not in names(fresh, LevelResult(1, 20, 19, 19))
    assert "bin_level_5" in names(SkillStanding(30, 4), LevelResult(5, 20, 20, 20))
    assert "bin_summit" in names(SkillStanding(3, 2), LevelResult(3, 20, 20, 20))
    assert "bin_summit" not in names(SkillStanding(3, 3), LevelResult(3, 20, 20, 20))


def test_what_was_forgotten_and_is_known_again_is_told_once_it_is() -> None:
    fallen = SkillStanding(30, 2, kept={1: 0.5, 2: 0.9})
    assert "bin_remembered" in names(fallen, LevelResult(1, 10, 10, 9))
    assert "bin_remembered" not in names(fallen, LevelResult(1, 10, 10, 7))
    assert "bin_remembered" not in names(fallen, LevelResult(2, 10, 10, 10))
    assert "bin_nothing_forgotten" in names(fallen, LevelResult(2, 10, 10, 10))
