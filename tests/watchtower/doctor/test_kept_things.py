"""The doctor on what the realm keeps: checkpoints, databases, and room for more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.paths import RealmPaths
from tests.watchtower.doctor.patients import NOW, patient, save
from vault.checkpoints import CheckpointStore
from watchtower.doctor.checks import checkpoints, databases, disk
from watchtower.doctor.checkup import Finding


def test_a_torn_present_checkpoint_is_told(paths: RealmPaths) -> None:
    assert checkpoints.check(patient(paths)).message == "there is no checkpoint yet"
    folder = save(paths, 10, NOW)
    assert checkpoints.check(patient(paths)).verdict == "ok"

    (folder / "model.safetensors").write_bytes(b"short")

    found = checkpoints.check(patient(paths))
    assert found.verdict == "failure"
    assert "model.safetensors" in found.message


def test_a_head_that_names_what_is_not_there_is_told_also_when_nothing_is_left(paths: RealmPaths) -> None:
    """A current_model emptied by hand is no fresh realm."""
    first = save(paths, 10, NOW)
    last = save(paths, 20, NOW)
    for folder in (last, first):
        folder.rename(paths.base / folder.name)
        found = checkpoints.check(patient(paths))
        assert (found.verdict, found.message) == ("failure", f"HEAD names {last.name}, which is not there.")


def test_checkpoints_that_no_head_names_are_a_warning(paths: RealmPaths) -> None:
    save(paths, 10, NOW)
    CheckpointStore(paths.current_model).forget_head()

    found = checkpoints.check(patient(paths))

    assert (found.verdict, found.message) == ("warning", "HEAD names none of the 1 checkpoints.")


def test_a_checkpoint_that_was_set_aside_is_a_warning(paths: RealmPaths) -> None:
    old = save(paths, 10, NOW)
    save(paths, 20, NOW)
    CheckpointStore(paths.current_model).quarantine(old.name, ["torn"], now=NOW)

    found = checkpoints.check(patient(paths))

    assert found.verdict == "warning"
    assert f".quarantine-{old.name}" in found.message


def test_a_damaged_database_is_told(paths: RealmPaths) -> None:
    assert databases.check(patient(paths)).verdict == "ok"
    with sqlite3.connect(paths.saga_db) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("y" * 2000,)] * 50)
    connection.close()
    assert databases.check(patient(paths)).verdict == "ok"

    with paths.saga_db.open("r+b") as stream:
        stream.seek(8192)
        stream.write(b"\xff" * 20_000)

    assert databases.check(patient(paths)).verdict == "failure"


@pytest.fixture
def make_saga() -> Callable[[Path], None]:
    def make(file: Path) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE t (x)")
        connection.close()

    return make


@pytest.mark.parametrize("name", ["a#b", "a?mode=rw", "a%41", "a b"])
def test_a_database_is_found_whatever_signs_its_path_has(
    tmp_path: Path, make_saga: Callable[[Path], None], name: str
) -> None:
    """Pasted into a URI, the path of another file was opened, or made."""
    paths = RealmPaths(tmp_path / name)
    paths.create()
    make_saga(paths.saga_db)
    assert databases.check(patient(paths)).verdict == "ok"

    paths.saga_db.write_bytes(b"no database at all" * 100)

    assert "is damaged: file is not a database" in databases.check(patient(paths)).message
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_database_that_cannot_be_opened_is_not_called_damaged(paths: RealmPaths) -> None:
    paths.saga_db.mkdir()

    found = databases.check(patient(paths))

    assert found.verdict == "failure"
    assert "cannot be looked at: " in found.message


def test_a_database_that_was_set_aside_is_a_warning(paths: RealmPaths, make_saga: Callable[[Path], None]) -> None:
    make_saga(paths.saga_db)
    (paths.status / "saga.db.corrupt.20261121T090000000000Z").touch()

    found = databases.check(patient(paths))

    assert found.verdict == "warning"
    assert "saga.db.corrupt.20261121T090000000000Z" in found.message


def test_room_is_wanted_for_the_next_checkpoint_beside_the_present_one(paths: RealmPaths) -> None:
    assert disk.check(patient(paths)).details["wanted_bytes"] == disk.RESERVE_BYTES

    save(paths, 10, NOW, size=4096)

    assert disk.check(patient(paths)).details["wanted_bytes"] == disk.RESERVE_BYTES + 2 * 4096

    save(paths, 20, NOW, size=10, optimizer=False)

    assert disk.check(patient(paths)).details["wanted_bytes"] == disk.RESERVE_BYTES + 2 * 4096, "one of weights alone"


def test_a_disk_with_less_room_than_one_checkpoint_is_a_failure(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before the first one: the queue needs room too."""

    def look(free: int) -> Finding:
        return disk.check(patient(paths), lambda place: SimpleNamespace(free=free))

    assert [look(free).verdict for free in (0, disk.LEAST_BYTES, 1 << 40)] == ["failure", "warning", "ok"]
    assert "realm vault prune --dry-run" in str(look(0).hint)

    save(paths, 10, NOW, size=5000)
    monkeypatch.setattr(disk, "LEAST_BYTES", 1000)

    assert [look(free).verdict for free in (4999, 5000)] == ["failure", "warning"]
