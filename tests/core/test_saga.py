"""The saga: events in order with ids that never come back, metrics by step, both within their budgets."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest

from core import saga as saga_module
from core.db import Database
from core.errors import InvalidInput, Unavailable
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Event, News, Saga, read_saga
from core.saga import open_saga as open_named
from core.settings import BudgetSettings

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.fixture
def open_saga(tmp_path: Path) -> Iterator[Callable[..., Saga]]:
    opened: list[Database] = []

    def open_one(**budgets: int) -> Saga:
        opened.append(Database(tmp_path / "saga.db", MIGRATIONS))
        return Saga(opened[-1], BudgetSettings.model_validate(budgets))

    yield open_one
    for database in opened:
        database.close()


@pytest.fixture
def saga(open_saga: Callable[..., Saga]) -> Saga:
    return open_saga()


def tell(saga: Saga, count: int) -> list[Event]:
    return [saga.append("tick", f"tick {number}", now=NOW) for number in range(count)]


# --- events ---------------------------------------------------------------------------------------------------


def test_an_event_is_read_back_as_it_was_told(saga: Saga) -> None:
    event = saga.append("quest_done", "x.jsonl is learned ☃", now=NOW, data={"rows": 20, "deep": [{"a": None}]})
    assert event.to_json() == {
        "id": 1,
        "at": "2026-11-21T09:30:00+00:00",
        "kind": "quest_done",
        "message": "x.jsonl is learned ☃",
        "data": {"rows": 20, "deep": [{"a": None}]},
    }
    assert saga.events_after(0) == [event]


def test_events_survive_the_end_of_the_process(open_saga: Callable[..., Saga]) -> None:
    first = open_saga()
    told = tell(first, 3)
    first.db.close()
    again = open_saga()
    assert again.events_after(0) == told
    assert again.append("tick", "next", now=NOW).id == 4


def test_nan_in_event_data_becomes_null(saga: Saga) -> None:
    """F23: NaN in an event broke every page that replayed it."""
    told = saga.append("loss", "odd", now=NOW, data={"loss": float("nan"), "all": [float("inf")]})
    (read,) = saga.events_after(0)
    assert told == read
    assert json.loads(json.dumps(read.to_json(), allow_nan=False))["data"] == {"loss": None, "all": [None]}


def test_times_are_stored_in_utc(saga: Saga) -> None:
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    assert saga.append("tick", "x", now=berlin).at == "2026-11-21T09:30:00+00:00"


def test_events_after_an_id_come_oldest_first_and_in_pages(saga: Saga) -> None:
    tell(saga, 10)
    assert [event.id for event in saga.events_after(4)] == [5, 6, 7, 8, 9, 10]
    assert [event.id for event in saga.events_after(4, limit=2)] == [5, 6]
    assert saga.events_after(10) == []


def test_latest_events_are_the_newest_in_order(saga: Saga) -> None:
    tell(saga, 10)
    assert [event.id for event in saga.latest_events(3)] == [8, 9, 10]


def test_a_viewer_of_a_saga_that_was_lost_gets_the_new_one_from_its_start(saga: Saga) -> None:
    """Ids begin anew when a corrupt database was replaced; an open page must not wait for id 5000."""
    tell(saga, 2)
    assert [event.id for event in saga.events_after(5000)] == [1, 2]


def test_a_subscriber_hears_each_event_after_commit_until_it_leaves(saga: Saga) -> None:
    heard: list[tuple[Event, list[Event]]] = []
    leave = saga.subscribe(lambda event: heard.append((event, saga.latest_events(1))))
    told = tell(saga, 2)
    leave()
    leave()
    tell(saga, 1)
    assert heard == [(event, [event]) for event in told]


def test_subscribers_hear_events_of_many_threads_in_the_order_of_their_ids(saga: Saga) -> None:
    """A viewer asks for "all after id N": an id heard too early makes it miss the one before."""
    heard: list[int] = []
    second_was_heard = threading.Event()

    def slow_on_the_first(event: Event) -> None:
        if event.id == 1:
            second_was_heard.wait(0.3)
        heard.append(event.id)
        if event.id == 2:
            second_was_heard.set()

    saga.subscribe(slow_on_the_first)
    threads = [threading.Thread(target=tell, args=(saga, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == list(range(1, 41))


def test_a_broken_subscriber_harms_neither_the_event_nor_the_others(
    saga: Saga, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []

    def broken(event: Event) -> None:
        raise ValueError("broken listener")

    saga.subscribe(broken)
    saga.subscribe(lambda event: heard.append(event.id))
    assert saga.append("tick", "x", now=NOW).id == 1
    assert heard == [1]
    assert [record.__dict__["event"] for record in caplog.records] == ["listener_failed"]


# --- metrics --------------------------------------------------------------------------------------------------


def test_points_come_back_in_order_of_steps(saga: Saga) -> None:
    saga.put_points("loss", [(3, 0.3), (1, 0.1)], now=NOW)
    saga.put_points("loss", [(2, 0.2)], now=NOW)
    saga.put_points("val_loss", [(2, 9.0)], now=NOW)
    saga.put_points("empty", [], now=NOW)
    assert saga.points("loss") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert saga.points("loss", since=2) == [(2, 0.2), (3, 0.3)]
    assert saga.series_names() == ["loss", "val_loss"]
    assert saga.points("nothing") == []


def test_a_replayed_step_replaces_its_point(saga: Saga) -> None:
    saga.put_points("loss", [(1, 0.1), (2, 0.2)], now=NOW)
    saga.put_points("loss", [(2, 0.25), (2, 0.26)], now=NOW)
    assert saga.points("loss") == [(1, 0.1), (2, 0.26)]


def test_non_finite_values_are_no_points(saga: Saga) -> None:
    """F23: a NaN loss is unknown, and unknown is absent."""
    saga.put_points("loss", [(1, float("nan")), (2, float("inf")), (3, 0.3)], now=NOW)
    assert saga.points("loss") == [(3, 0.3)]


def test_cut_back_forgets_what_is_trained_again(saga: Saga) -> None:
    for series in ("loss", "grad_norm", "val_loss"):
        saga.put_points(series, [(step, 1.0) for step in range(1, 11)], now=NOW)
    saga.cut_back(7, ["loss", "grad_norm"])
    assert [saga.points(name)[-1] for name in saga.series_names()] == [(7, 1.0), (7, 1.0), (10, 1.0)]
    saga.cut_back(3)
    assert {saga.points(name)[-1] for name in saga.series_names()} == {(3, 1.0)}
    saga.cut_back(0, [])
    assert saga.points("loss")[-1] == (3, 1.0)


@pytest.mark.parametrize("count", [2, 49, 50, 51, 99, 1000, 5003])
def test_long_series_are_thinned_evenly_with_first_and_last(saga: Saga, count: int) -> None:
    saga.put_points("loss", [(step, float(step)) for step in range(1, count + 1)], now=NOW)
    points = saga.points("loss", limit=50)
    steps = [step for step, _ in points]
    assert len(points) == min(count, 50)
    assert (steps[0], steps[-1]) == (1, count)
    assert all(value == step for step, value in points)
    gaps = {later - earlier for earlier, later in pairwise(steps)}
    assert max(gaps) - min(gaps) <= 1


def test_thinning_copes_with_gaps_in_the_steps(saga: Saga) -> None:
    steps = [*range(100), *range(100_000, 100_100)]
    saga.put_points("loss", [(step, 1.0) for step in steps], now=NOW)
    thinned = [step for step, _ in saga.points("loss", limit=20)]
    assert thinned == sorted(set(thinned))
    assert set(thinned) <= set(steps)
    assert (thinned[0], thinned[-1]) == (0, 100_099)
    assert len(thinned) <= 20


def test_fewer_than_two_points_cannot_be_asked_for(saga: Saga) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        saga.points("loss", limit=1)


# --- budgets --------------------------------------------------------------------------------------------------


def test_trim_keeps_the_newest_events_of_the_budget(open_saga: Callable[..., Saga]) -> None:
    """A21: events grew without bound."""
    saga = open_saga(events=100)
    tell(saga, 130)
    assert saga.trim() == 30
    assert [event.id for event in saga.events_after(0)] == list(range(31, 131))
    assert saga.trim() == 0


def test_ids_of_trimmed_events_never_come_back(open_saga: Callable[..., Saga]) -> None:
    saga = open_saga(events=100)
    tell(saga, 130)
    saga.trim()
    assert tell(saga, 1)[0].id == 131


def test_events_are_trimmed_without_anybody_calling_trim(
    open_saga: Callable[..., Saga], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A22: a cleanup function existed and was never called."""
    monkeypatch.setattr(saga_module, "EVENTS_BETWEEN_TRIMS", 50)
    saga = open_saga(events=100)
    for _ in range(10):
        tell(saga, 50)
        assert len(saga.events_after(0, limit=1000)) <= 100


@pytest.mark.parametrize("together", [7, 50, 64])
def test_events_told_together_are_trimmed_too(
    open_saga: Callable[..., Saga], monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """A22, law 9: whichever id of a batch it is that calls for a trim."""
    monkeypatch.setattr(saga_module, "EVENTS_BETWEEN_TRIMS", 50)
    saga = open_saga(events=100)
    for number in range(1 + 600 // together):
        saga.append_all([News("x", f"{number} {each}") for each in range(together)], now=NOW)
        assert len(saga.events_after(0, limit=1000)) <= 100 + 50 + together


def test_events_told_together_keep_their_order_and_are_heard_one_by_one(open_saga: Callable[..., Saga]) -> None:
    saga = open_saga()
    heard: list[Event] = []
    saga.subscribe(heard.append)
    told = saga.append_all([News("x", str(number), {"number": number}) for number in range(30)], now=NOW)
    assert [event.id for event in told] == list(range(1, 31))
    assert [event.message for event in told] == [str(number) for number in range(30)]
    assert heard == told == saga.events_after(0)
    assert saga.append_all([], now=NOW) == []


def test_several_series_are_written_in_one_go(open_saga: Callable[..., Saga]) -> None:
    saga = open_saga()
    saga.put_series({"loss": [(1, 0.5), (2, float("nan"))], "rate": [(1, 0.1)], "empty": []}, now=NOW)
    assert (saga.points("loss"), saga.points("rate")) == ([(1, 0.5)], [(1, 0.1)])
    assert saga.series_names() == ["loss", "rate"]


def test_metrics_are_trimmed_without_anybody_calling_trim(
    open_saga: Callable[..., Saga], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A21, A22: a metric series grew without bound."""
    monkeypatch.setattr(saga_module, "POINTS_BETWEEN_TRIMS", 100)
    saga = open_saga(metric_points=200)
    for start in range(0, 3000, 50):
        saga.put_points("loss", [(step, 1.0) for step in range(start, start + 50)], now=NOW)
        assert len(saga.points("loss", limit=10_000)) <= 200 + 100


def test_a_full_series_is_thinned_in_its_older_half_only(open_saga: Callable[..., Saga]) -> None:
    saga = open_saga(metric_points=100)
    saga.put_points("loss", [(step, float(step)) for step in range(120)], now=NOW)
    saga.put_points("short", [(step, 1.0) for step in range(100)], now=NOW)
    assert saga.trim() == 30
    steps = [step for step, _ in saga.points("loss")]
    assert steps == [*range(0, 60, 2), *range(60, 120)]
    assert len(saga.points("short")) == 100


def test_trimming_gives_the_room_on_disk_back(open_saga: Callable[..., Saga], tmp_path: Path) -> None:
    """A22: SQLite never vacuumed."""
    saga = open_saga(events=100)
    for number in range(300):
        saga.append("big", "x" * 10_000, now=NOW, data={"number": number})
    saga.trim()
    saga.db.close()
    assert (tmp_path / "saga.db").stat().st_size < 2_000_000


# --- opening ----------------------------------------------------------------------------------------------------------


def test_a_damaged_database_that_was_set_aside_is_the_first_event_of_the_new_one(paths: RealmPaths) -> None:
    """All events and charts were gone from the page, and only a line of the log said why."""
    paths.saga_db.write_bytes(b"this is no database " * 500)
    with open_named(paths) as saga:
        saga.append("realm_up", "The realm is up", now=NOW)
    with open_named(paths) as saga:
        told, up = saga.events_after(0)
    (aside,) = paths.status.glob("saga.db.corrupt.*")
    assert (told.kind, up.kind) == ("database_corrupt", "realm_up")
    assert aside.name in told.message
    assert told.data == {"moved_to": str(aside)}


def test_damage_that_is_met_while_it_is_told_and_read_costs_what_cannot_be_read_and_is_told(paths: RealmPaths) -> None:
    """DESIGN section 3: until somebody restarted the realm, every event and every point of a chart failed."""
    with open_named(paths) as saga:
        saga.append_all([News("tick", f"{number} " + "x" * 100) for number in range(2000)], now=NOW)
        saga.put_points("train_loss", [(step, 1.0) for step in range(5000)], now=NOW)
        saga.db.close()
    with open_named(paths) as saga:
        pages = paths.saga_db.stat().st_size // 4096
        with paths.saga_db.open("r+b") as file:
            file.seek(pages // 4 * 4096)
            file.write(b"\xaa" * 200)
        with pytest.raises(Unavailable, match="malformed"):
            saga.events_after(0, 10_000)
        events = saga.events_after(0, 10_000)
        assert [event.kind for event in events if event.kind != "tick"] == ["database_corrupt"]
        assert events[-1].kind == "database_corrupt"
        assert 1000 < len(events) < 2001
        assert f"{len(events) - 1} events and 5000 points of charts could be read" in events[-1].message
        assert len(saga.points("train_loss", limit=10_000)) == 5000
        assert saga.append("tick", "on it goes", now=NOW).id == events[-1].id + 1


def test_who_only_reads_leaves_a_damaged_database_where_it_is(paths: RealmPaths) -> None:
    """`realm events` renamed it away under the running daemon, which went on writing into the file set aside."""
    damaged = b"this is no database " * 500
    paths.saga_db.write_bytes(damaged)
    with pytest.raises(Unavailable, match=r"saga\.db cannot be opened"), read_saga(paths):
        pass
    assert [(file.name, file.read_bytes()) for file in paths.status.iterdir()] == [("saga.db", damaged)]


def test_who_only_reads_neither_makes_nor_changes_a_database(paths: RealmPaths) -> None:
    with pytest.raises(Unavailable, match="There is no database"), read_saga(paths):
        pass
    assert list(paths.status.iterdir()) == []

    with open_named(paths) as saga:
        saga.append("tick", "once", now=NOW)
        with read_saga(paths) as beside:
            assert [event.message for event in beside.events_after(0)] == ["once"]
            with pytest.raises(Unavailable, match="readonly"):
                beside.append("tick", "twice", now=NOW)
    with sqlite3.connect(paths.saga_db) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    with pytest.raises(Unavailable, match="of another version"), read_saga(paths):
        pass


def test_an_event_that_the_disk_does_not_take_stands_in_the_log(saga: Saga, caplog: pytest.LogCaptureFixture) -> None:
    """`realm down` on a full disk ended the realm in order, and with exit code 1."""
    saga.db.close()
    saga.tell([News("realm_down", "The realm ends: Ctrl-C")], now=NOW)
    assert "realm_down: The realm ends: Ctrl-C" in caplog.text
