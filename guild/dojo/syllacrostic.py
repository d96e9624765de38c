"""SY, Word Weaving: a heap of syllables, a clue for each word, and the words to be put together (seed 003, spec 1.17).

The number of draws is bounded (failure E11), and no random state but our own is touched.
"""

from __future__ import annotations

import re
from functools import cache
from random import Random
from typing import Any

from guild.dojo.held_out import HELD_OUT_SHARE, is_held_out
from guild.dojo.problem import HeldOutExhausted, Problem, check_level, problem_key
from guild.dojo.words.heap import SyllableHeap
from guild.dojo.words.levels import MAX_LEVEL, Level, level_of
from guild.dojo.words.lexicon import KINDS, Entry, lexicon

SKILL_ID = "sy"
VERSION = "1.0.0"
"""Another lexicon, other texts or other draws are another version."""

MOST_DRAWS = 400
"""For one problem, until one of the wanted share comes: to miss a tenth so often happens once in 10**18 times."""
MOST_TRIES = 200
"""For one word or syllable of a puzzle, before the puzzle is given up."""
LONGEST_ANSWER = 2000
"""Characters of an answer that are read."""

_NUMBERING = re.compile(r"(?:^|(?<=[\s,;|]))\(?[0-9]{1,2}[.):](?![0-9])")
_BETWEEN = re.compile(r"[\s,;|]+")
_AROUND = ".*_`\"'“”‘’[](){}-–—•"


class SyllacrosticSource:
    """Syllacrostic puzzles; see `guild.dojo.problem.ProblemSource`."""

    skill_id = SKILL_ID
    version = VERSION
    max_level = MAX_LEVEL

    def problems(self, level: int, count: int, *, seed: int, held_out: bool) -> list[Problem]:
        """`count` problems of the level, no two of them the same."""
        check_level(self, level)
        rules = level_of(level)
        rng = Random(f"{SKILL_ID} {VERSION} {level} {seed} {held_out}")
        given: set[bytes] = set()
        return [_next_problem(rules, rng, given, held_out=held_out) for _ in range(count)]

    def grade(self, problem: Problem, answer: str) -> bool:
        """Whether it names the same words, in any order, case and numbering, between commas, blanks or lines."""
        return words_in(answer) == words_in(problem.answer)

    def space(self, level: int) -> int | None:
        """None: the first level alone, with the orders of its syllables, has more than 10**10 problems."""
        check_level(self, level)
        return None

    def level_info(self, level: int) -> dict[str, Any]:
        """Words, syllables and clues of the level, and how much of it is held out."""
        check_level(self, level)
        rules = level_of(level)
        return {
            "level": level,
            "words": rules.words,
            "most_syllables": rules.syllables,
            "most_letters": rules.letters,
            "left_over": rules.left_over,
            "clues": rules.shares(),
            "hints": _hints(rules),
            "space": None,
            "held_out": HELD_OUT_SHARE,
        }


def words_in(answer: str) -> frozenset[str]:
    """The words of an answer in small letters, without the numbers, bullets, quotes and brackets around them.

    None of an answer that is longer than any could be.
    """
    if len(answer) > LONGEST_ANSWER:
        return frozenset()
    found = (word.strip(_AROUND) for word in _BETWEEN.split(_NUMBERING.sub(" ", answer.lower())))
    return frozenset(word for word in found if word)


def _hints(rules: Level) -> list[str]:
    texts = {
        "opening": "a definition with the first syllable and a ? for each further one",
        "counted": "a definition with the number of syllables",
        "defined": "a definition",
        "syllable": "the first syllable with a ? for each further one",
        "letter": "the first letter with the number of syllables",
        "length": "the number of letters",
    }
    clues = [f"{share:.0%} of the clues are {texts[kind]}." for kind, share in rules.shares().items()]
    return [*clues, "The answer is all words with commas between them; their order does not count."]


def _next_problem(rules: Level, rng: Random, given: set[bytes], *, held_out: bool) -> Problem:
    for _ in range(MOST_DRAWS):
        problem = _puzzle(rules, rng)
        if problem is None:
            continue
        key = problem_key(SKILL_ID, problem.prompt)
        if is_held_out(key) is held_out and key not in given:
            given.add(key)
            return problem
    share = "held-out" if held_out else "taught"
    raise HeldOutExhausted(f"No {share} problem of level {rules.number} of {SKILL_ID} came in {MOST_DRAWS} draws.")


def _puzzle(rules: Level, rng: Random) -> Problem | None:
    """A puzzle of the level; None, once in a long while, when no further word goes with those that were drawn."""
    heap = SyllableHeap(lexicon())
    kinds = [rules.kind(rng.random()) for _ in range(rules.words)]
    entries, syllables = _entries(rules.syllables, rules.letters), lexicon().syllables
    for kind in kinds:
        if not any(heap.take_answer(entries[int(rng.random() * len(entries))], kind) for _ in range(MOST_TRIES)):
            return None
    for _ in range(rules.left_over):
        if not any(heap.take_left_over(syllables[int(rng.random() * len(syllables))]) for _ in range(MOST_TRIES)):
            return None
    rng.shuffle(heap.syllables)
    return Problem(
        SKILL_ID,
        rules.number,
        _prompt(heap, rules.left_over),
        ", ".join(entry.word for entry in heap.answers),
        {"clues": [KINDS[kind] for kind in kinds], "left_over": rules.left_over},
    )


@cache
def _entries(syllables: int, letters: int) -> tuple[Entry, ...]:
    return lexicon().up_to(syllables, letters)


def _prompt(heap: SyllableHeap, left_over: int) -> str:
    rest = f" ({left_over} left over)" if left_over else ""
    clues = [f"{number}. {clue}" for number, clue in enumerate(heap.clues, 1)]
    return "\n".join([f"Make words of {' '.join(heap.syllables)}{rest}:", *clues])
