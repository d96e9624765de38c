"""Damaged files: whatever stands in a file that the realm reads at its start, its parts start, and say which it was."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from arena.command.battle_control import BattleControl
from arena.doorstep.inbox import Inbox
from arena.hall.standing import finish_what_was_begun
from arena.journal import JOURNAL_NAME
from arena.quest_board import QuestBoard
from arena.start_check import read_setup
from arena.supervision.exit_record import EXIT_RECORD, read_exit_record
from arena.supervision.position_file import PositionFile
from core import files
from core.cli import run
from core.errors import Conflict
from core.http.events import EventHub
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.saga import Saga, open_saga
from core.scribe import Scribe
from core.services import write_services
from realm import app, make_daemon
from tests.arena.quest_makers import NOW, take
from watchtower.scrying_pool import ScryingPool

CHECKPOINT = "checkpoint-4-20261121-0930"

WRONG_TYPES: dict[str, Any] = {
    "status": [], "last_status": 7, "reason": {}, "heartbeat_at": 5, "valid_until": {}, "pid": [], "current_step": "x",
    "loss": "x", "progress_percent": "x", "current_file": 7, "paused_at": [], "waiting": "x", "named": 3, "blocked": [],
    "vault": {"url": 5, "port": "x", "pid": "x"}, "checkpoints": {"1": 5, "2": {"step": "x"}}, "superseded": [],
    "generators": {"a": 5, "b": {"passed": "x", "by_validator": 3}}, "total_validations": "x", "last_updated": 3,
    "quest_id": "q_20261121_093000_5f2c1ab7", "strikes": 5, "rows": "x", "attempts": "x", "epochs": {}, "profile": 3,
    "step": "x", "files": {"a": 3}, "version": 1, "clean": "x", "priority": 3, "original_name": [], "what": 3,
}  # fmt: skip

GARBAGE = {
    "empty": b"",
    "torn": b'{"status": "trai',
    "binary": b"\xff\xfe\x00\x80" * 20,
    "list": b"[1, 2]",
    "text": b'"idle"',
    "null": b"null",
    "deep": b"[" * 100_000,
    "long number": b"9" * 6000,
    "wrong types": json.dumps(WRONG_TYPES).encode(),
}

DERIVED = [
    "status/training_status.json",
    "status/battle_status.json",
    "status/inbox_status.json",
    "status/services.json",
    "status/checkpoint_ledger.json",
    "status/checkpoint_history.jsonl",
    "status/data_lineage.json",
    "control/state.json",
    "control/.pause",
    "queue/queue_metadata.json",
    "queue/normal/x.jsonl.meta.json",
    "queue/failed/y.jsonl.meta.json",
    "inbox/z.jsonl.meta.json",
    "current_model/.position",
    f"current_model/{EXIT_RECORD}",
    "current_model/.lock",
    "current_model/HEAD",
    f"current_model/{CHECKPOINT}/.ledger.json",
    f"current_model/{CHECKPOINT}/MANIFEST.json",
    ".realm.lock",
]
"""What can be made anew, or done without."""

UNREAD = ("queue/queue_metadata.json", f"current_model/{CHECKPOINT}/MANIFEST.json")
"""The one is only written, the other is the trainer's, which sets the checkpoint aside."""

NAMED = [name for name in DERIVED if name.endswith(".json") and name not in UNREAD]

LOOKED_AT = [["status"], ["quest", "list"], ["ledger", "list"], ["events"]]
"""Verbs that meet all of it."""

PLANS = [".hero-change.json", "current_model/.turn.json", f"current_model/{JOURNAL_NAME}"]
"""What nothing can stand in for."""


@pytest.fixture
def lived_in(paths: RealmPaths) -> RealmPaths:
    """A realm with something of everything."""
    board = QuestBoard(paths)
    take(board, "x.jsonl")
    failed = take(board, "y.jsonl")
    board.fail(failed.quest_id, outcome="lost", reason="a test", now=NOW)
    board.write_metadata(now=NOW)
    (paths.inbox / "z.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    folder = paths.current_model / CHECKPOINT
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return paths


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga


async def start_parts(paths: RealmPaths, saga: Saga) -> None:
    """All of a start but sites, loops and trainer."""
    ScryingPool(paths).gaze()
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": "realm up"})
    scribe = Scribe()
    daemon = make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
    daemon._recover()
    await daemon.crier.write()
    await daemon.crier.snapshot()
    await scribe.close()
    lock.release()
    write_services(paths, {})
    Inbox(paths.inbox, 0.0, 0.0).scan(1.0)
    position = PositionFile(paths.current_model / ".position")
    position.close()
    read_exit_record(paths.current_model, 41)
    BattleControl(paths.control).write_state("paused", current_file=None, reason=None, now=datetime.now(UTC))


@pytest.mark.parametrize("kind", GARBAGE)
async def test_the_realm_starts_over_any_damaged_file_and_its_verbs_never_break(
    lived_in: RealmPaths,
    saga: Saga,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A14: files that were torn, by whatever, cost what stood in them and nothing else."""
    files._complained.clear()
    for name in DERIVED:
        path = lived_in.base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(GARBAGE[kind])
    for verb in LOOKED_AT:
        code = run(app, ["--base-dir", str(lived_in.base), *verb])
        told = capsys.readouterr()
        assert (code, told.err) == (0, ""), (verb, told)
    with caplog.at_level(logging.WARNING):
        await start_parts(lived_in, saga)
    assert [record.exc_text for record in caplog.records if record.exc_info] == []
    if kind in ("torn", "binary", "deep"):
        named = "\n".join([record.getMessage() for record in caplog.records])
        assert [name for name in NAMED if str(lived_in.base / name) not in named] == []


def prepare(paths: RealmPaths) -> None:
    """What comes first in a start."""
    finish_what_was_begun(paths)
    read_setup(paths, env={})


@pytest.mark.parametrize("kind", ["torn", "binary", "wrong types"])
@pytest.mark.parametrize("name", PLANS)
def test_what_nothing_can_stand_in_for_is_named_and_nothing_starts(lived_in: RealmPaths, name: str, kind: str) -> None:
    """Half a rewind, half a change of heroes or a history with a hole is never guessed at."""
    path = lived_in.base / name
    path.write_bytes(GARBAGE[kind] + b"\n")
    with pytest.raises(Conflict, match=f"{re.escape(str(path))}.* is damaged") as caught:
        prepare(lived_in)
    assert caught.value.hint
