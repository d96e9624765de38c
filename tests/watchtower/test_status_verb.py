"""`realm status` over the files of a realm that is up or down."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from arena.doorstep.inbox import ORPHAN_SIDECAR
from arena.quest_board import QuestBoard
from core.cli import Choices
from core.errors import NotFound
from core.instance import REALM_UP, InstanceLock
from core.paths import RealmPaths
from core.status_files import write_status
from tests.arena.quest_makers import NOW, learn, take
from watchtower.status_cli import status


def shown(paths: RealmPaths, *, as_json: bool) -> str:
    """What `realm status` prints."""
    app = typer.Typer()
    app.callback(invoke_without_command=True)(status)
    result = CliRunner().invoke(app, obj=Choices(paths=paths, as_json=as_json))
    if isinstance(result.exception, NotFound):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_status_names_what_is_left_lying_also_when_the_realm_is_down(paths: RealmPaths) -> None:
    for name in ("good.jsonl", "holiday.png", "x.jsonl.meta.json"):
        (paths.inbox / name).write_bytes(b'{"text": "once"}\n')
    text = shown(paths, as_json=False)
    assert "inbox       1 waiting, 2 left lying:\n" in text
    assert f"    x.jsonl.meta.json: {ORPHAN_SIDECAR}" in text
    told = json.loads(shown(paths, as_json=True))["inbox"]
    assert (told["waiting"], told["left_lying"]) == (1, 2)


def test_status_believes_the_daemon_which_knows_what_is_held_back(paths: RealmPaths) -> None:
    named = [{"file": "x.jsonl", "reason": "it could not be taken in yet and stays: no"}]
    report = {"waiting": 3, "left_lying": 12, "named": named, "blocked": "Files stay in the inbox"}
    write_status(paths.inbox_status, report, now=datetime.now(UTC), valid_for=60)
    text = shown(paths, as_json=False)
    for line in ("3 waiting, 12 left lying:", "x.jsonl: it could not", "and 11 more", "Files stay in the inbox"):
        assert line in text
    assert json.loads(shown(paths, as_json=True))["inbox"] == report


def test_a_directory_that_is_not_there_is_no_realm_that_is_down(tmp_path: Path) -> None:
    """A typing error in --base-dir must not look like a realm that lost everything."""
    with pytest.raises(NotFound, match="There is no directory"):
        shown(RealmPaths(tmp_path / "typo"), as_json=False)


def test_a_realm_that_was_never_started_has_nothing_in_its_inbox(tmp_path: Path) -> None:
    assert "inbox       0 waiting\n" in shown(RealmPaths(tmp_path), as_json=False)


def test_a_verb_that_holds_the_lock_is_not_taken_for_a_realm(paths: RealmPaths) -> None:
    """Law 7: a rewind in a second terminal showed as a realm that is up."""
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": "realm rewind 100"})
    try:
        text, told = shown(paths, as_json=False), json.loads(shown(paths, as_json=True))
    finally:
        lock.release()
    assert f"is down\n  at work     realm rewind 100 (pid {os.getpid()})\n" in text
    assert (told["realm"], told["at_work"]) == ("down", "realm rewind 100")

    lock.acquire({"what": REALM_UP})
    told = json.loads(shown(paths, as_json=True))
    lock.release()
    assert (told["realm"], told["pid"], told["at_work"]) == ("up", os.getpid(), None)


def test_status_shows_the_quests_of_every_lane(paths: RealmPaths) -> None:
    """Law 7: quests that awaited their seal, or had been skipped, were in no line."""
    board = QuestBoard(paths)
    take(board, "waits.jsonl", "high")
    for name, outcome in (("awaits.jsonl", "learned"), ("learned.jsonl", "learned"), ("dull.jsonl", "skipped")):
        quest = learn(board, take(board, name), outcome)
        if name != "awaits.jsonl":
            board.seal([quest.quest_id], now=NOW)
    board.claim(board.waiting(1)[0])
    text = shown(paths, as_json=False)
    assert "waiting     0 high, 0 normal, 0 low\n" in text
    assert "taken up    1, 1 more await their seal\n" in text
    assert "completed   1, failed 0, skipped 1\n" in text
