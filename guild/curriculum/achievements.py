"""What is worth a line of its own in the hero's story: a closed list, each with a rule over one examination."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from guild.curriculum.standing import LevelResult, SkillStanding

MILESTONES = (5, 10, 20)
"""Mastered levels of one skill that are told of, beside the first and the last."""


class Achievement(NamedTuple):
    """Earned once in a model's life, or once for each skill; a rewind does not take it away."""

    name: str
    """With the skill's id where it is of one skill: `bin_level_5`."""
    title: str
    why: str


class Listed(NamedTuple):
    """One of the closed list, whether or not it is earned."""

    name: str
    title: str
    condition: str
    """What has to be done for it."""
    emblem: str
    """What it is of, alike for all skills."""
    level: int | None = None
    """The level that has to be mastered; None where nothing is counted."""


FIRST = Listed("first_examination", "First Examination", "Answer an examination.", "examination")


def listed(skill: str, short_name: str, max_level: int) -> list[Listed]:
    """All that can be earned in one skill, beside `FIRST`, which is of all skills together."""
    marks = [(1, f"{short_name} Apprentice"), *((level, f"{short_name} Level {level}") for level in MILESTONES)]
    summit = f"Master level {max_level} of {short_name}, the last one, by examination."
    return [
        *(
            Listed(f"{skill}_level_{level}", title, f"Master level {level} of {short_name} by examination.", "level",
                   level)
            for level, title in marks
            if level <= max_level
        ),
        Listed(f"{skill}_summit", f"{short_name} Summit", summit, "summit", max_level),
        Listed(
            f"{skill}_flawless", "Flawless",
            f"Answer everything right at the level of {short_name} being learned.", "flawless",
        ),
        Listed(
            f"{skill}_nothing_forgotten", "Nothing Forgotten",
            f"Answer everything right when a mastered level of {short_name} is examined again.", "kept",
        ),
        Listed(
            f"{skill}_remembered", "Remembered",
            f"Bring a level of {short_name} back above its threshold after it had fallen below.", "remembered",
        ),
    ]  # fmt: skip


def earned(
    skill: str,
    before: SkillStanding,
    after: SkillStanding,
    results: Sequence[LevelResult],
    threshold: Callable[[int], float],
) -> list[Achievement]:
    """What this examination was worth, also where it was earned before: whoever keeps them keeps the first."""
    found = [Achievement("first_examination", "First Examination", "The hero was examined for the first time.")]
    if after.mastered_level > before.mastered_level:
        found += _of_level(skill, after)
    for result in results:
        known = before.kept.get(result.level)
        again = result.level <= before.mastered_level
        if result.correct == result.total > 0:
            found.append(_perfect(skill, result, again=again))
        accuracy = result.accuracy
        if again and known is not None and accuracy is not None and result.counts:
            limit = threshold(result.level)
            if known < limit <= accuracy:
                why = f"Level {result.level}, which had fallen to {known:.0%}, is at {accuracy:.0%} again."
                found.append(Achievement(f"{skill}_remembered", "Remembered", why))
    return found


def _of_level(skill: str, after: SkillStanding) -> list[Achievement]:
    level, found = after.mastered_level, []
    name = skill.upper()
    if level == 1:
        found.append(Achievement(f"{skill}_level_1", f"{name} Apprentice", f"Level 1 of {name} is mastered."))
    if level in MILESTONES:
        found.append(Achievement(f"{skill}_level_{level}", f"{name} Level {level}", f"Level {level} is mastered."))
    if level == after.max_level:
        found.append(Achievement(f"{skill}_summit", f"{name} Summit", f"All {level} levels of {name} are mastered."))
    return found


def _perfect(skill: str, result: LevelResult, *, again: bool) -> Achievement:
    why = f"All {result.total} answers at level {result.level} were right"
    if again:
        return Achievement(f"{skill}_nothing_forgotten", "Nothing Forgotten", f"{why}, when it was examined again.")
    return Achievement(f"{skill}_flawless", "Flawless", f"{why}.")
