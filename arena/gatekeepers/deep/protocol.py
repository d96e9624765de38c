"""Whether answers keep the emoji protocol (`guild.emoji_protocol`), and how many of them are in emoji mode.

Emoji may as well be mere ornament, so warnings are given only where the profile teaches the protocol, or where the
file has an answer that keeps it.
"""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.samples import Sample
from arena.gatekeepers.findings import Findings
from guild.emoji_protocol import FEWEST_STOPS, MOST_STOPS, begins_with_thought, stop_fault

EMOJI_PROFILES = frozenset({"emoji_think"})
"""Profiles that teach the protocol."""

MOST_DETAILS = 5
PREVIEW = 60
FEWEST_ANSWERS = 20
"""Answers below which their mix says nothing."""
MIX = (30.0, 70.0)
"""Percent of answers in emoji mode: half of them is what the protocol wants."""


class EmojiProtocol:
    """Judges every answer, not only the first one of a chat."""

    def __init__(self, profile: str, findings: Findings) -> None:
        self._profile = profile
        self._findings = findings
        self._checked = self._emoji = 0
        self._malformed = 0
        self._details: list[dict[str, Any]] = []
        self._remarks = Remarks(findings, f"end it with {FEWEST_STOPS} to {MOST_STOPS} stop emoji of one kind")
        self._held_back: list[tuple[int, int, str, str]] = []

    def look(self, sample: Sample) -> None:
        for answer in sample.answers if sample.roles else []:
            self._checked += 1
            if not begins_with_thought(answer.text):
                continue
            issue = stop_fault(answer.text)
            if issue is None:
                self._emoji += 1
                continue
            self._malformed += 1
            if len(self._details) < MOST_DETAILS:
                self._details.append({"idx": sample.number - 1, "preview": answer.text[:PREVIEW], "issue": issue})
            what = f"the answer begins with a thinking emoji, but {issue}"
            self._held_back.append((sample.number, sample.line, answer.place, what))

    def finish(self) -> dict[str, Any]:
        if self._emoji or self._profile in EMOJI_PROFILES:
            self._warn()
        direct = self._checked - self._emoji - self._malformed
        return {
            "protocol_stats": {
                "protocol_checked": self._checked,
                "emoji_mode_valid": self._emoji,
                "direct_mode_valid": direct,
                "malformed": self._malformed,
                "malformed_details": self._details,
                "emoji_mode_pct": self._percent(self._emoji),
                "direct_mode_pct": self._percent(direct),
            }
        }

    def _warn(self) -> None:
        for remark in self._held_back:
            self._remarks.tell(*remark)
        self._remarks.finish("a thinking emoji without its stop")
        direct = self._checked - self._emoji - self._malformed
        # The profile that teaches the protocol puts about half of the direct ones into emoji mode.
        percent = self._percent(self._emoji + (direct / 2 if self._profile in EMOJI_PROFILES else 0))
        if percent is not None and self._checked >= FEWEST_ANSWERS and not MIX[0] <= percent <= MIX[1]:
            what = f"{percent:.0f} % of {self._checked} answers are learned in emoji mode, the others direct"
            self._findings.warn(None, None, f"{what}; mix both about half and half, or the model learns only one")

    def _percent(self, answers: float) -> float | None:
        return round(100 * answers / self._checked, 1) if self._checked else None
