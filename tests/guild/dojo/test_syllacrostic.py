"""SY: every puzzle has one set of answers, levels only get harder, and the grader is neither strict nor gullible."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import Problem
from guild.dojo.sources import source_of
from guild.dojo.syllacrostic import LONGEST_ANSWER, SyllacrosticSource
from guild.dojo.words.levels import MAX_LEVEL, level_of
from guild.dojo.words.lexicon import KINDS, Entry, lexicon

SOURCE = SyllacrosticSource()
LEVELS = range(1, MAX_LEVEL + 1)
FIRST = SOURCE.problems(1, 1, seed=1, held_out=False)[0]
PROMPT = re.compile(r"Make words of ([a-z ]+?)(?: \((\d) left over\))?:\n((?:\d+\. .+\n?)+)")


def problems(level: int, count: int = 10, *, seed: int = 1, held_out: bool = False) -> list[Problem]:
    return SOURCE.problems(level, count, seed=seed, held_out=held_out)


def read(problem: Problem) -> tuple[list[str], int, list[str]]:
    """Syllables, how many are left over, and clues, as a reader of the prompt finds them."""
    found = PROMPT.fullmatch(problem.prompt)
    assert found
    clues = [line.partition(". ")[2] for line in found[3].splitlines()]
    return found[1].split(), int(found[2] or 0), clues


# --- puzzles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1, 10, 25, 40, 50])
def test_a_puzzle_shows_the_syllables_of_its_answers_and_a_clue_for_each(level: int) -> None:
    spelled = {entry.word: entry for entry in lexicon().entries}
    for problem in problems(level):
        syllables, left_over, clues = read(problem)
        answers = [spelled[word] for word in problem.answer.split(", ")]
        of_answers = Counter(syllable for answer in answers for syllable in answer.syllables)
        assert (Counter(syllables) - of_answers).total() == left_over == level_of(level).left_over
        assert not of_answers - Counter(syllables)
        assert len(clues) == len(set(answers)) == level_of(level).words
        kinds = problem.metadata["clues"]
        assert clues == [answer.clues[KINDS.index(kind)] for answer, kind in zip(answers, kinds, strict=True)]
        json.dumps(dict(problem.metadata))


@pytest.mark.parametrize("level", [30, 40, 50])
def test_no_other_words_of_the_lexicon_solve_a_puzzle(level: int) -> None:
    for problem in problems(level, 5):
        syllables, _, clues = read(problem)
        heap = Counter(syllables)
        spelled = [entry for entry in lexicon().entries if not Counter(entry.syllables) - heap]
        fitting = [[entry for entry in spelled if clue in entry.clues] for clue in clues]
        assert set(_solutions(fitting, heap, frozenset())) == {frozenset(problem.answer.split(", "))}


def _solutions(fitting: list[list[Entry]], heap: Counter[str], taken: frozenset[str]) -> Iterator[frozenset[str]]:
    if not fitting:
        yield taken
        return
    for entry in fitting[0]:
        syllables = Counter(entry.syllables)
        if entry.word not in taken and not syllables - heap:
            yield from _solutions(fitting[1:], heap - syllables, taken | {entry.word})


def test_the_same_seed_gives_the_same_puzzles_and_leaves_the_global_dice_alone() -> None:
    """D13: a source that seeds the global generator makes shuffles elsewhere correlated."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first = problems(30, 5, seed=7)
    assert random.random() == expected
    assert [problem.prompt for problem in problems(30, 8, seed=7)[:5]] == [problem.prompt for problem in first]
    assert problems(30, 5, seed=8) != first


def test_the_version_stands_for_what_is_generated() -> None:
    """Checkpoints and examinations name the version: whoever changes what comes from a seed changes it, and this."""
    found = blake3()
    for level in LEVELS:
        for problem in problems(level, 6, seed=7) + problems(level, 1, seed=7, held_out=True):
            found.update(f"{problem.prompt}\t{problem.answer}\n".encode())
    assert (SOURCE.version, found.hexdigest(8)) == ("1.0.0", "2314206984a3a0e0")


def test_every_level_gives_distinct_puzzles_of_either_share() -> None:
    """C14, E11: held-out puzzles are never taught, and no level makes the source search for ever."""
    for level in LEVELS:
        for held_out in (False, True):
            made = problems(level, 2, seed=level, held_out=held_out)
            assert len({problem.key for problem in made}) == 2
            assert all(is_held_out(problem.key) is held_out for problem in made)
            assert all(SOURCE.grade(problem, problem.answer) for problem in made)


def test_the_first_level_is_short() -> None:
    assert max(len(problem.prompt) for problem in problems(1, 200)) < 220


@pytest.mark.parametrize("level", [0, -1, 51, True, "1"])
def test_a_level_that_is_not_there_is_refused(level: int) -> None:
    """E1: a level is never guessed."""
    with pytest.raises(InvalidInput, match="1 to 50"):
        problems(level)


# --- levels ---------------------------------------------------------------------------------------------------------


def test_no_level_is_easier_than_the_one_before_in_anything() -> None:
    levels = [level_of(number) for number in LEVELS]
    for before, after in pairwise(levels):
        assert after.vagueness > before.vagueness
        for name in ("words", "syllables", "letters", "left_over"):
            assert getattr(after, name) >= getattr(before, name)
    assert (levels[0].words, levels[-1].words) == (3, 10)


def test_the_signal_degrades_from_definitions_to_first_letters() -> None:
    assert SOURCE.level_info(1)["clues"] == {"opening": 1.0}
    assert SOURCE.level_info(50)["clues"] == {"letter": 0.5, "length": 0.5}
    drawn = Counter(kind for problem in problems(25, 100) for kind in problem.metadata["clues"])
    shares = SOURCE.level_info(25)["clues"]
    assert {kind: pytest.approx(count / drawn.total(), abs=0.08) for kind, count in drawn.items()} == shares


@pytest.mark.parametrize("level", [1, 21, 50])
def test_a_level_says_what_it_is_made_of(level: int) -> None:
    info = SOURCE.level_info(level)
    assert json.loads(json.dumps(info)) == info
    assert (info["level"], info["space"], info["held_out"]) == (level, None, 0.1)
    assert SOURCE.space(level) is None


def test_the_source_is_found_by_id_and_older_name() -> None:
    """C12: names diverged."""
    assert source_of("SY") is source_of("syllo")
    assert isinstance(source_of("sy"), SyllacrosticSource)


# --- grader ---------------------------------------------------------------------------------------------------------

drawn_problems = st.builds(
    lambda level, seed: problems(level, 1, seed=seed)[0], st.integers(1, MAX_LEVEL), st.integers(0, 10_000)
)
numberings = st.sampled_from(
    ["{0}", "{1}. {0}", "({1}) {0}", "{1}) {0}", "{1}: {0}", "- {0}", "* {0}", '"{0}"', "**{0}**"]
)
between = st.sampled_from([", ", ",", "\n", "; ", " ", " | ", ",\n"])


@given(
    drawn_problems, st.randoms(use_true_random=False), numberings, between, st.sampled_from([str, str.upper, str.title])
)
@settings(max_examples=60, deadline=None)
def test_order_case_and_numbering_do_not_count(
    problem: Problem, dice: random.Random, numbering: str, glue: str, case: Callable[[str], str]
) -> None:
    words = problem.answer.split(", ")
    dice.shuffle(words)
    answer = glue.join(numbering.format(case(word), place) for place, word in enumerate(words, 1))
    assert SOURCE.grade(problem, f" {answer}.\n")


@given(drawn_problems, st.data())
@settings(max_examples=60, deadline=None)
def test_a_missing_a_changed_and_a_further_word_are_wrong(problem: Problem, data: st.DataObject) -> None:
    words = problem.answer.split(", ")
    place = data.draw(st.integers(0, len(words) - 1))
    at = data.draw(st.integers(0, len(words[place]) - 1))
    letter = data.draw(st.sampled_from([sign for sign in "abcdefghijklmnopqrstuvwxyz" if sign != words[place][at]]))
    changed = words[place][:at] + letter + words[place][at + 1 :]
    others: list[Entry] = [entry for entry in lexicon().entries[:20] if entry.word not in words]
    further = data.draw(st.sampled_from([entry.word for entry in others]))
    for mutated in (
        words[:place] + words[place + 1 :],
        [*words[:place], changed, *words[place + 1 :]],
        [*words, further],
        ["-".join((words[place][:1], words[place][1:])), *words[:place], *words[place + 1 :]],
        [],
    ):
        assert not SOURCE.grade(problem, ", ".join(mutated))


@given(st.text("abz019 ,;|.:()-*\"'\n\t\0\ud800İßK①é漢", max_size=50))
@settings(max_examples=100, deadline=None)
def test_no_answer_makes_the_grader_fail(answer: str) -> None:
    assert SOURCE.grade(FIRST, answer) is False


def test_an_endless_answer_is_wrong_and_not_even_read() -> None:
    problem = FIRST
    assert not SOURCE.grade(problem, f"{problem.answer}, " * LONGEST_ANSWER)


def test_the_skills_file_tells_what_the_levels_are() -> None:
    """E1: what a level is said to be and what it is went apart."""
    file = Path(__file__).parents[3] / "configs" / "skills" / "sy.yaml"
    progression = yaml.safe_load(file.read_text("utf-8"))["level_progression"]
    told = {level: (entry["words"], entry["left_over"]) for level, entry in progression.items()}
    assert told == {level: (level_of(level).words, level_of(level).left_over) for level in told}
