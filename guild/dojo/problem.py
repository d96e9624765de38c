"""One problem of a skill, and what every source of problems can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from blake3 import blake3

from core.errors import InvalidInput

KEY_BYTES = 16


class HeldOutExhausted(InvalidInput):
    """No problem of this level is held out, so nobody can be examined at it."""

    code = "held_out_exhausted"


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its golden answer, as they stand in a row of training data."""

    skill_id: str
    """`bin`, `sy`."""
    level: int
    prompt: str
    """The user turn, whole."""
    answer: str
    """The assistant turn, whole, without what a profile puts around it."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: what the grader needs beyond prompt and answer."""

    @property
    def key(self) -> bytes:
        """16 bytes that name the problem, whatever its level: a problem of two levels has one key."""
        return problem_key(self.skill_id, self.prompt)

    def messages(self) -> list[dict[str, str]]:
        """The problem as the chat of a row of training data."""
        return [{"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.answer}]


def problem_key(skill_id: str, prompt: str) -> bytes:
    """BLAKE3 of skill, NUL and prompt, cut to 16 bytes."""
    return blake3(f"{skill_id}\0{prompt}".encode()).digest(KEY_BYTES)


class ProblemSource(Protocol):
    """Makes problems of one skill and grades answers to them, both by rule.

    A source holds no state that changes: any thread and any process may ask the same one.
    """

    skill_id: str
    version: str
    """Another version may make other problems from the same seed; lineage names it."""
    max_level: int

    def problems(self, level: int, count: int, *, seed: int, held_out: bool) -> list[Problem]:
        """`count` problems, distinct as far as the level's space allows: a function of the arguments and `version`.

        Without `held_out`, none of the held-out share is among them; with it, there are only those. Raises
        `InvalidInput` for a level that is not there, `HeldOutExhausted` where the level holds nothing out.
        """
        ...

    def grade(self, problem: Problem, answer: str) -> bool:
        """Whether `answer`, freed of a profile's marks by the caller, is right; never raises, whatever a model says."""
        ...

    def space(self, level: int) -> int | None:
        """How many different problems the level has; None where there are more than 10**9."""
        ...

    def level_info(self, level: int) -> dict[str, Any]:
        """JSON-able facts for people and for `/levels`: among them `space` and `held_out`, a share of all problems."""
        ...


def check_level(source: ProblemSource, level: int) -> None:
    """Raise `InvalidInput` for a level that the source has not (failures E1 and E12: a level is never guessed)."""
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= source.max_level:
        raise InvalidInput(
            f"Skill {source.skill_id} has no level {level!r}.", hint=f"Its levels are 1 to {source.max_level}."
        )
