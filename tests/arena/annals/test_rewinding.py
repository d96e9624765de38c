"""`rewind`: HEAD goes back, the later part is kept on a branch, and the quests that are undone are named."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from arena.annals.rewinding import Rewinder, Rewound
from arena.annals.turning import is_turning
from arena.hall.standing import finish_what_was_begun, standing_still
from arena.journal import JOURNAL_NAME, ClaimEntry, Genesis, read_history
from arena.quest_board import QuestBoard
from arena.quests import read_sidecar
from arena.supervision.position_file import Phase, PositionFile, read_position
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.errors import Conflict, NotFound
from core.files import Files
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga, open_saga
from core.settings import BudgetSettings
from realm import app
from tests.arena.annals.past import NOW, Past, folder_names, lanes_of, run_until_killed, snapshot, write_record
from vault.checkpoints import CheckpointStore

REWIND = """
import sys
from datetime import datetime
from pathlib import Path
from arena.annals.rewinding import Rewinder
from arena.hall.standing import standing_still
from core.paths import RealmPaths
paths = RealmPaths(Path(sys.argv[1]))
with standing_still(paths, "a test"):
    Rewinder(paths).rewind(sys.argv[2], now=datetime.fromisoformat(sys.argv[3]), requeue=sys.argv[4] == "requeue")
"""


@pytest.fixture
def past(paths: RealmPaths) -> Past:
    """Three sealed quests of five steps; checkpoints after the first, in the second, and after the third."""
    past = Past(paths)
    past.learn("first")
    past.save(loss=0.5)
    past.begin("second", lane="recently_completed", outcome="learned", rows_learned=20)
    past.step_on(2)
    past.save()
    past.step_on()
    past.learn("third")
    past.save(loss=0.9)
    return past


def rewind(paths: RealmPaths, reference: str, *, requeue: bool = False, dry_run: bool = False) -> Rewound | None:
    with standing_still(paths, "a test"):
        return Rewinder(paths).rewind(reference, now=NOW, requeue=requeue, dry_run=dry_run)


def names(past: Past) -> list[str]:
    return [found.name for found in past.store.list()]


def test_what_came_after_is_undone_told_and_kept_on_a_branch(past: Past, paths: RealmPaths) -> None:
    """A10, D17: the greatest step is not the present one; A1: the ledger shows what is there, and tells why."""
    after_first, inside, newest = names(past)
    before = past.journal.path.read_bytes()
    done = rewind(paths, "5")
    assert done is not None
    assert (done.checkpoint, done.step, done.from_checkpoint, done.from_step) == (after_first, 5, newest, 15)
    assert [(quest.file, quest.rows_undone, quest.rows_kept, quest.queued_as) for quest in done.undone] == [
        ("second.jsonl", 20, 0, None),
        ("third.jsonl", 20, 0, None),
    ]
    assert past.store.head() == after_first
    assert names(past) == [after_first]
    assert [found.name for found in past.store.branches()] == [inside, newest]
    assert past.store.newest_valid()[0] == past.store.resolve(after_first)
    ledger = CheckpointLedger.of(paths)
    assert [record.canonical_name for record in ledger.list_all()] == [after_first]
    assert f"went back to step 5 ({after_first})" in paths.ledger_history.read_text()
    # Nothing is ever taken out of the journal: the branch is told in its lines.
    assert past.journal.path.read_bytes().startswith(before)
    assert lanes_of(paths) == {
        "failed": [("third.jsonl", "rewound"), ("second.jsonl", "rewound")],
        "recently_completed": [("first_20261121_093000.jsonl", "learned")],
    }
    sidecar = read_sidecar(paths.lane("failed") / "third.jsonl")
    assert sidecar is not None
    assert sidecar.rows_learned == 0
    assert "went back to step 5" in str(sidecar.reason)


def test_undone_quests_are_queued_again_in_the_order_of_learning_and_before_what_waits(
    past: Past, paths: RealmPaths
) -> None:
    """C5: each is a new claim, without the story of the old one."""
    done = rewind(paths, "5", requeue=True)
    assert done is not None
    assert [quest.found for quest in done.undone] == [True, True]
    board = QuestBoard(paths)
    first, second = board.waiting(10)
    # By their own times the files lie the other way round.
    assert [first.name, second.name] == ["second.jsonl", "third.jsonl"]
    assert [quest.quest_id for quest in (first, second)] == [quest.queued_as for quest in done.undone]
    assert first.record.lineage["retry_of"] == done.undone[0].quest_id
    assert (first.record.attempts, first.record.outcome, first.record.rows_learned) == (0, None, None)
    assert read_history(past.journal.path).ordinal_of(first.quest_id) is None


def test_weights_alone_are_no_place_to_go_back_to(past: Past, paths: RealmPaths) -> None:
    """Training went on from an older one then, and learned again what was there of the data in between."""
    bare = past.save(optimizer=False)
    past.learn("fourth")
    past.save()
    with pytest.raises(Conflict, match="holds weights only"):
        rewind(paths, bare)


def test_pruning_first_finishes_a_rewind_that_was_cut_off(past: Past, paths: RealmPaths) -> None:
    """A24: it deleted the checkpoint that the journal had gone back to, and no realm came up any more."""
    newest = names(past)[-1]
    rewind(paths, "5")
    assert run_until_killed(REWIND, "journal.written", str(paths.base), newest, NOW.isoformat(), "no")
    paths.config_file.write_text("retention: {branches: 0, min_age_hours: 0}\n")
    pruned = CliRunner().invoke(app, ["--base-dir", str(paths.base), "--json", "vault", "prune"])
    assert pruned.exit_code == 0, pruned.output
    assert past.store.head() == newest
    assert names(past)[-1] == newest
    assert past.store.newest_valid()[0] == past.store.resolve(newest)


def test_a_checkpoint_within_a_quest_cuts_it_there_or_lets_it_go_on(past: Past, paths: RealmPaths) -> None:
    inside = names(past)[1]
    told = rewind(paths, inside, dry_run=True)
    assert told is not None
    assert [(quest.rows_undone, quest.rows_kept) for quest in told.undone] == [(12, 8), (20, 0)]
    assert names(past)[-1] == past.store.head()
    going_on = rewind(paths, inside, requeue=True)
    assert going_on is not None
    assert [quest.queued_as == quest.quest_id for quest in going_on.undone] == [True, False]
    history = read_history(past.journal.path)
    assert list(history.claims) == [1, 2]
    assert (history.ends, history.steps_of(2)) == ({}, 5)
    assert lanes_of(paths)["processing"] == [("second.jsonl", None)]
    # Said again without it, the quest ends where the checkpoint stands.
    rewind(paths, "base")
    assert read_history(past.journal.path).claims == {}
    assert past.store.head() is None
    rewind(paths, inside)
    history = read_history(past.journal.path)
    assert (history.outcome_of(2), history.rows_learned(2)) == ("rewound", 8)
    assert read_sidecar(paths.lane("failed") / "second.jsonl").rows_learned == 8  # type: ignore[union-attr]


def test_the_branch_that_was_left_can_be_returned_to(past: Past, paths: RealmPaths) -> None:
    newest = names(past)[-1]
    before = read_history(past.journal.path)
    rewind(paths, "5")
    other = past.go_on()
    other.learn("fourth")
    fourth = other.save()
    returned = rewind(paths, newest)
    assert returned is not None
    assert [quest.file for quest in returned.undone] == ["fourth.jsonl"]
    assert returned.redone == ["second.jsonl", "third.jsonl"]
    history = read_history(past.journal.path)
    assert (history.claims, history.ends, history.genesis) == (before.claims, before.ends, before.genesis)
    assert past.store.head() == newest
    assert len(names(past)) == 3
    assert [found.name for found in past.store.branches()] == [fourth]
    assert sorted(name for name, _ in lanes_of(paths)["recently_completed"]) == [
        "first_20261121_093000.jsonl", "second.jsonl", "third.jsonl",
    ]  # fmt: skip
    rewind(paths, fourth)
    assert past.store.head() == fourth
    assert read_history(past.journal.path).claims[2].name == "fourth.jsonl"


def test_where_the_hero_stands_already_there_is_nothing_to_undo(past: Past, paths: RealmPaths) -> None:
    before = snapshot(paths)
    assert rewind(paths, "latest") is None
    assert snapshot(paths) == before
    past.learn("unsaved", lane="awaiting_seal")
    done = rewind(paths, "latest")
    assert done is not None
    assert [quest.file for quest in done.undone] == ["unsaved.jsonl"]
    assert done.left_behind == []


def test_the_best_and_the_beginning_are_places_to_go_back_to(past: Past, paths: RealmPaths) -> None:
    best = rewind(paths, "best", dry_run=True)
    base = rewind(paths, "base", dry_run=True)
    assert best is not None
    assert base is not None
    assert (best.step, base.step, base.checkpoint) == (5, 0, None)
    assert len(base.undone) == 3


def test_a_skipped_quest_stays_skipped_and_a_missing_file_is_told(past: Past, paths: RealmPaths) -> None:
    past.begin("dull", lane="failed", outcome="skipped", reason="dull", rows_learned=4)
    past.step_on(1)
    past.skip()
    past.learn("gone")
    for path in paths.lane("recently_completed").glob("gone*"):
        path.unlink()
    past.save()
    done = rewind(paths, "15", requeue=True)
    assert done is not None
    assert [(quest.file, quest.outcome, quest.found, quest.queued_as) for quest in done.undone] == [
        ("dull.jsonl", "skipped", True, None),
        ("gone.jsonl", "learned", False, None),
    ]
    record = read_sidecar(paths.lane("failed") / "dull.jsonl")
    assert record is not None
    assert (record.outcome, record.rows_learned) == ("skipped", 0)
    assert "normal" not in lanes_of(paths)


@pytest.mark.parametrize("reference", ["100", "checkpoint_100", "../up", "checkpoint-5", "best of all"])
def test_only_exactly_what_is_named_is_gone_back_to(paths: RealmPaths, reference: str) -> None:
    """A29: 100 is not the beginning of 1000."""
    past = Past(paths)
    past.learn("long", 4000)
    past.save()
    before = snapshot(paths)
    with pytest.raises(NotFound, match="no checkpoint"):
        rewind(paths, reference)
    assert snapshot(paths) == before


def test_a_torn_checkpoint_and_one_of_another_history_are_refused(past: Past, paths: RealmPaths) -> None:
    """Law 2: a checkpoint is whole or absent; ADR 0002: it continues only the journal it was trained from."""
    torn, foreign, _ = names(past)
    (past.store.root / torn / "model.safetensors").write_text("torn")
    with pytest.raises(Conflict, match=r"not whole: model\.safetensors"):
        rewind(paths, torn)
    lines = past.journal.path.read_bytes().splitlines(keepends=True)
    past.journal.path.write_bytes(lines[0].replace(b"0" * 64, b"1" * 64) + b"".join(lines[1:]))
    with pytest.raises(Conflict, match="not trained in the history"):
        rewind(paths, foreign)
    assert past.store.head() == names(past)[-1]


def test_a_model_that_has_learned_nothing_has_no_way_back(paths: RealmPaths) -> None:
    with pytest.raises(Conflict, match="learned nothing yet"):
        rewind(paths, "latest")


def test_what_comes_next_is_no_replay_and_strikes_count_again(past: Past, paths: RealmPaths) -> None:
    """The furthest position was reached on a branch: steps from here on are made for the first time."""
    position = PositionFile(paths.current_model / ".position")
    position.write(Phase.STEPPING, 3, 4)
    position.close()
    rewind(paths, names(past)[1], requeue=True)
    told = read_position(paths.current_model / ".position")
    assert told is not None
    assert (told.furthest_ordinal, told.furthest_step, told.phase) == (2, 1, Phase.EXITED)


def test_charts_end_where_the_hero_stands_and_the_saga_tells_of_it(past: Past, paths: RealmPaths) -> None:
    db = Database(paths.saga_db, MIGRATIONS)
    saga = Saga(db, BudgetSettings())
    saga.put_points("train_loss", [(step, 1.0) for step in range(1, 16)], now=NOW)
    rewind(paths, "5")
    assert [step for step, _ in saga.points("train_loss")] == [1, 2, 3, 4, 5]
    assert [event.kind for event in saga.latest_events(5)] == ["rewound"]
    db.close()


def test_a_disk_that_refuses_the_journal_line_leaves_everything_as_it_was(past: Past, paths: RealmPaths) -> None:
    class FullDisk(Files):
        def append_line(
            self, path: Path, line: bytes, *, durable: bool, create: bool = True, cut_to: int | None = None
        ) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = snapshot(paths)
    with pytest.raises(OSError, match="No space"):
        Rewinder(paths, FullDisk()).rewind("5", now=NOW, requeue=True)
    assert snapshot(paths) == before


KILLED_AT = (
    "turn.planned",
    "journal.before",
    "journal.written",
    "turn.head",
    "turn.branched",
    "turn.quests",
    "move.linked:2",
)


@pytest.mark.parametrize("point", KILLED_AT)
def test_a_rewind_that_is_killed_is_finished_by_the_next_start_or_never_happened(
    past: Past, paths: RealmPaths, point: str
) -> None:
    """A14: journal, HEAD, branches, ledger and lanes never tell different stories."""
    before = snapshot(paths)
    assert run_until_killed(REWIND, point, str(paths.base), "7", NOW.isoformat(), "requeue")
    assert is_turning(paths)
    finish_what_was_begun(paths)
    QuestBoard(paths).sweep(now=NOW)
    assert not is_turning(paths)
    if point in ("turn.planned", "journal.before"):
        assert snapshot(paths) == before
        return
    inside = names(past)[-1]
    assert (past.store.head(), inside) == (inside, "checkpoint-7-20261121-0907")
    assert len(past.store.branches()) == 1
    assert [record.step for record in CheckpointLedger.of(paths).list_all()] == [7, 5]
    assert CheckpointLedger.of(paths).verify(lambda folder, *, deep: []) == {}
    assert lanes_of(paths) == {
        "normal": [("third.jsonl", None)],
        "processing": [("second.jsonl", None)],
        "recently_completed": [("first_20261121_093000.jsonl", "learned")],
    }
    assert list(read_history(past.journal.path).claims) == [1, 2]


def test_a_turn_that_is_finished_twice_is_told_once(past: Past, paths: RealmPaths) -> None:
    with open_saga(paths) as saga:
        assert run_until_killed(REWIND, "turn.quests", str(paths.base), "7", NOW.isoformat(), "no")
        finish_what_was_begun(paths, saga)
        assert [event.kind for event in saga.latest_events(5)] == ["rewound"]


def test_a_plan_that_is_found_after_the_history_went_on_moves_nothing_back(past: Past, paths: RealmPaths) -> None:
    assert run_until_killed(REWIND, "turn.head", str(paths.base), "5", NOW.isoformat(), "no")
    later = past.go_on()
    later.learn("fourth")
    head = later.save()
    finish_what_was_begun(paths)
    assert past.store.head() == head
    assert ("second.jsonl", "rewound") in lanes_of(paths)["failed"]


def test_a_quest_that_was_claimed_and_never_begun_makes_room_for_the_one_that_goes_on(
    past: Past, paths: RealmPaths
) -> None:
    file = paths.lane("processing") / "next.jsonl"
    file.write_text('{"text": "x"}\n')
    other = read_sidecar(paths.lane("recently_completed") / "third_20261121_093000.jsonl")
    assert other is not None
    fresh = replace(other.again("q_20261121_100000_00000001", "high", now=NOW), original_name="next.jsonl")
    write_record(file, fresh)
    rewind(paths, names(past)[1], requeue=True)
    assert lanes_of(paths)["high"] == [("next.jsonl", None)]
    assert lanes_of(paths)["processing"] == [("second.jsonl", None)]


def test_a_second_realm_or_a_trainer_keeps_the_history_as_it_is(past: Past, paths: RealmPaths) -> None:
    """B1: one writer; the one who works there is named, with what to do."""
    with standing_still(paths, "ledger adopt x"), pytest.raises(Conflict, match=r"realm ledger adopt x") as refused:
        rewind(paths, "5")
    assert str(os.getpid()) in str(refused.value)
    assert "realm down" not in str(refused.value), "that is for a realm; here it says nothing of use"
    assert folder_names(paths.current_model / "branches") == []


def test_the_journal_remembers_what_it_was_like_at_every_line(past: Past, paths: RealmPaths) -> None:
    """Law 3: however often it goes back, the history is a function of the journal's lines."""
    stories = []
    for turn in range(12):
        stories.append(read_history(past.journal.path))
        rewind(paths, "5" if turn % 2 == 0 else "latest")
        other = past.go_on()
        other.learn(f"try{turn}")
        other.save()
    history = read_history(paths.current_model / JOURNAL_NAME)
    for story in stories:
        assert history.as_of(story.seq).claims == story.claims
        assert history.as_of(story.seq).genesis == story.genesis
    assert isinstance(history.genesis, Genesis)
    assert all(isinstance(claim, ClaimEntry) for claim in history.claims.values())
    assert CheckpointStore(paths.current_model).head() == past.go_on().cursor.checkpoint
