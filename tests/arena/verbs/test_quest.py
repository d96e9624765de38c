"""`realm quest …`: the verbs as the command line calls them, alone and beside a living realm."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from arena.doorstep.quest_drop import drop_quest
from arena.quest_board import QuestBoard
from arena.quests import sidecar_of
from arena.routes import training_routes
from arena.verbs.board_client import board_action, remove_all
from arena.verbs.quest import quest_app
from core.cli import Choices
from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.files import Files
from core.http.access import Access
from core.http.site import Site, make_app
from core.http.tokens import ensure_token
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.services import write_services
from tests.arena.quest_makers import NOW, everything_in, make_realm, take


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    return make_realm(tmp_path / "realm")


def quest(paths: RealmPaths, *arguments: str, as_json: bool = False) -> Result:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=paths, as_json=as_json)

    app.add_typer(quest_app(), name="quest")
    return CliRunner().invoke(app, ["quest", *arguments], env={"COLUMNS": "200"})


def refused(paths: RealmPaths, *arguments: str) -> RealmError:
    error = quest(paths, *arguments).exception
    assert isinstance(error, RealmError)
    return error


# --- add ------------------------------------------------------------------------------------------------------------


def test_added_files_lie_whole_in_the_inbox_with_their_lineage(paths: RealmPaths, tmp_path: Path) -> None:
    """C4: the sidecar goes along."""
    file = tmp_path / "x.jsonl"
    file.write_text("row\n")
    sidecar_of(file).write_text('{"generator_id": "manual"}')
    result = quest(paths, "add", str(file), "--priority", "high")
    assert (result.exit_code, result.stdout) == (0, "x.jsonl lies in inbox/high/\n")
    assert everything_in(paths.inbox) == ["high/x.jsonl", "high/x.jsonl.meta.json"]
    assert file.exists()


def test_a_file_of_the_same_name_in_the_inbox_is_not_overwritten(paths: RealmPaths, tmp_path: Path) -> None:
    """C1: two files of one name both survive, also before the daemon has seen the first."""
    file = tmp_path / "x.jsonl"
    for content in ("one\n", "two\n", "three\n"):
        file.write_text(content)
        assert quest(paths, "add", str(file)).exit_code == 0
    folder = paths.inbox / "normal"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "x.jsonl": "one\n",
        "x_2.jsonl": "two\n",
        "x_3.jsonl": "three\n",
    }


def test_what_cannot_be_a_quest_is_refused_before_it_is_copied(paths: RealmPaths, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "x.jsonl").touch()
    assert isinstance(refused(paths, "add", str(tmp_path / "nothing.jsonl")), NotFound)
    assert "name must end in .jsonl, .jsonl.gz" in str(refused(paths, "add", str(tmp_path / "notes.txt")))
    assert "name must end in .jsonl, .jsonl.gz" in str(refused(paths, "add", str(tmp_path / "folder.jsonl")))
    assert "no priority 'urgent'" in str(refused(paths, "add", str(tmp_path / "x.jsonl"), "--priority", "urgent"))
    assert isinstance(refused(paths, "add", str(tmp_path / "x.jsonl"), str(tmp_path / "nothing.jsonl")), NotFound)
    assert everything_in(paths.inbox) == [], "all of them or none"


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_full_disk_leaves_nothing_behind(paths: RealmPaths, tmp_path: Path, call: str) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files = type("Full", (Files,), {call: refuse})()
    (tmp_path / "x.jsonl").write_text("row\n")
    with pytest.raises(Unavailable, match="No space left"):
        drop_quest(paths, tmp_path / "x.jsonl", files=files)
    assert everything_in(paths.inbox) == []


# --- list and show --------------------------------------------------------------------------------------------------


def test_the_list_shows_every_quest_and_what_is_unchecked(paths: RealmPaths) -> None:
    board = QuestBoard(paths)
    waiting = take(board, "waiting.jsonl", "high")
    board.fail(take(board, "bad.jsonl").quest_id, outcome="refused", reason="line 1", now=NOW)
    (paths.lane("low") / "by\x1b[2Jhand.jsonl").write_text("row\n")
    shown = quest(paths, "list")
    assert shown.exit_code == 0
    assert waiting.quest_id in shown.stdout
    assert "refused" in shown.stdout
    assert "\x1b[2J" not in shown.stdout
    rows = json.loads(quest(paths, "list", "--lane", "failed", as_json=True).stdout)["quests"]
    assert [(row["file"], row["reason"]) for row in rows] == [("bad.jsonl", "line 1")]
    assert "no lane 'lost'" in str(refused(paths, "list", "--lane", "lost"))


def test_an_empty_board_says_what_to_do(paths: RealmPaths) -> None:
    assert "realm quest add" in quest(paths, "list").stdout


def test_one_quest_is_shown_by_name_or_id_with_its_story(paths: RealmPaths) -> None:
    found = take(QuestBoard(paths), "x.jsonl", generator_id="manual")
    story = json.loads(quest(paths, "show", found.quest_id, as_json=True).stdout)
    assert (story["file"], story["lane"], story["lineage"]) == ("x.jsonl", "normal", {"generator_id": "manual"})
    assert found.quest_id in quest(paths, "show", "x.jsonl").stdout
    assert isinstance(refused(paths, "show", "y.jsonl"), NotFound)
    assert isinstance(refused(paths, "show", "../x.jsonl"), InvalidInput)


# --- what a level-up made stale -------------------------------------------------------------------------------------

LEVELS: dict[str, dict[str, Any]] = {
    "old": {"params": {"skill": "sy", "level": 2}},
    "older": {"skill": "SYLLO", "level": "1"},  # the skill's older name, and a level as text
    "many": {"params": {"skill": "sy", "levels": [1, 2]}},
    "mixed": {"params": {"skill": "sy", "levels": [2, 3]}},
    "present": {"params": {"skill": "sy", "level": 3}},
    "other": {"params": {"skill": "bin", "level": 1}},
    "nameless": {"params": {"level": 1}},
    "unknown": {"params": {"skill": "sy", "level": "low"}},
    "plain": {},
}


def test_waiting_quests_for_levels_that_are_over_are_removed_at_once_and_listed(paths: RealmPaths) -> None:
    """C20: after a level-up, stale low-level files in the queue kept training the old level."""
    board = QuestBoard(paths)
    for name, lineage in LEVELS.items():
        take(board, f"{name}.jsonl", "low" if name == "old" else "normal", **lineage)
    failed = take(board, "failed.jsonl", **LEVELS["old"])
    board.fail(failed.quest_id, outcome="refused", reason="bad", now=NOW)
    result = quest(paths, "remove", "--skill", "syllo", "--below-level", "3", as_json=True)
    assert result.exit_code == 0
    assert sorted(json.loads(result.stdout)["removed"]) == ["many.jsonl", "old.jsonl", "older.jsonl"]
    left = {row["file"].removesuffix(".jsonl") for row in QuestBoard(paths).listing()}
    assert left == LEVELS.keys() - {"many", "old", "older"} | {"failed"}
    again = quest(paths, "remove", "--skill", "sy", "--below-level", "3")
    assert "No waiting quest was made for a level of sy below 3" in again.stdout


def test_removing_many_needs_both_skill_and_level_and_no_name(paths: RealmPaths) -> None:
    take(QuestBoard(paths), "x.jsonl", **LEVELS["old"])
    for arguments in (
        [],
        ["--skill", "sy"],
        ["--below-level", "9"],
        ["x.jsonl", "--skill", "sy", "--below-level", "9"],
    ):
        assert quest(paths, "remove", *arguments).exit_code == 2
    assert QuestBoard(paths).counts()["total_queued"] == 1


# --- verbs that change the board ------------------------------------------------------------------------------------


def test_without_a_realm_the_verbs_act_themselves(paths: RealmPaths) -> None:
    """C6: a failed quest has a way back that is not `mv`."""
    board = QuestBoard(paths)
    take(board, "x.jsonl", "low")
    moved = quest(paths, "move", "x.jsonl", "high", as_json=True)
    assert json.loads(moved.stdout) == {"success": True, "action": "move", "quest": "x.jsonl"}
    found = board.find("x.jsonl")
    assert found is not None
    assert found.lane == "high"
    board.fail(found.quest_id, outcome="withdrawn", reason="three strikes", now=NOW)
    assert quest(paths, "retry", "x.jsonl").stdout == "x.jsonl waits again\n"
    assert board.next_waiting() is not None
    assert quest(paths, "remove", "x.jsonl").exit_code == 0
    assert everything_in(paths.queue) == []
    assert isinstance(refused(paths, "remove", "x.jsonl"), NotFound)
    assert isinstance(refused(paths, "move", "x.jsonl", "urgent"), InvalidInput)
    assert InstanceLock.holder(paths.lock) is None


def test_a_realm_without_its_api_is_not_worked_around(paths: RealmPaths) -> None:
    """Law 4: while a realm lives, its daemon is the one writer of the lanes."""
    board = QuestBoard(paths)
    take(board, "x.jsonl")
    lock = InstanceLock(paths.lock)
    lock.acquire({"version": "0", "base_dir": str(paths.base)})
    try:
        assert isinstance(refused(paths, "remove", "x.jsonl"), Unavailable)
        write_services(paths, {"vault": {"url": "http://127.0.0.1:9", "port": 9, "pid": os.getpid()}})
        assert "does not answer" in str(refused(paths, "remove", "x.jsonl"))
    finally:
        lock.release()
    assert board.find("x.jsonl") is not None


class Keeper:
    """The part of the daemon that these verbs reach, on a real board."""

    def __init__(self, board: QuestBoard) -> None:
        self.board = board
        self.asked: list[tuple[str, str, str | None]] = []

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        self.asked.append((action, quest, priority))
        if action == "move":
            self.board.move(quest, str(priority))
        elif action == "remove":
            return {"success": True, "action": action, "quest": self.board.remove(quest).name}
        else:
            self.board.retry(quest, now=datetime.now(UTC))
        return {"success": True, "action": action, "quest": quest}

    async def status(self) -> dict[str, Any]:
        return {}

    async def queue(self) -> dict[str, Any]:
        return self.board.queue_view()

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        raise Conflict("not here")


@pytest.fixture
async def keeper(paths: RealmPaths) -> AsyncIterator[Keeper]:
    keeper = Keeper(QuestBoard(paths))
    # A realm beyond loopback: the verbs show the token of its base directory by themselves.
    access = Access(ensure_token(paths.token_file))
    app = make_app(training_routes(keeper), service="vault", health=dict, access=access)
    site = Site(app, "127.0.0.1", 0, "vault")
    lock = InstanceLock(paths.lock)
    lock.acquire({"version": "0", "base_dir": str(paths.base)})
    await site.start()
    write_services(paths, {"vault": {"url": site.url, "port": site.port, "pid": os.getpid()}})
    yield keeper
    await site.stop()
    lock.release()


async def test_beside_a_living_realm_the_verbs_ask_it(keeper: Keeper) -> None:
    paths = keeper.board.paths
    take(keeper.board, "x.jsonl", "low")
    moved = await asyncio.to_thread(board_action, paths, "move", "x.jsonl", "high")
    assert moved == {"success": True, "action": "move", "quest": "x.jsonl"}
    found = keeper.board.find("x.jsonl")
    assert found is not None
    keeper.board.fail(found.quest_id, outcome="refused", reason="", now=NOW)
    await asyncio.to_thread(board_action, paths, "retry", "x.jsonl")
    await asyncio.to_thread(board_action, paths, "remove", "x.jsonl")
    assert keeper.asked == [("move", "x.jsonl", "high"), ("retry", "x.jsonl", None), ("remove", "x.jsonl", None)]
    assert everything_in(paths.queue) == []


async def test_beside_a_living_realm_stale_quests_are_removed_by_it_and_what_it_claimed_stays(keeper: Keeper) -> None:
    """C20, and B1: two hands on one board."""
    paths = keeper.board.paths
    stale = [take(keeper.board, f"{number}.jsonl", **LEVELS["old"]).quest_id for number in range(3)]
    claimed = keeper.board.claim(keeper.board.quests("normal")[1])
    removed = await asyncio.to_thread(remove_all, paths, [*stale, "q_20200101_000000_00000000"])
    assert removed == ["0.jsonl", "2.jsonl"]
    assert keeper.board.processing() == claimed


async def test_a_program_without_the_token_is_told_where_it_is_read_from(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = keeper.board.paths
    paths.token_file.unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(paths.base))
    with pytest.raises(RealmError, match=r"wants its token.*REALM_TOKEN"):
        await asyncio.to_thread(board_action, paths, "remove", "x.jsonl")
    assert keeper.asked == []


async def test_what_the_realm_refuses_is_the_same_error_here(keeper: Keeper) -> None:
    paths = keeper.board.paths
    with pytest.raises(NotFound, match=r"no quest x\.jsonl"):
        await asyncio.to_thread(board_action, paths, "remove", "x.jsonl")
    running = keeper.board.claim(take(keeper.board, "x.jsonl"))
    with pytest.raises(Conflict, match="processing") as caught:
        await asyncio.to_thread(board_action, paths, "remove", running.quest_id)
    assert caught.value.details["lane"] == "processing"
    with pytest.raises(InvalidInput, match="retry, remove, move"):
        await asyncio.to_thread(board_action, paths, "burn", "x.jsonl")
