"""Quests from examined mistakes: problems of the same kind, never the examined ones."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.lineage import GENERATOR_REGISTRY
from guild.dojo.arithmetic.reading import question_in
from guild.dojo.held_out import is_held_out
from guild.dojo.sources import source_of
from guild.self_correction import (
    DESCRIPTIONS,
    GENERATOR_ID,
    GENERATOR_VERSION,
    KEPT_RUNS,
    ROWS_EACH,
    Correction,
    Mistake,
    correct,
    pattern_of,
    record_run,
)

NOW = datetime(2026, 11, 22, 0, 15, tzinfo=UTC)


def mistakes(skill_id: str, level: int, count: int, answer: str = "") -> list[Mistake]:
    found = source_of(skill_id).problems(level, count, seed=9, held_out=True)
    return [Mistake(level, problem.prompt, problem.answer, answer) for problem in found]


def corrected(skill_id: str, wrong: list[Mistake], *, most: int = 1000, tested: int = 20, seed: int = 1) -> Correction:
    source = source_of(skill_id)
    made = correct(source, wrong, tested=tested, max_examples=most, seed=seed, model="checkpoint-7", now=NOW)
    assert made is not None
    return made


@pytest.mark.parametrize(("skill_id", "level"), [("bin", 1), ("bin", 12), ("sy", 3)])
def test_no_examined_problem_is_taught_and_none_of_the_held_out_share(skill_id: str, level: int) -> None:
    """C14: what is examined must not be learned, least of all for having been answered wrongly."""
    wrong = mistakes(skill_id, level, 12)
    rows = corrected(skill_id, wrong).rows
    assert len(rows) == ROWS_EACH * 12
    assert not {row.prompt for row in rows} & {mistake.prompt for mistake in wrong}
    assert not [row for row in rows if is_held_out(row.key)]
    assert {row.level for row in rows} == {level}
    assert len({row.key for row in rows}) == len(rows)
    assert all(source_of(skill_id).grade(row, row.answer) for row in rows)


def test_the_new_problems_are_of_the_kinds_that_went_wrong() -> None:
    wrong = [mistake for mistake in mistakes("bin", 20, 200) if operation_of(mistake.prompt) == "multiply"][:4]
    kinds = Counter(operation_of(row.prompt) for row in corrected("bin", wrong).rows)
    assert kinds == {"multiply": ROWS_EACH * len(wrong)}


def operation_of(prompt: str) -> str:
    question = question_in(prompt)
    assert question is not None
    return question.operation.name


def test_the_rows_are_a_function_of_mistakes_and_seed() -> None:
    wrong = mistakes("bin", 9, 10)
    first, again, other = (corrected("bin", wrong, seed=seed) for seed in (1, 1, 2))
    assert first.rows == again.rows
    assert first.rows != other.rows
    assert len(corrected("bin", wrong, most=7).rows) == 7


def test_a_quest_comes_with_its_lineage_and_lines_that_the_gates_take() -> None:
    made = corrected("bin", mistakes("bin", 3, 4, answer="x"), tested=20)
    assert made.name == "self_correction_BIN_level3_12_20261122_001500.jsonl"
    assert (made.lineage.generator_id, made.lineage.example_count) == (GENERATOR_ID, 12)
    assert made.lineage.generator_version == GENERATOR_VERSION == GENERATOR_REGISTRY[GENERATOR_ID]["version"]
    assert made.lineage.params["skill"] == "bin"
    rows = [json.loads(line) for line in made.lines()]
    assert [turn["role"] for turn in rows[0]["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("skill_id", "prompt", "expected", "answer", "pattern"),
    [
        ("bin", "01+01=", "010", "  ", "empty"),
        ("bin", "01+01=", "010", "two", "not_a_number"),
        ("bin", "⓪①⊕⓪①", "⓪①⓪", "010", "not_a_number"),
        ("bin", "01+01=", "010", "11010", "other_length"),
        ("bin", "01+01=", "010", "011", "one_digit"),
        ("bin", "01+01=", "010", "101", "several_digits"),
        ("bin", "01?10", "<", ">", "relation"),
        ("bin", "no problem of ours", "1", "0", "other"),
        ("sy", "Make words of …", "owl, fox", "fox", "words_missing"),
        ("sy", "Make words of …", "owl, fox", "fox owl hen", "words_too_many"),
        ("sy", "Make words of …", "owl, fox", "hen", "words_wrong"),
        ("other", "?", "a", "b", "other"),
    ],
)
def test_mistakes_are_told_apart(skill_id: str, prompt: str, expected: str, answer: str, pattern: str) -> None:
    assert pattern_of(skill_id, Mistake(1, prompt, expected, answer)) == pattern
    assert pattern in DESCRIPTIONS


def test_runs_are_added_up_in_the_status_file(tmp_path: Path) -> None:
    """Spec 1.7: the fields of `self_correction.json`; law 9: it keeps the last runs only."""
    path = tmp_path / "self_correction.json"
    run = corrected("bin", mistakes("bin", 3, 4, answer="x"), tested=20).run
    for _ in range(KEPT_RUNS + 1):
        body = record_run(path, run)
    assert json.loads(path.read_text()) == body
    assert len(body["correction_runs"]) == KEPT_RUNS
    assert (body["total_errors_captured"], body["total_corrections_generated"]) == (4 * 101, 12 * 101)
    assert body["last_updated"] == NOW.isoformat()
    assert body["correction_runs"][0] == {
        "timestamp": NOW.isoformat(), "model": "checkpoint-7", "model_specified": True, "errors_captured": 4,
        "corrections_generated": 12, "tested": 20, "correct": 16, "incorrect": 4,
        "error_patterns": [{"type": "not_a_number", "count": 4, "description": DESCRIPTIONS["not_a_number"]}],
    }  # fmt: skip
    path.write_text('{"correction_runs": 5, "total_errors_captured": -1}')
    assert record_run(path, run)["total_errors_captured"] == 4


def test_without_mistakes_there_is_nothing_to_correct() -> None:
    source = source_of("bin")
    assert correct(source, [], tested=20, max_examples=10, seed=1, model=None, now=NOW) is None
    with pytest.raises(InvalidInput, match="needs a row"):
        correct(source, mistakes("bin", 3, 1), tested=1, max_examples=0, seed=1, model=None, now=NOW)
