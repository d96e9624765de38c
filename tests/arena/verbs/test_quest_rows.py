"""`realm quest rows`: which line was learned how well, when, and which checkpoints hold it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.rowbook import SUFFIX
from arena.rowbook.row_book import Claimed, RowBook
from arena.verbs.quest import quest_app
from core.checkpoint_ledger import CheckpointLedger
from core.cli import Choices
from core.errors import NotFound
from core.paths import RealmPaths
from tests.arena.gatekeepers.scroll_making import chat
from tests.arena.quest_makers import make_realm, take
from tests.core.ledger_making import save

ROWS = 6


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    return make_realm(tmp_path / "realm")


@pytest.fixture
def quest(paths: RealmPaths) -> Quest:
    rows = [json.dumps(chat(f"It is {number}.", f"What is {number}?\x1b[2J")) for number in range(ROWS)]
    return take(QuestBoard(paths), "sums.jsonl", content="\n\n".join(rows))


def write_book(paths: RealmPaths, quest: Quest, **changes: str) -> None:
    """Two epochs of two steps of three rows each; the last step is not made."""
    told = {"content_hash": quest.record.content_hash, **changes}
    book = RowBook(Claimed(bytes(16), 1, ROWS, told["content_hash"]))
    book.note(np.array([0, 2, 4]), np.array([3.0, 2.0, 1.0], dtype=np.float32), 101, first=True)
    book.note(np.array([1, 3, 5]), np.array([5.0, 4.0, 6.0], dtype=np.float32), 102, first=True)
    book.note(np.array([0, 1, 2]), np.array([0.5, 2.5, 0.25], dtype=np.float32), 103, first=False)
    paths.row_books.mkdir(exist_ok=True)
    book.write(paths.row_books / f"{quest.quest_id}{SUFFIX}")


def show(paths: RealmPaths, *arguments: str, as_json: bool = True) -> Result:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=paths, as_json=as_json)

    app.add_typer(quest_app(), name="quest")
    return CliRunner().invoke(app, ["quest", "rows", *arguments], env={"COLUMNS": "200"})


def test_the_worst_rows_are_told_with_line_losses_and_checkpoints(paths: RealmPaths, quest: Quest) -> None:
    write_book(paths, quest)
    for step in (50, 101, 103):
        save(paths, step)
    CheckpointLedger.of(paths).reconcile()

    told = json.loads(show(paths, quest.name, "--worst", "3").stdout)

    assert (told["quest_id"], told["lane"], told["rows"], told["rows_learned"]) == (quest.quest_id, "normal", 6, 6)
    assert (told["first_step"], told["last_step"]) == (101, 103)
    assert (told["mean_first_loss"], told["mean_last_loss"]) == (
        3.5,
        pytest.approx((0.5 + 2.5 + 0.25 + 4 + 1 + 6) / 6, abs=1e-4),
    )
    assert [(row["row"], row["line"], row["last_loss"]) for row in told["worst"]] == [
        (6, 11, 6.0),
        (4, 7, 4.0),
        (2, 3, 2.5),
    ]
    learned_twice = told["worst"][2]
    assert (learned_twice["first_loss"], learned_twice["first_step"], learned_twice["last_step"]) == (5.0, 102, 103)
    assert learned_twice["first_checkpoint"] == "checkpoint-103-20261121-0930"
    assert json.loads(show(paths, quest.name).stdout)["worst"][-1]["first_checkpoint"] == "checkpoint-101-20261121-0930"
    assert learned_twice["preview"] == "What is 1?\x1b[2J → It is 1."


def test_what_no_checkpoint_holds_is_unknown(paths: RealmPaths, quest: Quest) -> None:
    write_book(paths, quest)
    save(paths, 101)
    CheckpointLedger.of(paths).reconcile()
    [worst] = json.loads(show(paths, quest.quest_id, "--worst", "1").stdout)["worst"]
    assert (worst["line"], worst["first_checkpoint"], worst["last_checkpoint"]) == (11, None, None)


def test_people_get_a_table_that_cannot_steer_their_terminal(paths: RealmPaths, quest: Quest) -> None:
    write_book(paths, quest)
    shown = show(paths, quest.name, as_json=False).stdout
    assert "sums.jsonl: 6 of 6 rows are learned, in steps 101 to 103; mean loss 3.5000 at first" in shown
    assert "What is 5?␛[2J → It is 5." in shown
    assert "\x1b" not in shown


def test_without_figures_nothing_is_made_up(paths: RealmPaths, quest: Quest) -> None:
    """Law 7: neither a quest that was never learned nor one whose file is another by now has figures."""
    for prepare in (lambda: None, lambda: write_book(paths, quest, content_hash="ef" * 32)):
        prepare()
        failed = show(paths, quest.name)
        assert isinstance(failed.exception, NotFound)
        assert "Nothing is on record of the rows of sums.jsonl" in str(failed.exception)
    assert isinstance(show(paths, "absent.jsonl").exception, NotFound)
