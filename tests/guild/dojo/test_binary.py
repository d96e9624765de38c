"""BIN: its problems are right, graded right, held apart, and the same for the same seed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from arena.gatekeepers.gate import inspect_file
from core.errors import InvalidInput
from guild.dojo.arithmetic.levels import level_of
from guild.dojo.arithmetic.notation import RELATIONS, Notation, written
from guild.dojo.arithmetic.operations import OPERATIONS
from guild.dojo.binary import LISTED, BinarySource
from guild.dojo.held_out import HELD_OUT_SHARE, is_held_out
from guild.dojo.problem import Problem
from guild.dojo.static import PER_LEVEL, static_problems
from tests.guild.dojo.oracle import meaning, numbers_in, solution

BIN = BinarySource()
LEVELS = range(1, BIN.max_level + 1)

levels = st.sampled_from(LEVELS)
seeds = st.integers(0, 2**63)


def some(level: int, count: int = 100, *, seed: int = 1, held_out: bool = False) -> list[Problem]:
    return BIN.problems(level, count, seed=seed, held_out=held_out)


@pytest.mark.parametrize("held_out", [False, True], ids=["taught", "held out"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_answer_is_what_the_text_of_the_problem_asks_for(level: int, held_out: bool) -> None:
    for problem in some(level, held_out=held_out):
        assert meaning(problem.answer) == solution(problem.prompt), problem
        assert BIN.grade(problem, problem.answer)


@given(level=levels, seed=seeds, held_out=st.booleans(), data=st.data())
def test_the_grader_takes_what_was_generated_and_nothing_else(
    level: int, seed: int, held_out: bool, data: st.DataObject
) -> None:
    problem = data.draw(st.sampled_from(some(level, 5, seed=seed, held_out=held_out)))
    assert BIN.grade(problem, problem.answer)
    assert BIN.grade(problem, f" {problem.answer}\n")
    assert not BIN.grade(problem, data.draw(mutations(problem)))


def mutations(problem: Problem) -> st.SearchStrategy[str]:
    """Answers that look like the right one and are not."""
    notation: Notation = problem.metadata["notation"]
    other: Notation = "circled" if notation == "plain" else "plain"
    answer = problem.answer
    result = meaning(answer)
    spoiled = [answer + "x", "x" + answer, answer[:-1] + " " + answer[-1] + "2", "", " ", "-" + answer, problem.prompt]
    if isinstance(result, str):
        relations = RELATIONS["plain"] + RELATIONS["circled"]
        return st.sampled_from([*spoiled, answer * 2, *(each for each in relations if each != answer)])
    flipped = st.integers(0, len(answer) - 1).map(
        lambda place: written(result ^ 1 << place, len(answer), notation),
    )
    shifted = st.integers(1, 1 << 33).map(lambda off: written(result + off, len(answer), notation))
    elsewhere = written(result, len(answer), other)
    longer = [answer + written(1, 1, notation), *([answer * 2] if result else [])]
    return st.one_of(flipped, shifted, st.sampled_from([*spoiled, *longer, elsewhere, str(result + 2), f"0b{answer}"]))


@given(level=levels, answer=st.text())
def test_whatever_a_model_says_the_grader_does_not_raise(level: int, answer: str) -> None:
    problem = some(level, 1)[0]
    assert BIN.grade(problem, answer) == (answer.strip() == problem.answer or _same_number(problem, answer))


def _same_number(problem: Problem, answer: str) -> bool:
    digits = "01" if problem.metadata["notation"] == "plain" else "⓪①"
    text = answer.strip()
    return bool(text) and set(text) <= set(digits) and meaning(text) == meaning(problem.answer)


@given(level=levels, seed=seeds, count=st.integers(0, 100))
def test_what_is_taught_is_never_held_out_and_the_other_way_round(level: int, seed: int, count: int) -> None:
    """C14: what is measured was never learned."""
    taught, kept = some(level, count, seed=seed), some(level, count // 10, seed=seed, held_out=True)
    assert (len(taught), len(kept)) == (count, count // 10)
    assert not any(is_held_out(problem.key) for problem in taught)
    assert all(is_held_out(problem.key) for problem in kept)


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_has_its_own_bits_operations_and_notation(level: int) -> None:
    """E1: the level was taken no notice of, so that level 28 was reached in minutes. E11: no draw hangs."""
    rules = level_of(level)
    assert rules.bits == (32 if level == 30 else level + 1)
    problems = some(level, 600)
    found = {problem.metadata["operation"] for problem in problems}
    assert found == {operation.name for operation in rules.operations} == set(BIN.level_info(level)["operations"])
    for problem in problems:
        operation = OPERATIONS[problem.metadata["operation"]]
        assert [len(number) for number in numbers_in(problem.prompt)] == list(operation.widths(rules.bits))
        assert len(problem.answer) == (operation.answer_width(rules.bits) or 1)
        assert problem.level == level
    circled = sum(problem.metadata["notation"] == "circled" for problem in problems) / len(problems)
    assert circled == 0 if level < 8 else 0.65 < circled < 0.85
    newest = {operation.name for operation in rules.newest}
    assert sum(problem.metadata["operation"] in newest for problem in problems) > len(problems) * 0.4


@pytest.mark.parametrize("level", LEVELS)
def test_problems_are_distinct_as_far_as_the_space_allows(level: int) -> None:
    space = BIN.space(level)
    most = round(space * (1 - HELD_OUT_SHARE) * 0.8) if space else 1000
    problems = some(level, min(most, 1000))
    assert len({problem.prompt for problem in problems}) == len(problems)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_small_level_is_gone_through_as_a_whole_and_then_again(level: int) -> None:
    info, space = BIN.level_info(level), BIN.space(level)
    assert space is not None
    assert space <= LISTED
    kept = info["held_out_problems"]
    assert info["held_out"] == pytest.approx(kept / space, abs=1e-4)
    assert ("note" in info) == (kept < 20)
    twice = some(level, 2 * (space - kept))
    first, second = twice[: len(twice) // 2], twice[len(twice) // 2 :]
    assert {problem.prompt for problem in first} == {problem.prompt for problem in second}
    assert [problem.prompt for problem in first] != [problem.prompt for problem in second]
    assert len({problem.prompt for problem in some(level, kept, held_out=True)}) == kept


def test_every_level_can_be_examined() -> None:
    """C23: each static problem has its answer, and every level has as many as it should."""
    for level in LEVELS:
        problems = static_problems(BIN, level)
        assert len({problem.prompt for problem in problems}) == PER_LEVEL
        assert all(problem.answer and is_held_out(problem.key) for problem in problems)
        assert problems == static_problems(BinarySource(), level)


@pytest.mark.parametrize("level", [0, 31, -1, True, 1.0, None, "1"])
def test_a_level_that_is_not_there_is_refused(level: object) -> None:
    """E1, E12: no level is guessed or left out."""
    wrong: int = level  # type: ignore[assignment]
    with pytest.raises(InvalidInput, match="Its levels are 1 to 30"):
        BIN.problems(wrong, 1, seed=1, held_out=False)
    for ask in (BIN.space, BIN.level_info):
        with pytest.raises(InvalidInput):
            ask(wrong)


def test_problems_follow_from_the_seed_and_the_random_state_is_left_alone() -> None:
    """D13: a generator reseeded the random state of the whole process."""
    state = random.getstate()
    for level in (1, 5, 20):
        assert some(level, 50, seed=3) == some(level, 50, seed=3)
        assert some(level, 50, seed=3) != some(level, 50, seed=4)
        assert some(level, 80, seed=3)[:50] == some(level, 50, seed=3)
    assert random.getstate() == state


def test_the_version_stands_for_what_is_generated() -> None:
    """Checkpoints and examinations name the version: whoever changes what comes from a seed changes it, and this."""
    found = blake3()
    for level in LEVELS:
        for problem in some(level, 40, seed=7) + some(level, 10, seed=7, held_out=True):
            found.update(f"{problem.prompt}\t{problem.answer}\n".encode())
    assert (BIN.version, found.hexdigest(8)) == ("1.0.0", "f9957bc80ac55d8d")


def test_the_inbox_takes_what_is_generated(tmp_path: Path) -> None:
    """C9: nothing that is generated goes round the gates."""
    file = tmp_path / "train_BIN_level1_600_20261122_000000.jsonl"
    rows = [
        json.dumps({"messages": problem.messages(), "metadata": {"skill": "bin", "level": level}}, ensure_ascii=False)
        for level in LEVELS
        for problem in some(level, 20)
    ]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    verdict = inspect_file(str(file))
    assert (verdict["accepted"], verdict["schema_id"]) == (True, "chat_sft_v1")
    assert not verdict["warnings"]
