"""What a raven carries: one message for all that has happened since the last one."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from arena.ravens.kinds import counted, news_of
from core.saga import Event

MOST_LINES = 10
"""Events that are told one by one; the others are counted."""
LONGEST_LINE = 300
AGAIN = "This may reach you for the second time: the realm was cut off while it was being sent."


@dataclass(frozen=True)
class Letter:
    """A message, ready to be sent."""

    title: str
    body: str
    is_trouble: bool


@dataclass
class Pile:
    """What is to be told of, gathered from any number of events while only some of them are kept."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)

    def add(self, event: Event, names: Sequence[str]) -> None:
        """Take the event in when it belongs to one of `names`."""
        name = news_of(event.kind, names)
        if name is None:
            return
        self.counts[name] += 1
        if len(self.lines) < MOST_LINES:
            self.lines.append(_short(event.message))

    def letter(self, *, again: bool = False) -> Letter:
        """Everything in the pile as one message; `again` when one like it may have arrived before."""
        told = ", ".join(counted(name, count) for name, count in self.counts.items())
        more = self.counts.total() - len(self.lines)
        lines = [*self.lines, *([f"and {more} more"] if more else []), *([AGAIN] if again else [])]
        return Letter(f"{realm_name()}: {told}", "\n".join(lines), is_trouble="trouble" in self.counts)


def trial_letter() -> Letter:
    """What the button in the Armory sends."""
    return Letter(f"{realm_name()}: a test", "If you can read this, news of your realm will reach you here.", False)


def realm_name() -> str:
    """Which realm it is, for people who have several."""
    return f"Realm of Training on {socket.gethostname()}"


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"
