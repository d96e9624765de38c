"""Curves of a series: true to its points through replay, cut-back, thinning and a failing disk, however long it is."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core import saga as saga_module
from core import saga_series
from core.db import Database
from core.errors import InvalidInput, Unavailable
from core.paths import RealmPaths
from core.records import metric_rollups, metrics
from core.saga import MIGRATIONS, Saga, open_saga
from core.saga_series import Curve
from core.settings import BudgetSettings

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SMALL = (4, 16, 64)
BUDGET = 100

BUSY_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from core.paths import RealmPaths
from core.saga import open_saga
with open_saga(RealmPaths(Path(sys.argv[1]))) as saga:
    step = 0
    while True:
        points = [(each, each / 8) for each in range(step, step + 50)]
        saga.put_series({"loss": points, "rate": points}, now=datetime.now(UTC))
        if step % 400 == 350:
            saga.cut_back(step - 90)
            step -= 90
        step += 50
        print(step, flush=True)
"""
"""Writes and cuts back until it is killed."""


@pytest.fixture
def saga(tmp_path: Path) -> Iterator[Saga]:
    database = Database(tmp_path / "saga.db", MIGRATIONS)
    yield Saga(database, BudgetSettings())
    database.close()


@pytest.fixture
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saga_series, "SIZES", SMALL)
    monkeypatch.setattr(saga_series, "FACTOR", 4)
    monkeypatch.setattr(saga_series, "MOST_ROWS", 24)
    monkeypatch.setattr(saga_series, "LEAST_KEPT", 8)


def check(curve: Curve, points: dict[int, float], since: int, until: int, most: int) -> None:
    """The curve is what `points` make between the two steps, or in whole buckets around them."""
    assert len(curve.steps) == len(curve.values) == len(curve.lows) == len(curve.highs) <= most
    assert all(earlier < later for earlier, later in pairwise(curve.steps)), "F9: a point twice"
    width = curve.resolution
    buckets: dict[int, list[tuple[int, float]]] = {}
    coarse = width >= saga_series.SIZES[0]
    for step, value in sorted(points.items()):
        # What is read from rollups has whole buckets of theirs at both ends.
        slack = saga_series.SIZES[-1] if coarse else 0
        if since - slack <= step <= until + slack:
            buckets.setdefault(step // width, []).append((step, value))
    for step, mean, low, high in zip(curve.steps, curve.values, curve.lows, curve.highs, strict=True):
        inside = buckets[step // width]
        values = [value for _, value in inside]
        assert min(values) <= low <= mean <= high <= max(values)
        whole = since <= step // width * width and step // width * width + width - 1 <= until
        if whole:
            assert (low, high, step) == (min(values), max(values), inside[-1][0])
            assert math.isclose(mean, sum(values) / len(values), abs_tol=1e-9)
    inner = {place for place in buckets if since <= place * width and place * width + width - 1 <= until}
    assert inner <= {step // width for step in curve.steps}, "a bucket is missing"


class SeriesMachine(RuleBasedStateMachine):
    """Against dictionaries: the points that are left, and for each bucket what its rollup was made from."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="series-"))
        self.db = Database(self.folder / "saga.db", MIGRATIONS)
        self.saga = Saga(self.db, BudgetSettings.model_validate({"metric_points": BUDGET}))
        self.points: dict[int, float] = {}
        """Those that are in the table."""
        self.known: dict[int, dict[int, float]] = {}
        """By bucket of the finest size: points that its rollup tells of, thinned ones too."""

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    @rule(begin=st.integers(0, 400), values=st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=40))
    def put(self, begin: int, values: list[float]) -> None:
        self._put({begin + place: value for place, value in enumerate(values)})

    @rule(gap=st.integers(1, 9), values=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=60))
    def go_on(self, gap: int, values: list[float]) -> None:
        begin = max(self.points, default=0) + 1
        self._put({begin + place * gap: value for place, value in enumerate(values)})

    @rule(step=st.integers(-1, 600))
    def cut_back(self, step: int) -> None:
        self.saga.cut_back(step)
        self.points = {each: value for each, value in self.points.items() if each <= step}
        self.known = {place: held for place, held in self.known.items() if place < max(step, 0) // SMALL[0]}
        if step >= 0:
            self._learn(step // SMALL[0])

    @rule()
    def trim(self) -> None:
        self.saga.trim()
        while len(self.points) > BUDGET:
            older = sorted(self.points)[: len(self.points) // 2]
            for step in older[1::2]:
                del self.points[step]

    @invariant()
    def points_are_as_they_should_be(self) -> None:
        assert dict(self.saga.points("loss", limit=10_000)) == self.points

    @invariant()
    def rollups_are_as_they_should_be(self) -> None:
        expected = {
            place: (len(held), min(held), max(held), min(held.values()), max(held.values()))
            for place, held in self.known.items()
        }
        kept = metric_rollups.c
        query = sa.select(metric_rollups).where((kept.series == "loss") & (kept.size == SMALL[0]))
        with self.db.read() as connection:
            found = {
                row.bucket: (row.points, row.first, row.last, row.low, row.high) for row in connection.execute(query)
            }
        assert found == {place: expected[place] for place in found}
        missing = set(expected) - set(found)
        assert not missing or max(missing) < min(found), "only the oldest may be given up"
        assert not missing or len(found) >= BUDGET

    @invariant()
    def curves_tell_the_truth(self) -> None:
        every = {step: value for held in self.known.values() for step, value in held.items()}
        if every:
            first, last = min(self.points), max(self.points)
            check(self.saga.curve("loss", most=12), every, first, last, 12)
            middle = (first + last) // 2
            zoomed = self.saga.curve("loss", since=middle, until=middle + 40, most=30)
            check(zoomed, every, max(first, middle), min(last, middle + 40), 30)

    def _put(self, points: dict[int, float]) -> None:
        self.saga.put_points("loss", list(points.items()), now=NOW)
        self.points |= points
        for place in {step // SMALL[0] for step in points}:
            self._learn(place)

    def _learn(self, place: int) -> None:
        begin = place * SMALL[0]
        held = {step: value for step, value in self.points.items() if begin <= step < begin + SMALL[0]}
        self.known.pop(place, None)
        if held:
            self.known[place] = held


@pytest.mark.usefixtures("small_sizes")
def test_rollups_and_curves_follow_every_history() -> None:
    """DESIGN section 3: rows upserted by (series, step), cut back to the resume step, thinned; rollups follow each."""
    run = settings(max_examples=25, stateful_step_count=12, deadline=None)
    run_state_machine_as_test(SeriesMachine, settings=run)  # type: ignore[no-untyped-call]


def test_a_spike_is_seen_at_every_zoom_and_after_its_point_was_thinned(
    small_sizes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve of means hides what a person looks for, and thinning deletes it."""
    monkeypatch.setattr(saga_module, "POINTS_BETWEEN_TRIMS", 100)
    database = Database(tmp_path / "saga.db", MIGRATIONS)
    saga = Saga(database, BudgetSettings.model_validate({"metric_points": 200}))
    for begin in range(0, 4000, 50):
        steps = range(begin, begin + 50)
        saga.put_points("loss", [(step, 99.0 if step == 333 else 1.0) for step in steps], now=NOW)
    assert 333 not in dict(saga.points("loss", limit=10_000))
    for since, until in ((0, 3999), (0, 1000), (300, 400), (330, 340)):
        curve = saga.curve("loss", since=since, until=until, most=50)
        (place,) = (place for place, high in enumerate(curve.highs) if high == 99.0)
        assert curve.lows[place] == 1.0 < curve.values[place] < 99.0
        assert abs(curve.steps[place] - 333) < curve.resolution
    database.close()


def test_a_curve_does_not_shift_while_it_grows(saga: Saga) -> None:
    """F9: the graph jumped with every step."""
    saga.put_points("loss", [(step, float(step % 13)) for step in range(5000)], now=NOW)
    before = saga.curve("loss", most=500)
    saga.put_points("loss", [(step, 7.0) for step in range(5000, 5060)], now=NOW)
    after = saga.curve("loss", most=500)
    whole = len(before.steps) - 1
    assert after.resolution == before.resolution
    assert (after.steps[:whole], after.values[:whole]) == (before.steps[:whole], before.values[:whole])


def test_rollups_and_points_are_written_together_or_not_at_all(saga: Saga, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill between the two would leave a curve that no point explains."""
    saga.put_points("loss", [(step, 1.0) for step in range(100)], now=NOW)
    before = saga.curve("loss", most=2)

    def fail(*_: object) -> None:
        raise Unavailable("killed here")

    monkeypatch.setattr(saga_series, "_from_finer", fail)
    with pytest.raises(Unavailable):
        saga.put_points("loss", [(step, 5.0) for step in range(90, 200)], now=NOW)
    with pytest.raises(Unavailable):
        saga.cut_back(50)
    assert saga.points("loss") == [(step, 1.0) for step in range(100)]
    assert saga.curve("loss", most=2) == before


def test_a_kill_between_any_two_statements_leaves_rollups_that_fit_their_points(paths: RealmPaths) -> None:
    """Law 4: what is derived must not outlive what it was derived from, whatever is killed whenever."""
    with subprocess.Popen([sys.executable, "-c", BUSY_WRITER, str(paths.base)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(40):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    with open_saga(paths) as saga, saga.db.read() as connection:
        points = connection.execute(sa.select(sa.func.count(), sa.func.sum(metrics.c.value))).one()
        kept = metric_rollups.c
        sums = sa.select(sa.func.sum(kept.points), sa.func.sum(kept.total)).group_by(kept.size)
        rollups = connection.execute(sums).all()
    assert points[0] > 0
    assert [(count, round(total, 6)) for count, total in rollups] == 3 * [(points[0], round(points[1], 6))]


def test_what_there_is_to_draw(saga: Saga) -> None:
    saga.put_series({"loss": [(3, 0.5), (900, 0.25)], "rate": [(7, 0.1)]}, now=NOW)
    assert [(ends.name, ends.first_step, ends.last_step, ends.last_value) for ends in saga.series_ends()] == [
        ("loss", 3, 900, 0.25),
        ("rate", 7, 7, 0.1),
    ]
    assert saga.curve("loss").steps == [3, 900]
    assert saga.curve("loss", since=4, until=899).steps == []
    assert saga.curve("loss", since=901) == Curve("loss", 3, 900, 1, 0)
    assert saga.curve("nothing") == Curve("nothing", None, None, 1, 0)
    with pytest.raises(InvalidInput, match="2 points or more"):
        saga.curve("loss", most=1)


def test_after_damage_the_rollups_are_those_of_the_points_that_could_be_read(paths: RealmPaths) -> None:
    with open_saga(paths) as saga:
        saga.put_points("loss", [(step, float(step)) for step in range(500)], now=NOW)
        with saga.db.write() as connection:
            connection.execute(sa.delete(metric_rollups).where(metric_rollups.c.bucket > 2))
        saga.tell_of_damage()
        with saga.db.read() as connection:
            made = connection.execute(sa.select(sa.func.sum(metric_rollups.c.points)).group_by(metric_rollups.c.size))
            assert made.scalars().all() == [500, 500, 500]


def test_points_of_before_are_rolled_up_when_the_database_is_brought_up_to_date(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(MIGRATIONS, scripts, ignore=shutil.ignore_patterns("schema.sql", "0003_*"))
    old = Database(tmp_path / "saga.db", scripts)
    with old.write() as connection:
        rows = [{"series": "loss", "step": step, "value": 1.0, "at": "x"} for step in range(5000)]
        connection.execute(sa.insert(metrics), rows)
    old.close()
    database = Database(tmp_path / "saga.db", MIGRATIONS)
    curve = Saga(database, BudgetSettings()).curve("loss", most=2)
    database.close()
    assert (curve.points, curve.steps, curve.resolution) == (5000, [4095, 4999], 4096)


# --- events -------------------------------------------------------------------------------------------------------


def test_events_are_found_by_words_kind_and_page(saga: Saga) -> None:
    for number in range(30):
        saga.append("quest_sealed" if number % 3 else "disk_full", f"Tale {number} of 100 % Fire_{number}", now=NOW)
    assert [event.id for event in saga.find_events(limit=3)] == [30, 29, 28]
    assert [event.id for event in saga.find_events(limit=3, before=28)] == [27, 26, 25]
    assert [event.id for event in saga.find_events(limit=3, kinds=["disk_full"], before=28)] == [25, 22, 19]
    both = saga.find_events(limit=4, kinds=["disk_full", "quest_sealed"])
    assert [event.id for event in both] == [30, 29, 28, 27]
    assert [event.id for event in saga.find_events(limit=9, text="fire_2 TALE")] == [
        30,
        29,
        28,
        27,
        26,
        25,
        24,
        23,
        22,
    ][:9]
    assert [event.id for event in saga.find_events(limit=9, text="100 % fire_7")] == [8]
    assert saga.find_events(limit=9, text="e_1 100%") == []
    assert len(saga.find_events(limit=50, text="disk_full")) == 10
    assert saga.find_events(limit=9, kinds=[]) == saga.find_events(limit=9, kinds=["never"]) == []
    assert saga.count_by_kind() == {"disk_full": 10, "quest_sealed": 20}
    newest = saga.newest_of("disk_full")
    assert newest is not None
    assert newest.id == 28
    assert saga.newest_of("never") is None
