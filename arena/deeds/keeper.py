"""Watches what happens, and writes down what was achieved: once in the life of a model, whatever is killed or rewound.

Events are read from the saga, in the order of their ids: after a start all that are kept, so that what was told while
nobody watched counts too. What an event says is true at the time of the event, and the deed bears that time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from arena.academy.register import Register
from arena.deeds.catalog import COUNTED, HAPPENED, WATCHED, Counted, Happened, Measure
from arena.telling.live_report import LiveReport
from core.errors import RealmError
from core.saga import Event, News, Saga
from core.tasks import beat, comes_within, rest
from guild.curriculum.achievements import Achievement

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
"""Counts are looked at so often without any news; that asks nobody but this process."""
SHORTEST_SECONDS = 1.0
"""Small quests end many times a second."""
HUNG_SECONDS = 120.0
EVENTS_AT_ONCE = 1000

WORDS: dict[Measure, str] = {
    "quests": "{:,} quests are learned.",
    "steps": "Step {:,} is reached.",
    "days": "The hero has served for {:,} days.",
    "rows": "A quest of {:,} rows is learned.",
    "tokens": "A row of {:,} tokens is learned.",
}


@dataclass
class Known:
    """What is known of one model's life."""

    history: str
    earned: set[str]
    last_event: int = 0
    fallen: set[str] = field(default_factory=set)
    """Names of the deeds for which only the second of two events is missing."""
    most: dict[Measure, int] = field(default_factory=dict)
    """The most rows of a quest, and tokens of a row, of all that events tell of."""


class DeedKeeper:
    """One per daemon."""

    def __init__(
        self,
        saga: Saga,
        report: LiveReport,
        register: Callable[[], Register | None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`register` gives that of the present model; None before its journal has begun."""
        self._saga = saga
        self._report = report
        self._register = register
        self._clock = clock
        self._known: Known | None = None

    async def run(self) -> None:
        """Never returns."""
        news = asyncio.Event()
        loop = asyncio.get_running_loop()

        def note(event: Event) -> None:  # in whichever thread the event is told
            if event.kind in WATCHED:
                with suppress(RuntimeError):  # the loop is closed: the realm has ended
                    loop.call_soon_threadsafe(news.set)

        leave = self._saga.subscribe(note)
        try:
            while True:
                beat(HUNG_SECONDS)
                news.clear()
                await self.look_once()
                rest()
                await asyncio.sleep(SHORTEST_SECONDS)
                await comes_within(LOOK_SECONDS, news)
        finally:
            leave()

    async def look_once(self) -> None:
        """Judge what has happened since the last look; a disk that refuses only delays it."""
        register = self._register()
        if register is None:
            return
        try:
            while await asyncio.to_thread(self._look, register):
                beat(HUNG_SECONDS)
        except RealmError as error:
            self._known = None  # what could not be written down is found anew
            logger.warning("achievements are not looked at: %s", error, extra={"event": "deeds_failed"})

    def progress(self, deed: Counted) -> int | None:
        """How far a count is; None for one that is not known."""
        match deed.measure:
            case "quests":
                return self._report.quests_completed
            case "steps":
                return self._report.step
            case "days":
                return self._days()
            case _:
                return self._known.most.get(deed.measure) if self._known is not None else None

    # --- inside, in a thread ------------------------------------------------------------------------------------

    def _look(self, register: Register) -> bool:
        """Take in some events, and judge; whether there are more of them."""
        known = self._known
        if known is None or known.history != register.history:
            names = {row["name"] for row in register.records.achievements()}
            known = self._known = Known(register.history, names)
        events = self._saga.events_of(self._wanted(known), known.last_event, EVENTS_AT_ONCE)
        found = [*self._from_events(known, events), *self._from_counts(known)]
        if found:
            fresh = register.records.achieve(found)
            known.earned |= {deed.name for deed, _ in found}
            told = [News("achievement", f"{each.title}: {each.why}", {"name": each.name}) for each in fresh]
            self._saga.tell(told, now=self._clock())
        return len(events) == EVENTS_AT_ONCE

    def _wanted(self, known: Known) -> list[str]:
        """Kinds of events that can still decide something."""
        open_deeds = [deed for deed in HAPPENED if deed.name not in known.earned]
        kinds = {kind for deed in open_deeds for kind in (*deed.kinds, *deed.after)}
        if any(deed.measure in ("rows", "tokens") and deed.name not in known.earned for deed in COUNTED):
            kinds.add("quest_sealed")
        return sorted(kinds)

    def _from_events(self, known: Known, events: list[Event]) -> Iterator[tuple[Achievement, datetime]]:
        for event in events:
            known.last_event = event.id
            if event.at < known.history:  # of a hero before this one
                continue
            self._note_sizes(known, event)
            for deed in HAPPENED:
                if deed.name not in known.earned and self._has_happened(known, deed, event):
                    known.earned.add(deed.name)
                    at = datetime.fromisoformat(event.at)
                    yield Achievement(deed.name, deed.title, deed.why(event.data or {}, event.message)), at

    def _has_happened(self, known: Known, deed: Happened, event: Event) -> bool:
        if event.kind in deed.after:
            known.fallen.add(deed.name)
        if event.kind not in deed.kinds:
            return False
        was_ready = not deed.after or deed.name in known.fallen
        known.fallen.discard(deed.name)
        return was_ready and deed.says(event.data or {})

    def _note_sizes(self, known: Known, event: Event) -> None:
        measures: dict[Measure, str] = {"rows": "rows", "tokens": "longest_row"}
        for measure, key in measures.items():
            value = (event.data or {}).get(key) if event.kind == "quest_sealed" else None
            if isinstance(value, int):
                known.most[measure] = max(known.most.get(measure, 0), value)

    def _from_counts(self, known: Known) -> Iterator[tuple[Achievement, datetime]]:
        for deed in COUNTED:
            count = self.progress(deed) if deed.name not in known.earned else None
            if count is not None and count >= deed.goal:
                yield Achievement(deed.name, deed.title, WORDS[deed.measure].format(count)), self._clock()

    def _days(self) -> int | None:
        if self._known is None:
            return None
        return max(0, (self._clock() - datetime.fromisoformat(self._known.history)).days)
