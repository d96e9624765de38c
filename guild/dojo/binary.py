"""BIN, Binary Alchemy: arithmetic on 2 to 32 bits, whose operations grow with the level (seed 003, spec 1.17).

A level that has only a few thousand problems is gone through as a whole, in an order that the seed decides; a larger
one is drawn from. Either way the number of draws is bounded (failure E11), and no random state but our own is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from random import Random
from typing import Any

from guild.dojo.arithmetic.levels import FIRST_CIRCLED, MAX_LEVEL, Level, level_of
from guild.dojo.arithmetic.notation import RELATIONS, Notation, number_in, written
from guild.dojo.arithmetic.operations import OPERATIONS, Operands, Operation
from guild.dojo.held_out import HELD_OUT_SHARE, is_held_out
from guild.dojo.problem import HeldOutExhausted, Problem, check_level, problem_key

SKILL_ID = "bin"
VERSION = "1.0.0"
"""Another set of rules, texts or draws is another version."""

LISTED = 8192
"""Largest space that is gone through as a whole."""
MOST_DRAWS = 400
"""For one problem, until one of the wanted share comes: to miss a tenth so often happens once in 10**18 times."""
MOST_REPEATS = 20
"""Draws that gave what was given already, until one is given twice."""
INFINITE = 10**9
EXAMINATION = 20
"""Problems that an examination asks for."""


class BinarySource:
    """Problems of binary arithmetic; see `guild.dojo.problem.ProblemSource`."""

    skill_id = SKILL_ID
    version = VERSION
    max_level = MAX_LEVEL

    def problems(self, level: int, count: int, *, seed: int, held_out: bool) -> list[Problem]:
        """`count` problems of the level; of one gone through as a whole, none comes twice before all have come."""
        check_level(self, level)
        rules = level_of(level)
        rng = Random(f"{SKILL_ID} {VERSION} {level} {seed} {held_out}")
        if rules.space > LISTED:
            return _drawn(rules, count, rng, held_out=held_out)
        share = _listed(level)[held_out]
        if not share:
            raise HeldOutExhausted(
                f"Level {level} of {SKILL_ID} has {rules.space} problems, of which none is held out.",
                hint="Examine it at another level.",
            )
        return _in_rounds(share, count, rng)

    def grade(self, problem: Problem, answer: str) -> bool:
        """Whether it is the result, in the notation of the question; zeros in front and blanks around do not count."""
        facts = problem.metadata
        notation: Notation = facts["notation"]
        operation = OPERATIONS[facts["operation"]]
        result = operation.compute(facts["bits"], tuple(facts["operands"]))
        if not operation.answer_width(facts["bits"]):
            return answer.strip() == RELATIONS[notation][result]
        return number_in(answer, notation) == result

    def space(self, level: int) -> int | None:
        check_level(self, level)
        space = level_of(level).space
        return None if space > INFINITE else space

    def level_info(self, level: int) -> dict[str, Any]:
        """Bits, operations and notation of the level, and how much of it is held out."""
        check_level(self, level)
        rules = level_of(level)
        info: dict[str, Any] = {
            "level": level,
            "bits": rules.bits,
            "operations": [operation.name for operation in rules.operations],
            "symbol_language": rules.circled_share,
            "hints": _hints(rules),
            "space": self.space(level),
            "held_out": HELD_OUT_SHARE,
        }
        if rules.space <= LISTED:
            kept = len(_listed(level)[True])
            info["held_out"] = round(kept / rules.space, 4)
            info["held_out_problems"] = kept
            if kept < EXAMINATION:
                info["note"] = (
                    f"Of {rules.space} problems {kept} are held out: an examination of more asks some of them again."
                )
        return info


def _hints(rules: Level) -> list[str]:
    hints = [f"Numbers have {rules.bits} binary digits; results have as many as the largest can take."]
    if rules.number >= FIRST_CIRCLED:
        signs = ", ".join(
            f"{operation.circled[0].replace('{0}', 'a').replace('{1}', 'b').replace('{2}', 'c')} {operation.name}"
            for operation in rules.operations
        )
        hints.append(f"In the symbol language ⓪ is 0 and ① is 1, for numbers and answers alike: {signs}.")
    return hints


def _drawn(rules: Level, count: int, rng: Random, *, held_out: bool) -> list[Problem]:
    given: set[bytes] = set()
    return [_next_drawn(rules, rng, given, held_out=held_out) for _ in range(count)]


def _next_drawn(rules: Level, rng: Random, given: set[bytes], *, held_out: bool) -> Problem:
    repeats, last = 0, None
    for _ in range(MOST_DRAWS):
        operation, notation, text = _choice(rules, rng)
        operands = operation.draw(rng, rules.bits)
        prompt = _prompt(rules, operation, operands, notation, text)
        key = problem_key(SKILL_ID, prompt)
        if is_held_out(key) is not held_out:
            continue
        last = (operation, operands, notation, prompt)
        if key not in given:
            given.add(key)
            break
        repeats += 1
        if repeats == MOST_REPEATS:
            break
    if last is None:
        share = "held-out" if held_out else "taught"
        raise HeldOutExhausted(f"No {share} problem of level {rules.number} of {SKILL_ID} came in {MOST_DRAWS} draws.")
    return _problem(rules, *last)


def _choice(rules: Level, rng: Random) -> tuple[Operation, Notation, str]:
    """Operation, notation and text: half of the problems are of the newest operations."""
    among = rules.newest if rng.getrandbits(1) else rules.operations
    operation = among[int(rng.random() * len(among))]
    notation: Notation = "circled" if rng.random() < rules.circled_share else "plain"
    texts = operation.texts[notation]
    return operation, notation, texts[int(rng.random() * len(texts))]


def _prompt(rules: Level, operation: Operation, operands: Operands, notation: Notation, text: str) -> str:
    widths = operation.widths(rules.bits)
    return text.format(*[written(*each, notation) for each in zip(operands, widths, strict=True)])


def _problem(rules: Level, operation: Operation, operands: Operands, notation: Notation, prompt: str) -> Problem:
    result, width = operation.compute(rules.bits, operands), operation.answer_width(rules.bits)
    return Problem(
        SKILL_ID,
        rules.number,
        prompt,
        written(result, width, notation) if width else RELATIONS[notation][result],
        {"operation": operation.name, "operands": list(operands), "bits": rules.bits, "notation": notation},
    )


@lru_cache(maxsize=8)
def _listed(level: int) -> dict[bool, tuple[Problem, ...]]:
    """All problems of a small level: those that are held out, and those that are taught."""
    shares: dict[bool, list[Problem]] = {False: [], True: []}
    for problem in _all_problems(level_of(level)):
        shares[is_held_out(problem.key)].append(problem)
    return {held_out: tuple(problems) for held_out, problems in shares.items()}


def _all_problems(rules: Level) -> Iterator[Problem]:
    """Only additions of plain numbers have spaces so small."""
    for operation in rules.operations:
        ranges = [range(1 << width) for width in operation.widths(rules.bits)]
        for operands in product(*ranges):
            for text in operation.texts["plain"]:
                prompt = _prompt(rules, operation, operands, "plain", text)
                yield _problem(rules, operation, operands, "plain", prompt)


def _in_rounds(share: tuple[Problem, ...], count: int, rng: Random) -> list[Problem]:
    """All of them in one order, then in another one, and so on until there are `count`."""
    rounds = -(-count // len(share))
    return [problem for _ in range(rounds) for problem in sorted(share, key=lambda each: rng.random())][:count]
