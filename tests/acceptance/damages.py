"""Damages to a finished realm, one of each kind that `reckoning.differences` is there to find."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from arena.journal import JOURNAL_NAME
from arena.quests import sidecar_of
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore


def head(paths: RealmPaths) -> Path:
    found = CheckpointStore(paths.current_model).resolve("latest")
    assert found is not None
    return found.path


def a_learned_file(paths: RealmPaths) -> Path:
    return next(path for path in sorted(paths.lane("recently_completed").glob("*.jsonl")) if path.name[0] != ".")


def flip_a_weight(paths: RealmPaths) -> None:
    file = head(paths) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def lose_a_checkpoint_file(paths: RealmPaths) -> None:
    (head(paths) / "optimizer.pt").unlink()


def drop_a_lane_file(paths: RealmPaths) -> None:
    a_learned_file(paths).unlink()


def double_a_lane_file(paths: RealmPaths) -> None:
    file = a_learned_file(paths)
    for path in (file, sidecar_of(file)):
        shutil.copy(path, paths.lane("failed") / path.name)


def strike_rows_off_a_sidecar(paths: RealmPaths) -> None:
    _edit(sidecar_of(a_learned_file(paths)), lambda record: {**record, "rows_learned": record["rows_learned"] - 1})


def call_a_quest_skipped(paths: RealmPaths) -> None:
    _edit(sidecar_of(a_learned_file(paths)), lambda record: {**record, "outcome": "skipped"})


def claim_a_quest_twice(paths: RealmPaths) -> None:
    journal = paths.current_model / JOURNAL_NAME
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    claim = [entry for entry in entries if entry["entry"] == "claim"][-1]
    again = {**claim, "ordinal": claim["ordinal"] + 1, "seq": entries[-1]["seq"] + 1}
    with journal.open("a") as stream:
        stream.write(json.dumps(again) + "\n")


def lose_a_line_of_the_ledger(paths: RealmPaths) -> None:
    name = head(paths).name
    lines = paths.ledger_history.read_text().splitlines()
    paths.ledger_history.write_text("".join(f"{line}\n" for line in lines if name not in line))


def tell_an_end_twice(paths: RealmPaths) -> None:
    again = "INSERT INTO events (at, kind, message, data) SELECT at, kind, message, data FROM events"
    _in_saga(paths, f"{again} WHERE kind = 'quest_learned' ORDER BY id DESC LIMIT 1")


def tell_no_end(paths: RealmPaths) -> None:
    _in_saga(paths, "DELETE FROM events WHERE kind = 'quest_learned'")


def leave_a_staging_directory(paths: RealmPaths) -> None:
    (paths.current_model / ".staging-checkpoint-9").mkdir()


def leave_a_file_in_the_inbox(paths: RealmPaths) -> None:
    (paths.inbox / "forgotten.jsonl").write_text("{}\n")


def lose_a_row_of_the_catalog(paths: RealmPaths) -> None:
    with closing(sqlite3.connect(paths.catalog_db)) as catalog:
        catalog.execute("DELETE FROM locations WHERE path LIKE '%/checkpoint-%'")
        catalog.commit()


def _edit(sidecar: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    sidecar.write_text(json.dumps(change(json.loads(sidecar.read_text()))))


def _in_saga(paths: RealmPaths, statement: str) -> None:
    with closing(sqlite3.connect(paths.saga_db)) as saga:
        saga.execute(statement)
        saga.commit()


NAMED: dict[Callable[[RealmPaths], None], str] = {
    flip_a_weight: "weights differ from those of the undisturbed run",
    lose_a_checkpoint_file: "optimizer.pt is missing",
    drop_a_lane_file: "was dropped once and lies in no lane",
    double_a_lane_file: "was dropped once and lies in",
    strike_rows_off_a_sidecar: "the journal says ('learned', ",
    call_a_quest_skipped: "as skipped, not in recently_completed/ as learned",
    claim_a_quest_twice: "was claimed 2 times",
    lose_a_line_of_the_ledger: "the ledger's history says None, not recorded",
    lose_a_row_of_the_catalog: "is not in the catalog and on the disk",
    tell_an_end_twice: "the saga tells 2 times that it is learned",
    tell_no_end: "and the saga tells of no end",
    leave_a_staging_directory: "current_model/.staging-checkpoint-9 is left over",
    leave_a_file_in_the_inbox: "inbox/forgotten.jsonl was not taken",
}
"""Each damage, and a part of what must be said of it."""
