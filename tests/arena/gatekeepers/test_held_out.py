"""Held-out problems of the skills are named in whatever file they come (C14)."""

from __future__ import annotations

from pathlib import Path

import pytest

from guild.dojo.problem import Problem
from guild.dojo.sources import source_of
from tests.arena.gatekeepers.proving import prove
from tests.arena.gatekeepers.scroll_making import chat, lines

JUDGED = "{}\n\n---\nProposed answer:\n{}\n---\n\nDid the model answer correctly?"


def problems(skill_id: str, *, held_out: bool) -> list[Problem]:
    return source_of(skill_id).problems(4, 5, seed=1, held_out=held_out)


def row(problem: Problem) -> dict[str, object]:
    return {"messages": problem.messages()}


@pytest.mark.parametrize("skill_id", ["bin", "sy"])
def test_a_held_out_problem_is_named_with_its_line(tmp_path: Path, skill_id: str) -> None:
    """C14: what examinations ask was in the training data."""
    taught, held_out = problems(skill_id, held_out=False), problems(skill_id, held_out=True)
    judged = chat("INCORRECT", JUDGED.format(held_out[1].prompt, "0"))
    rows = [*map(row, taught), row(held_out[0]), judged, chat()]
    verdict = prove(tmp_path / "x.jsonl", lines(*rows), max_length=4096)
    assert verdict["accepted"], verdict["errors"]
    named = [each for each in verdict["warnings"] if "held-out problem" in each["message"]]
    assert [(each["line"], each["field"]) for each in named] == [(6, "messages[0].content"), (7, "messages[0].content")]
    assert f"of the skill {skill_id}" in named[0]["message"]


def test_other_files_of_numbers_mean_something_else(tmp_path: Path) -> None:
    """Decimal sums, questions with other answers, and talk about a problem are nobody's held-out problems."""
    decimal = [
        chat(str(first + second), f"{first} + {second} = ?") for first in (10, 11, 100, 101) for second in (10, 11)
    ]
    asked = problems("bin", held_out=True)[0]
    talk = [chat("I do not know.", asked.prompt), chat(asked.answer, f"A riddle: {asked.prompt}")]
    verdict = prove(tmp_path / "x.jsonl", lines(*decimal, *talk), max_length=4096, deep=True)
    assert verdict["accepted"], verdict["errors"]
    assert verdict["content"]["overlap_stats"]["held_out_problems"] == 0
