"""Rollups of the saga's series: what a chart of ten million points is drawn from, in milliseconds.

For each 64, 4 096 and 262 144 steps of a series a row of `metric_rollups` keeps how many points there are, their least,
their greatest and their sum. It is written in the transaction that writes the points, from the points themselves or
from the finer rollups, so that no kill can part them. When old points are thinned the rollups stay: mean and spikes of
long ago are those of all points that were ever recorded. The first size of which a window has few enough rows is read;
its rows are joined at multiples of a power of two, so that a curve does not shift while it grows (F9).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from core.records import metric_rollups, metrics

SIZES = (64, 4_096, 262_144)
"""Steps in a bucket; each is a multiple of the one before."""

FACTOR = 64
MOST_ROWS = 16_384
"""Rows that one curve reads at most, where a coarser size is there."""
LEAST_KEPT = 8 * FACTOR
"""Rows of each size that are always kept, however small the budget is: of the bucket that is being filled, all."""

_COLUMNS = "series, size, bucket, points, first, last, low, high, total"
_FROM_POINTS = sa.text(
    f"INSERT OR REPLACE INTO metric_rollups ({_COLUMNS}) "
    "SELECT series, :size, step / :size AS place, count(*), min(step), max(step), min(value), max(value), sum(value) "
    "FROM metrics WHERE series = :series AND step >= :begin AND step < :end GROUP BY place"
)
_FROM_FINER = sa.text(
    f"INSERT OR REPLACE INTO metric_rollups ({_COLUMNS}) "
    "SELECT series, :size, bucket / :factor AS place, sum(points), min(first), max(last), min(low), max(high), "
    "sum(total) FROM metric_rollups WHERE series = :series AND size = :finer AND bucket >= :begin AND bucket < :end "
    "GROUP BY place"
)
# A look-up for each name: DISTINCT goes through every point.
_NAMES = sa.text(
    "WITH RECURSIVE names (name) AS (SELECT min(series) FROM metrics UNION ALL "
    "SELECT (SELECT min(series) FROM metrics WHERE series > name) FROM names WHERE name IS NOT NULL) "
    "SELECT name FROM names WHERE name IS NOT NULL"
)
# Two look-ups: asked for both at once, SQLite goes through every point.
_ENDS = sa.text(
    "SELECT (SELECT min(step) FROM metrics WHERE series = :series) AS first, "
    "(SELECT max(step) FROM metrics WHERE series = :series) AS last"
)


@dataclass(frozen=True)
class Curve:
    """A series as a chart draws it: lists of one length, steps rising."""

    name: str
    first_step: int | None
    last_step: int | None
    """Of the whole series; None where it has no points."""
    resolution: int
    """Steps that one entry stands for at most; 1 where each is a point as it was recorded."""
    points: int
    """Points that the entries stand for."""
    steps: list[int] = field(default_factory=list)
    """Of an entry, its last step."""
    values: list[float] = field(default_factory=list)
    """Its mean."""
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class SeriesEnds:
    """How far a series goes."""

    name: str
    first_step: int
    last_step: int
    last_value: float


def series_names(connection: sa.Connection) -> list[str]:
    return list(connection.execute(_NAMES).scalars())


def ends_of_all(connection: sa.Connection) -> list[SeriesEnds]:
    """Of every series that has points."""
    found = []
    for name in series_names(connection):
        first, last = connection.execute(_ENDS, {"series": name}).one()
        there = (metrics.c.series == name) & (metrics.c.step == last)
        value = connection.execute(sa.select(metrics.c.value).where(there)).scalar_one()
        found.append(SeriesEnds(name, first, last, value))
    return found


# --- writing ------------------------------------------------------------------------------------------------------


def roll_up(connection: sa.Connection, series: str, steps: Iterable[int]) -> None:
    """Make the rollups anew over these steps, whose points were written in this transaction."""
    for first, last in _runs({step // SIZES[0] for step in steps}):
        begin, end = first * SIZES[0], (last + 1) * SIZES[0]
        _from_points(connection, series, SIZES[0], begin, end)
        for finer, size in pairwise(SIZES):
            _from_finer(connection, series, size, finer, begin, end)


def cut_back(connection: sa.Connection, series: str, step: int) -> None:
    """Delete the points after `step`, and what the rollups knew of them."""
    for finer, size in pairwise(SIZES):
        begin = max(step, 0) // size * size
        if not _count(connection, series, finer, begin, begin + size - 1, at_most=1):
            # Of a time that is kept in coarse rollups only: what is left of the points is all that can be told.
            _from_points(connection, series, finer, begin, begin + size)
    connection.execute(sa.delete(metrics).where((metrics.c.series == series) & (metrics.c.step > step)))
    kept = metric_rollups.c
    for size in SIZES:
        own = (kept.series == series) & (kept.size == size)
        # The bucket that the step lies in, too: it is made anew of what is left.
        connection.execute(sa.delete(metric_rollups).where(own & (kept.bucket >= max(step, 0) // size)))
    if step >= 0:
        begin = step // SIZES[0] * SIZES[0]
        _from_points(connection, series, SIZES[0], begin, step + 1)
        for finer, size in pairwise(SIZES):
            _from_finer(connection, series, size, finer, step, step + 1)


def trim_rollups(connection: sa.Connection, series: str, budget: int) -> int:
    """Leave about `budget` rows of each size, the newest; of a bucket of the next size all or none. Rows deleted."""
    kept, deleted = metric_rollups.c, 0
    for size in SIZES:
        own = (kept.series == series) & (kept.size == size)
        newest = sa.select(kept.bucket).where(own).order_by(kept.bucket.desc())
        oldest = connection.execute(newest.offset(max(budget, LEAST_KEPT)).limit(1)).scalar()
        if oldest is not None:
            doomed = own & (kept.bucket < oldest // FACTOR * FACTOR)
            deleted += connection.execute(sa.delete(metric_rollups).where(doomed)).rowcount
    return deleted


def rebuild_rollups(connection: sa.Connection) -> None:
    """Make all of them anew from the points: after damage, nobody knows whether both are of one moment."""
    connection.execute(sa.delete(metric_rollups))
    for series in series_names(connection):
        first, last = connection.execute(_ENDS, {"series": series}).one()
        _from_points(connection, series, SIZES[0], first, last + 1)
        for finer, size in pairwise(SIZES):
            _from_finer(connection, series, size, finer, first, last + 1)


# --- reading ------------------------------------------------------------------------------------------------------


def read_curve(connection: sa.Connection, series: str, since: int | None, until: int | None, most: int) -> Curve:
    """The series from `since` to `until`, both included, in `most` entries at most."""
    first, last = connection.execute(_ENDS, {"series": series}).one()
    if first is None:
        return Curve(series, None, None, 1, 0)
    begin, end = max(first, since or 0), last if until is None else min(last, until)
    if begin > end:
        return Curve(series, first, last, 1, 0)
    size, rows = _source(connection, series, begin, end)
    width = size
    while rows > most and end // width - begin // width + 1 > most:
        width *= 2
    found = connection.execute(_entries(series, size, width, begin, end)).all()
    means = [row.total / row.points for row in found]
    return Curve(
        series, first, last, width, sum(row.points for row in found), [row.last for row in found],
        # A mean of rounded sums may lie a bit beside values that are all alike.
        [min(max(mean, row.low), row.high) for mean, row in zip(means, found, strict=True)],
        [row.low for row in found], [row.high for row in found],
    )  # fmt: skip


def _source(connection: sa.Connection, series: str, begin: int, end: int) -> tuple[int, int]:
    """The finest size that has all of the window in few enough rows (1 for the points themselves), and how many."""
    rows = _count(connection, series, 1, begin, end)
    if rows <= MOST_ROWS and _is_unthinned(connection, series, begin, end):
        return 1, rows
    for size in SIZES[:-1]:
        rows = _count(connection, series, size, begin, end)
        if rows <= MOST_ROWS and _goes_back_to(connection, series, size, begin):
            return size, rows
    return SIZES[-1], _count(connection, series, SIZES[-1], begin, end)


def _goes_back_to(connection: sa.Connection, series: str, size: int, step: int) -> bool:
    """Whether no rollup of this size was given up that held this step or a later one."""
    kept = metric_rollups.c
    own = (kept.series == series) & (kept.size == size)
    oldest = connection.execute(sa.select(sa.func.min(kept.bucket)).where(own)).scalar()
    return oldest is not None and oldest * size <= step


def _is_unthinned(connection: sa.Connection, series: str, begin: int, end: int) -> bool:
    """Whether the points of the window are all that were ever recorded there."""
    if not _goes_back_to(connection, series, SIZES[0], begin):
        return False  # as many rollups as that had more points
    first, last = begin // SIZES[0], end // SIZES[0]
    kept = metric_rollups.c
    own = (kept.series == series) & (kept.size == SIZES[0]) & kept.bucket.between(first, last)
    rows = sa.select(kept.points).where(own).limit(MOST_ROWS + 1).subquery()
    recorded = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(rows.c.points), 0))).scalar_one()
    there = _count(connection, series, 1, first * SIZES[0], (last + 1) * SIZES[0] - 1, at_most=recorded + 1)
    return there >= int(recorded)


def _entries(series: str, size: int, width: int, begin: int, end: int) -> Any:
    place: sa.Label[Any]
    chosen: Any
    if size == 1:
        place = sa.literal_column(f"step / {width}").label("place")
        value, step = metrics.c.value, metrics.c.step
        chosen = sa.select(
            place, sa.func.count().label("points"), sa.func.max(step).label("last"), sa.func.sum(value).label("total"),
            sa.func.min(value).label("low"), sa.func.max(value).label("high"),
        ).where((metrics.c.series == series) & step.between(begin, end))  # fmt: skip
    else:
        kept, total = metric_rollups.c, sa.func.sum
        place = sa.literal_column(f"bucket / {width // size}").label("place")
        own = (kept.series == series) & (kept.size == size) & kept.bucket.between(begin // size, end // size)
        chosen = sa.select(
            place, total(kept.points).label("points"), sa.func.max(kept.last).label("last"),
            total(kept.total).label("total"), sa.func.min(kept.low).label("low"), sa.func.max(kept.high).label("high"),
        ).where(own)  # fmt: skip
    return chosen.group_by(place).order_by(place)


def _count(connection: sa.Connection, series: str, size: int, begin: int, end: int, at_most: int = MOST_ROWS) -> int:
    """Rows of this size over these steps, counted up to one more than `at_most`."""
    if size == 1:
        wanted = sa.select(metrics.c.step).where((metrics.c.series == series) & metrics.c.step.between(begin, end))
    else:
        kept = metric_rollups.c
        own = (kept.series == series) & (kept.size == size) & kept.bucket.between(begin // size, end // size)
        wanted = sa.select(kept.bucket).where(own)
    return int(
        connection.execute(sa.select(sa.func.count()).select_from(wanted.limit(at_most + 1).subquery())).scalar_one()
    )


# --- inside -------------------------------------------------------------------------------------------------------


def _from_points(connection: sa.Connection, series: str, size: int, begin: int, end: int) -> None:
    connection.execute(_FROM_POINTS, {"series": series, "size": size, "begin": begin, "end": end})


def _from_finer(connection: sa.Connection, series: str, size: int, finer: int, begin: int, end: int) -> None:
    """Make the buckets of `size` that hold these steps from those of the next finer size."""
    first, last = begin // size, (end - 1) // size + 1
    places = {"begin": first * size // finer, "end": last * size // finer}
    connection.execute(_FROM_FINER, {"series": series, "size": size, "finer": finer, "factor": FACTOR, **places})


def _runs(buckets: set[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of neighbours."""
    ordered = sorted(buckets)
    begin = 0
    for place, bucket in enumerate(ordered):
        if place + 1 == len(ordered) or ordered[place + 1] != bucket + 1:
            yield ordered[begin], bucket
            begin = place + 1
