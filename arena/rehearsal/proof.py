"""What a rehearsal proves: whether the ends of the two runs are the same, and if not, what differs first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arena.rehearsal.needs import Needs


@dataclass(frozen=True)
class Proof:
    """The verdict, with what it rests on."""

    from_step: int
    checkpoint: str | None
    """Where both runs began; None for the base model."""
    steps: int
    """Made by each run."""
    dataset: str
    """The file whose first rows were learned."""
    needs: Needs
    device: str
    lives: list[str]
    """What happened to the trainers of the disturbed run, in words."""
    weights: dict[str, Any]
    """As `arena.trainer.comparison` tells it; of two digests, the first is that of the straight run."""
    optimizer: dict[str, Any]

    @property
    def equal(self) -> bool:
        """Bit for bit, weights and optimizer."""
        return all(part["first_difference"] is None for part in (self.weights, self.optimizer))

    @property
    def must_be_equal(self) -> bool:
        """Law 3 promises bits on the CPU alone; an accelerator may add up in another order each time."""
        return self.device.startswith("cpu")

    @property
    def holds(self) -> bool:
        """What is promised on this device is kept."""
        return self.equal or not self.must_be_equal

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"The disturbed run: {'; '.join(self.lives)}."]
        for name, part in (("weights", self.weights), ("optimizer", self.optimizer)):
            straight, disturbed = part["digests"]
            lines += [f"{name:<9}  straight   {straight}", f"{name:<9}  disturbed  {disturbed}"]
        if self.equal:
            return [*lines, f"Equal bit for bit after {self.steps} steps on {self.device}: nothing was lost."]
        lines += [_difference(name, part) for name, part in (("weights", self.weights), ("optimizer", self.optimizer))]
        if self.must_be_equal:
            return [*lines, f"NOT EQUAL after {self.steps} steps on {self.device}, where they must be. This is a bug."]
        return [*lines, f"{self.steps} steps on {self.device}: it need not add up in the same order each time."]


def _difference(name: str, part: dict[str, Any]) -> str:
    if part["first_difference"] is None:
        return f"{name}: equal"
    first, largest = (_number(part[key]) for key in ("difference", "largest_difference"))
    return f"{name}: the first tensor that differs is {part['first_difference']}, by {first}; the largest is {largest}"


def _number(size: float | None) -> str:
    return "an amount that is no number" if size is None else f"{size:.3g}"
