"""What one check has to say: its first findings one by one, the others as a number, so that none crowds out another."""

from __future__ import annotations

from arena.gatekeepers.findings import Findings

MOST_TOLD = 3
"""Findings of one check that are told with their line."""
MOST_NAMED = 10
"""Rows of further ones that are named by their number."""


class Remarks:
    """The warnings of one check; `advice` says what to do about all of them."""

    def __init__(self, findings: Findings, advice: str) -> None:
        self.told = 0
        self._findings = findings
        self._advice = advice
        self._further: list[int] = []

    def tell(self, number: int, line: int, place: str | None, what: str) -> None:
        """Warn of something in the row of that number and line."""
        self.told += 1
        if self.told <= MOST_TOLD:
            self._findings.warn(line, place, f"{what}; {self._advice}")
        elif len(self._further) < MOST_NAMED and number not in self._further:
            self._further.append(number)

    def finish(self, kind: str) -> None:
        """Tell how many more findings of that `kind` there were."""
        if self.told > MOST_TOLD:
            more = self.told - MOST_TOLD
            rows = ", ".join(map(str, self._further)) + (", …" if more > len(self._further) else "")
            self._findings.warn(None, None, f"{kind}: {more} more, in rows {rows}; {self._advice}")
