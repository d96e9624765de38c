"""Rows that teach to judge answers: labels that the grader has checked, in the mix and the texts of the seed."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arena.gatekeepers.gate import inspect_file
from arena.rendering import Renderer
from arena.trainer.loading.seedling import make_seedling
from core.errors import InvalidInput
from guild.discrimination import (
    GENERATOR_ID,
    GENERATOR_VERSION,
    Row,
    discrimination_rows,
    file_name,
    judged_row,
    levels_of,
    lineage_of,
)
from guild.discrimination_ratio import Told, ratio_of
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import Problem, ProblemSource, problem_key
from guild.dojo.sources import SOURCES, source_of
from guild.profiles import get_profile

NOW = datetime(2026, 11, 21, 23, 45, 6, tzinfo=UTC)
PROPOSAL = re.compile(r"(.+?)\n\n---\nProposed answer:\n(.+)\n---\n\nDid the model answer correctly\?", re.DOTALL)
TINY = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
    "intermediate_size": 16, "max_position_embeddings": 512,
}  # fmt: skip


def texts(row: Row) -> list[str]:
    return [message["content"] for message in row["messages"]]


def proposal(row: Row) -> tuple[str, str]:
    """Prompt and proposed answer of a row."""
    found = PROPOSAL.fullmatch(texts(row)[0])
    assert found
    return found[1], found[2]


def taught(source: ProblemSource, level: int, count: int) -> list[Problem]:
    return source.problems(level, count, seed=3, held_out=False)


class Watched:
    """A source that remembers the problems it has made, by prompt."""

    def __init__(self, source: ProblemSource) -> None:
        self.skill_id, self.version, self.max_level = source.skill_id, source.version, source.max_level
        self.grade = source.grade
        self.space = source.space
        self.level_info = source.level_info
        self.made: dict[str, Problem] = {}
        self._source = source

    def problems(self, level: int, count: int, *, seed: int, held_out: bool) -> list[Problem]:
        found = self._source.problems(level, count, seed=seed, held_out=held_out)
        self.made.update({problem.prompt: problem for problem in found})
        return found


# --- rows -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 2, 9, 30])
@pytest.mark.parametrize("skill", sorted(SOURCES))
def test_every_label_is_what_the_grader_says(skill: str, level: int) -> None:
    """C11: a right answer is never called INCORRECT, and a wrong one never CORRECT."""
    source = Watched(source_of(skill))
    for row in discrimination_rows(source, [level], 100, seed=level):
        prompt, proposed = proposal(row)
        problem = source.made[prompt]
        right = source.grade(problem, proposed)
        assert texts(row)[1:] == (["CORRECT"] if right else ["INCORRECT", texts(row)[2], problem.answer])
        assert source.grade(problem, problem.answer)
        assert proposed == proposed.strip() != ""


def test_sixty_rows_of_a_hundred_are_wrong_answers_with_their_correction() -> None:
    rows = discrimination_rows(source_of("bin"), [3], 100, seed=1)
    assert Counter(row["type"] for row in rows) == {"discrimination_correction": 60, "correct_verification": 40}
    assert {(row["type"], len(row["messages"])) for row in rows} == {
        ("discrimination_correction", 4),
        ("correct_verification", 2),
    }
    assert len({row["type"] for row in rows[:20]}) == 2, "the kinds are not mixed"


def test_the_turns_are_those_of_the_seed() -> None:
    source = source_of("sy")
    problem = taught(source, 1, 1)[0]
    asked = f"{problem.prompt}\n\n---\nProposed answer:\n{{}}\n---\n\nDid the model answer correctly?"
    assert judged_row(source, problem, problem.answer) == {
        "messages": [
            {"role": "user", "content": asked.format(problem.answer)},
            {"role": "assistant", "content": "CORRECT"},
        ],
        "type": "correct_verification",
    }
    assert judged_row(source, problem, "nothing of it") == {
        "messages": [
            {"role": "user", "content": asked.format("nothing of it")},
            {"role": "assistant", "content": "INCORRECT"},
            {"role": "user", "content": "What should the answer have been?"},
            {"role": "assistant", "content": problem.answer},
        ],
        "type": "discrimination_correction",
    }


def test_the_same_seed_gives_the_same_rows() -> None:
    source = source_of("sy")
    assert discrimination_rows(source, [1, 2], 20, seed=4) == discrimination_rows(source, [1, 2], 20, seed=4)
    assert discrimination_rows(source, [1, 2], 20, seed=4) != discrimination_rows(source, [1, 2], 20, seed=5)


def test_no_problem_of_the_held_out_share_is_used() -> None:
    """C14: neither by drawing one nor from the answers of an examination."""
    source = source_of("sy")
    asked = source.problems(1, 20, seed=1, held_out=True)
    rows = discrimination_rows(source, [1], 50, seed=1, answered=[(problem, "wrong") for problem in asked])
    assert not any(is_held_out(problem_key("sy", proposal(row)[0])) for row in rows)
    assert not any(proposal(row)[1] == "wrong" for row in rows)


def test_what_a_model_answered_is_proposed_first_and_judged_anew() -> None:
    """C11: the first version called whatever the model said INCORRECT without looking at it."""
    source = source_of("sy")
    known = taught(source, 2, 6)
    said = [(problem, " no idea \n") for problem in known[:3]] + [
        (problem, problem.answer.upper()) for problem in known[3:]
    ]
    strange = [
        (replace(known[0], skill_id="bin"), "another skill"),
        (replace(known[0], level=9), "another level"),
        (known[0], "   "),
        (known[0], "x" * 5000),
        (known[0], "no idea"),
    ]
    rows = discrimination_rows(source, [2], 20, seed=1, answered=[*said, *strange])
    proposed = Counter(proposal(row)[1] for row in rows)
    assert proposed["no idea"] == 3
    assert not {"another skill", "another level"} & set(proposed)
    labels = {proposal(row)[0]: texts(row)[1] for row in rows}
    assert [labels[problem.prompt] for problem in known] == ["INCORRECT"] * 3 + ["CORRECT"] * 3
    assert Counter(row["type"] for row in rows)["discrimination_correction"] == 12


def test_wrong_answers_are_not_told_by_the_signs_they_are_written_with() -> None:
    """From level 8 on BIN has two notations; a circled number with a plain digit in it is wrong at first sight."""
    for row in discrimination_rows(source_of("bin"), [9], 200, seed=1):
        if len(row["messages"]) == 4:
            right, wrong = texts(row)[3], proposal(row)[1]
            assert right.isascii() == wrong.isascii()
            assert len({sign.isascii() for sign in wrong}) == 1


def test_rows_are_spread_over_the_levels() -> None:
    rows = discrimination_rows(source_of("sy"), range(1, 51), 100, seed=1)
    words = Counter(proposal(row)[0].count("\n") for row in rows)
    assert set(words) == set(range(3, 11))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_few_rows_are_as_many_as_asked(count: int) -> None:
    assert len(discrimination_rows(source_of("bin"), [2], count, seed=1)) == count


class Verdict:
    """A source whose grader says the same of every answer."""

    def __init__(self, says: bool) -> None:
        source = source_of("sy")
        self.skill_id, self.version, self.max_level = source.skill_id, source.version, source.max_level
        self.problems = source.problems
        self.space = source.space
        self.level_info = source.level_info
        self._says = says

    def grade(self, problem: Problem, answer: str) -> bool:
        return self._says


@pytest.mark.parametrize(("says", "told"), [(True, "is graded right"), (False, "is graded wrong")])
def test_a_grader_that_does_not_tell_right_from_wrong_is_told_of(says: bool, told: str) -> None:
    """C11: no row is made of an answer that could not be made wrong, or of a golden one that is not right."""
    with pytest.raises(InvalidInput, match=told):
        discrimination_rows(Verdict(says), [1], 5, seed=1)


def test_all_assistant_turns_of_a_row_are_learned(tmp_path: Path) -> None:
    """C11: of rows with four turns only the first answer was learned."""
    renderer = Renderer.load(make_seedling(tmp_path / "seedling", TINY, seed=1), get_profile("chatml"))
    source = source_of("bin")
    problem = taught(source, 3, 1)[0]
    row = judged_row(source, problem, "wrong")
    rendered = renderer.render(messages=row["messages"])
    learned = [rendered.text[start:end].removesuffix("<|im_end|>") for start, end in rendered.target_spans]
    assert learned == ["INCORRECT", problem.answer]


def test_the_gates_take_the_rows_without_a_word(tmp_path: Path) -> None:
    rows = discrimination_rows(source_of("sy"), [1], 20, seed=1)
    file = tmp_path / file_name(levels_of("1", training_level=1, max_level=50), NOW)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    verdict = inspect_file(str(file))
    assert (verdict["accepted"], verdict["rows"], verdict["errors"], verdict["warnings"]) == (True, 20, [], [])


# --- levels, names, lineage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "label", "numbers"),
    [
        ("auto", "L7", [7]),
        ("5", "L5", [5]),
        ("L5", "L5", [5]),
        (" 1-3 ", "L1-3", [1, 2, 3]),
        ("4-4", "L4", [4]),
        ("ALL", "all", list(range(1, 51))),
    ],
)
def test_levels_are_named_as_the_seed_names_them(text: str, label: str, numbers: list[int]) -> None:
    levels = levels_of(text, training_level=7, max_level=50)
    assert (levels.label, list(levels.numbers)) == (label, numbers)
    assert file_name(levels, NOW) == f"discrimination_{label}_20261121_234506.jsonl"


@pytest.mark.parametrize("text", ["0", "51", "3-1", "1-51", "", "-", "5-", "-5", "1-2-3", "easy", "²", "9" * 5000])
def test_levels_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="from 1 to 50"):
        levels_of(text, training_level=1, max_level=50)


def test_the_sidecar_tells_maker_skill_and_levels() -> None:
    source = source_of("sy")
    levels = levels_of("1-2", training_level=1, max_level=50)
    rows = discrimination_rows(source, levels.numbers, 10, seed=9)
    assert lineage_of(source, levels, rows, seed=9, now=NOW) == {
        "generator_id": GENERATOR_ID,
        "generator_version": GENERATOR_VERSION,
        "generated_at": NOW.isoformat(),
        "example_count": 10,
        "params": {
            "skill": "sy", "skill_version": source.version, "levels": [1, 2], "difficulty": "L1-2", "seed": 9,
            "correct_verification": 4, "discrimination_correction": 6,
        },
        "source": "generated",
    }  # fmt: skip
    assert (GENERATOR_ID, GENERATOR_VERSION) == ("discrimination", "1.0.0")


# --- ratio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "train_SYLLO_level1_100_x.jsonl",
        "train_syllo_level1_100_x.jsonl",
        "Train_Sy_level2.jsonl",
        "SYLLO_1.jsonl",
        "auto_gen_9.jsonl",
    ],
)
def test_files_are_counted_whatever_the_case_of_their_names(name: str) -> None:
    """C13: `train_SYLLO_*` never matched `train_syllo_*`, so the ratio was always 0."""
    assert ratio_of("sy", [Told(name, {}, 100)]).answering == 100
    assert ratio_of("bin", [Told(name, {}, 100)]).answering == 0


def test_sidecars_tell_the_skill_before_names_do() -> None:
    """C12: `syllo` and `sy` are one skill."""
    files = [
        Told("x.jsonl", {"params": {"skill": "Syllo"}}, 1000),
        Told("train_SY_level1.jsonl", {"skill": "bin"}, 300),
        Told("train_BIN_level1.jsonl", {}, 200),
        Told("discrimination_L1_x.jsonl", {"params": {"skill": "sy"}}, 60),
        Told("d.jsonl", {"generator_id": "discrimination", "params": {"skill": "bin"}}, 7),
        Told("Discrimination_all.jsonl", {}, 5),
        Told("my chats.jsonl", {"params": 3}, 9999),
    ]
    words, numbers = ratio_of("syllo", files), ratio_of("BIN", files)
    assert (words.skill, words.answering, words.judging, words.deficit) == ("sy", 1000, 65, 135)
    assert (numbers.skill, numbers.answering, numbers.judging, numbers.deficit) == ("bin", 500, 12, 88)
    assert words.to_json() == {
        "current": 0.065, "target": 0.2, "syllo_examples": 1000, "skill_examples": 1000,
        "discrimination_examples": 65, "deficit": 135,
    }  # fmt: skip
    assert numbers.to_json()["syllo_examples"] is None


@pytest.mark.parametrize(
    ("answering", "judging", "due"),
    [(0, 0, 0), (1000, 0, 200), (1000, 200, 0), (1000, 160, 0), (1000, 150, 50), (9000, 0, 1500)],
)
def test_as_many_are_due_as_are_missing_within_bounds(answering: int, judging: int, due: int) -> None:
    files = [Told("train_sy_1.jsonl", {}, answering), Told("discrimination_x.jsonl", {}, judging)]
    ratio = ratio_of("sy", files)
    assert ratio.rows_due(1500) == due
    assert (ratio.current is None) == (answering == 0)
