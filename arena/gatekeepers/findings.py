"""What the gates found in one file: the first hundred errors and warnings, and how many there are in all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MOST_KEPT = 100
"""Findings of each kind that are kept with their text; further ones are only counted (spec 1.2)."""


@dataclass(frozen=True)
class Finding:
    line: int | None
    """Line of the file, from 1; None where no line is to blame or known."""
    field: str | None
    """Place inside the row such as `messages[2].role`; None where the line as a whole is meant."""
    message: str
    item: int | None = None
    """Item of the JSON list that the file holds, from 1; it starts in `line`. None in a file of JSON lines."""

    def to_json(self) -> dict[str, Any]:
        item = {"item": self.item} if self.item is not None else {}
        return {"line": self.line, **item, "field": self.field, "message": self.message}


@dataclass
class Findings:
    """Collects errors and warnings in bounded memory."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    total_errors: int = 0
    total_warnings: int = 0
    line_of_item: Callable[[int], int | None] | None = None
    """Set for a JSON list, whose items are read as lines: where in the file an item starts."""

    @property
    def wants_errors(self) -> bool:
        """False once further errors are only counted, so that nobody need explain them."""
        return len(self.errors) < MOST_KEPT

    def error(self, line: int | None, field: str | None, message: str) -> None:
        self.total_errors += 1
        if len(self.errors) < MOST_KEPT:
            self.errors.append(self.finding(line, field, message))

    def warn(self, line: int | None, field: str | None, message: str) -> None:
        self.total_warnings += 1
        if len(self.warnings) < MOST_KEPT:
            self.warnings.append(self.finding(line, field, message))

    def warn_later(self, finding: Finding) -> None:
        """A warning whose place was noted by `finding` when its row was read."""
        self.total_warnings += 1
        if len(self.warnings) < MOST_KEPT:
            self.warnings.append(finding)

    def fault(self, line: int | None, item: int | None, message: str) -> None:
        """An error of the file as a whole, told before those of its rows; its line is that of the file already."""
        self.total_errors += 1
        self.errors.insert(0, Finding(line, None, message, item))
        del self.errors[MOST_KEPT:]

    def finding(self, line: int | None, field: str | None, message: str) -> Finding:
        """A finding in its place, which is not told yet; only in the order of the rows is that of an item known."""
        if self.line_of_item is None or line is None:
            return Finding(line, field, message)
        return Finding(self.line_of_item(line), field, message, item=line)
