"""The saga: what happened (events with ids) and how it went (metric series), in `status/saga.db`.

Both are kept within their budgets by the saga itself as it is written to, so that no caller can forget to.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from core.db import Database
from core.errors import InvalidInput, RealmError
from core.finite import finite
from core.paths import RealmPaths
from core.records import events, metrics
from core.saga_series import (
    Curve,
    SeriesEnds,
    cut_back,
    ends_of_all,
    read_curve,
    rebuild_rollups,
    roll_up,
    series_names,
    trim_rollups,
)
from core.settings import BudgetSettings

logger = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
"""Given to `Database` when `status/saga.db` is opened, which `open_saga` does."""

EVENTS_BETWEEN_TRIMS = 1_000
POINTS_BETWEEN_TRIMS = 10_000
FEW_KINDS = 8
"""Of so many kinds the newest events are found one kind after the other."""

# CROSS JOIN holds SQLite to this order; the other way round it goes through the marks for every point.
_AT_MARKS = sa.text(
    "SELECT DISTINCT step, metrics.value FROM json_each(:marks) AS mark CROSS JOIN metrics "
    "ON series = :series AND step = (SELECT min(step) FROM metrics WHERE series = :series AND step >= mark.value) "
    "ORDER BY step"
)

# A look-up for each kind: DISTINCT goes through every event.
_KINDS = sa.text(
    "WITH RECURSIVE kinds (kind) AS (SELECT min(kind) FROM events UNION ALL "
    "SELECT (SELECT min(events.kind) FROM events WHERE events.kind > kinds.kind) FROM kinds WHERE kind IS NOT NULL) "
    "SELECT kind FROM kinds WHERE kind IS NOT NULL"
)


@dataclass(frozen=True)
class Event:
    """Something that happened, told once and kept."""

    id: int
    """Grows by one with every event; never used again."""
    at: str
    """ISO 8601 UTC."""
    kind: str
    message: str
    data: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class News(NamedTuple):
    """An event that is still to be told."""

    kind: str
    message: str
    data: dict[str, Any] | None = None


class Saga:
    """Events and metrics over one open `Database`; thread-safe."""

    def __init__(self, db: Database, budgets: BudgetSettings) -> None:
        self.db = db
        self.budgets = budgets
        # Held over commit and callbacks, so that subscribers hear events in the order of their ids.
        self._telling = threading.RLock()
        self._subscribers: list[Callable[[Event], None]] = []
        self._points_since_trim = 0
        db.on_damage = self.tell_of_damage

    # --- events -----------------------------------------------------------------------------------------------

    def append(self, kind: str, message: str, *, now: datetime, data: dict[str, Any] | None = None) -> Event:
        """Record an event and tell the subscribers; `data` is any JSON object, NaN in it becomes null."""
        (event,) = self.append_all([News(kind, message, data)], now=now)
        return event

    def append_all(self, news: Sequence[News], *, now: datetime) -> list[Event]:
        """Record several events in one transaction, in this order: ten thousand at once are a tenth of the work."""
        if not news:
            return []
        rows = [
            {"at": _iso(now), "kind": kind, "message": message, "data": finite(data)} for kind, message, data in news
        ]
        with self._telling:
            with self.db.write() as connection:
                returning = sa.insert(events).returning(events.c.id, sort_by_parameter_order=True)
                ids = connection.execute(returning, rows).scalars().all()
                if (ids[0] - 1) // EVENTS_BETWEEN_TRIMS != ids[-1] // EVENTS_BETWEEN_TRIMS:
                    self._trim_events(connection)
            told = [Event(id=event_id, **row) for event_id, row in zip(ids, rows, strict=True)]
            for event in told:
                self._tell_subscribers(event)
        return told

    def tell(self, news: Sequence[News], *, now: datetime) -> None:
        """`append_all` for those who go on whether or not the disk takes it; it stands in the log then."""
        try:
            self.append_all(news, now=now)
        except RealmError as error:
            first = f"{news[0].kind}: {news[0].message}"
            text = "%d events are not in the saga (the first: %s): %s"
            logger.warning(text, len(news), first, error, extra={"event": "saga_failed"})

    def tell_of_damage(self) -> None:
        """The database was found corrupt and replaced: the first event in the new one."""
        try:
            with self.db.write() as connection:
                rebuild_rollups(connection)
        except RealmError as error:
            logger.warning("the rollups are not made anew: %s", error, extra={"event": "saga_failed"})
        aside, kept = self.db.was_corrupt, self.db.salvaged
        message = (
            f"{self.db.path.name} was damaged and is set aside as {aside.name if aside else None}; of what it held, "
            f"{kept.get('events', 0)} events and {kept.get('metrics', 0)} points of charts could be read and are kept"
        )
        self.tell([News("database_corrupt", message, {"moved_to": str(aside)})], now=datetime.now(UTC))

    def events_after(self, last_id: int, limit: int = 500) -> list[Event]:
        """Events with an id above `last_id`, oldest first.

        A `last_id` that no event has reached comes from a saga that was lost and made anew: it counts as 0.
        """
        with self.db.read() as connection:
            newest = connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0
            start = last_id if last_id <= newest else 0
            query = sa.select(events).where(events.c.id > start).order_by(events.c.id).limit(limit)
            return [_event(row) for row in connection.execute(query)]

    def latest_events(self, limit: int) -> list[Event]:
        """The newest `limit` events, oldest of them first."""
        with self.db.read() as connection:
            query = sa.select(events).order_by(events.c.id.desc()).limit(limit)
            return [_event(row) for row in connection.execute(query)][::-1]

    def find_events(
        self, *, limit: int, before: int | None = None, kinds: Collection[str] | None = None, text: str = ""
    ) -> list[Event]:
        """The newest `limit` events, newest first: with an id below `before`, of these kinds, holding every word of
        `text` in kind or message (ASCII letters in either case).

        Few kinds are found by their index. All else is looked for in one event after the other, the newest first:
        `budgets.events` bounds how many there are, and a hundred thousand take 12 ms, found or not. A full-text index
        would be as large as the events themselves, and finds only beginnings of words.
        """
        if kinds is not None and not kinds:
            return []
        wanted = [events.c.id < before] if before is not None else []
        wanted += [self._holds(word) for word in text.split()]
        newest = events.c.id.desc()
        if kinds is not None and len(kinds) <= FEW_KINDS and not text:
            of_kind = [sa.select(events).where(events.c.kind == kind, *wanted) for kind in sorted(kinds)]
            each = [sa.select(query.order_by(newest).limit(limit).subquery()) for query in of_kind]
            found = sa.union_all(*each).subquery()
            query = sa.select(found).order_by(found.c.id.desc()).limit(limit)
        else:
            if kinds is not None:
                # With the sign in front SQLite does not take its index, which would have all of them sorted first.
                wanted.append(sa.literal_column("+kind").in_(sorted(kinds)))
            query = sa.select(events).where(*wanted).order_by(newest).limit(limit)
        with self.db.read() as connection:
            return [_event(row) for row in connection.execute(query)]

    def _holds(self, word: str) -> sa.ColumnElement[bool]:
        pattern = "".join(f"/{sign}" if sign in "/%_" else sign for sign in word)
        said = events.c.message.like(f"%{pattern}%", escape="/")
        meant = [kind for kind in self.event_kinds() if word.lower() in kind]
        return said | events.c.kind.in_(meant) if meant else said

    def newest_of(self, kind: str) -> Event | None:
        """The newest event of this kind."""
        return next(iter(self.find_events(limit=1, kinds=[kind])), None)

    def event_kinds(self) -> list[str]:
        """Every kind that there is an event of."""
        with self.db.read() as connection:
            return list(connection.execute(_KINDS).scalars())

    def count_by_kind(self) -> dict[str, int]:
        """How many events of each kind are kept."""
        query = sa.select(events.c.kind, sa.func.count()).group_by(events.c.kind).order_by(events.c.kind)
        with self.db.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def events_about(self, quest_id: str, limit: int) -> list[Event]:
        """The newest `limit` events whose data name this quest, oldest of them first."""
        said = sa.func.instr(sa.cast(events.c.data, sa.Text), f'"{quest_id}"') > 0
        with self.db.read() as connection:
            query = sa.select(events).where(said).order_by(events.c.id.desc()).limit(limit)
            return [_event(row) for row in connection.execute(query)][::-1]

    def events_of(self, kinds: Sequence[str], after: int, limit: int) -> list[Event]:
        """Events of these kinds with an id above `after`, oldest first."""
        wanted = events.c.kind.in_(kinds) & (events.c.id > after)
        with self.db.read() as connection:
            query = sa.select(events).where(wanted).order_by(events.c.id).limit(limit)
            return [_event(row) for row in connection.execute(query)]

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` for each event, in the appending thread, after commit. Returns the way out."""
        with self._telling:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._telling:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def _tell_subscribers(self, event: Event) -> None:
        for callback in list(self._subscribers):
            try:
                callback(event)
            except Exception:  # one broken listener must not undo an event that is already committed
                logger.exception("a listener failed on event %s", event.id, extra={"event": "listener_failed"})

    # --- metrics ----------------------------------------------------------------------------------------------

    def put_points(self, series: str, points: Sequence[tuple[int, float]], *, now: datetime) -> None:
        """`put_series` for one of them."""
        self.put_series({series: points}, now=now)

    def put_series(self, series: Mapping[str, Iterable[tuple[int, float]]], *, now: datetime) -> None:
        """Record values by series and step, in one transaction; a step recorded before is overwritten (replay).

        Non-finite values are left out.
        """
        rows: list[dict[str, Any]] = [
            {"series": name, "step": step, "value": value, "at": _iso(now)}
            for name, points in series.items()
            for step, value in points
            if value is not None and math.isfinite(value)
        ]
        if not rows:
            return
        statement = insert(metrics)
        statement = statement.on_conflict_do_update(
            index_elements=["series", "step"],
            set_={"value": statement.excluded.value, "at": statement.excluded.at},
        )
        with self.db.write() as connection:
            connection.execute(statement, rows)
            steps: dict[str, set[int]] = {}
            for row in rows:
                steps.setdefault(row["series"], set()).add(row["step"])
            for name, written in steps.items():
                roll_up(connection, name, written)
            self._points_since_trim += len(rows)
            if self._points_since_trim >= POINTS_BETWEEN_TRIMS:
                self._points_since_trim = 0
                self._trim_metrics(connection)

    def cut_back(self, step: int, series: Sequence[str] | None = None) -> None:
        """Delete points after `step` (of all series, or those named): that part of the history is replayed."""
        with self.db.write() as connection:
            for name in series_names(connection) if series is None else series:
                cut_back(connection, name, step)

    def points(self, series: str, *, since: int = 0, limit: int = 2000) -> list[tuple[int, float]]:
        """Points with step >= `since`, in order; more than `limit` are thinned to `limit` at most.

        The ones kept lie evenly over the range of steps; the first and the last are always among them.
        """
        if limit < 2:
            raise InvalidInput(f"limit must be 2 or more, not {limit}.")
        wanted = (metrics.c.series == series) & (metrics.c.step >= since)
        query = sa.select(metrics.c.step, metrics.c.value).where(wanted).order_by(metrics.c.step)
        with self.db.read() as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
            if len(rows) > limit:
                first = rows[0].step
                last = connection.execute(sa.select(sa.func.max(metrics.c.step)).where(wanted)).scalar_one()
                marks = [first + i * (last - first) // (limit - 1) for i in range(limit)]
                # A look-up per mark: ten times faster than numbering a whole long series.
                rows = connection.execute(_AT_MARKS, {"series": series, "marks": json.dumps(marks)}).all()
            return [(row.step, row.value) for row in rows]

    def curve(self, series: str, *, since: int | None = None, until: int | None = None, most: int = 2000) -> Curve:
        """The series from step `since` to step `until` as a chart draws it, in `most` entries at most.

        Each tells mean, least and greatest of the points that it stands for; read in milliseconds however many those
        are.
        """
        if most < 2:
            raise InvalidInput(f"A curve needs 2 points or more, not {most}.")
        with self.db.read() as connection:
            return read_curve(connection, series, since, until, most)

    def series_names(self) -> list[str]:
        with self.db.read() as connection:
            return series_names(connection)

    def series_ends(self) -> list[SeriesEnds]:
        """Name, first and last step of every series."""
        with self.db.read() as connection:
            return ends_of_all(connection)

    # --- budgets ----------------------------------------------------------------------------------------------

    def trim(self) -> int:
        """Bring events and metrics back within their budgets and give freed pages back; returns rows deleted."""
        with self.db.write() as connection:
            deleted = self._trim_events(connection) + self._trim_metrics(connection)
        if deleted:
            self.db.shrink()
        return deleted

    def _trim_events(self, connection: sa.Connection) -> int:
        newest_too_many = sa.select(events.c.id).order_by(events.c.id.desc()).offset(self.budgets.events).limit(1)
        doomed = sa.delete(events).where(events.c.id <= newest_too_many.scalar_subquery())
        return connection.execute(doomed).rowcount

    def _trim_metrics(self, connection: sa.Connection) -> int:
        counts = sa.select(metrics.c.series, sa.func.count().label("points")).group_by(metrics.c.series)
        deleted = 0
        for series, count in connection.execute(counts).all():
            while count > self.budgets.metric_points:
                thinned = _thin_older_half(connection, series, count)
                count -= thinned
                deleted += thinned
            deleted += trim_rollups(connection, series, self.budgets.metric_points)
        return deleted


@contextmanager
def open_saga(paths: RealmPaths, budgets: BudgetSettings | None = None) -> Iterator[Saga]:
    """The saga of a realm until the end of the block; a database that was damaged is its first event.

    The `budgets` are those by default where nobody writes much. Raises `Unavailable` as `Database` does.
    """
    with closing(Database(paths.saga_db, MIGRATIONS)) as db:
        saga = Saga(db, budgets or BudgetSettings())
        if db.was_corrupt is not None:
            saga.tell_of_damage()
        yield saga


@contextmanager
def read_saga(paths: RealmPaths) -> Iterator[Saga]:
    """The saga for somebody who only looks at it, beside a realm or without one; it cannot be written to.

    Raises `Unavailable` for a database that is damaged or of another version, and leaves it as it is.
    """
    with closing(Database(paths.saga_db, MIGRATIONS, owner=False)) as db:
        yield Saga(db, BudgetSettings())


def _thin_older_half(connection: sa.Connection, series: str, count: int) -> int:
    """Delete every second point of the older half; the very first point stays."""
    place = sa.func.row_number().over(order_by=metrics.c.step).label("place")
    ranked = sa.select(metrics.c.step, place).where(metrics.c.series == series).subquery()
    doomed = sa.select(ranked.c.step).where((ranked.c.place <= count // 2) & (ranked.c.place % 2 == 0))
    statement = sa.delete(metrics).where((metrics.c.series == series) & metrics.c.step.in_(doomed))
    return connection.execute(statement).rowcount


def _event(row: sa.Row[Any]) -> Event:
    return Event(id=row.id, at=row.at, kind=row.kind, message=row.message, data=row.data)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
