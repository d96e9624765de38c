"""What the gates found in one file: the first hundred errors and warnings, and how many there are in all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST_KEPT = 100
"""Findings of each kind that are kept with their text; further ones are only counted (spec 1.2)."""


@dataclass(frozen=True)
class Finding:
    line: int | None
    """Line of the file, from 1; None where no line is to blame."""
    field: str | None
    """Place inside the row such as `messages[2].role`; None where the line as a whole is meant."""
    message: str

    def to_json(self) -> dict[str, Any]:
        return {"line": self.line, "field": self.field, "message": self.message}


@dataclass
class Findings:
    """Collects errors and warnings in bounded memory."""

    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    total_errors: int = 0
    total_warnings: int = 0

    @property
    def wants_errors(self) -> bool:
        """False once further errors are only counted, so that nobody need explain them."""
        return len(self.errors) < MOST_KEPT

    def error(self, line: int | None, field: str | None, message: str) -> None:
        self.total_errors += 1
        if len(self.errors) < MOST_KEPT:
            self.errors.append(Finding(line, field, message))

    def warn(self, line: int | None, field: str | None, message: str) -> None:
        self.total_warnings += 1
        if len(self.warnings) < MOST_KEPT:
            self.warnings.append(Finding(line, field, message))
