"""`hero use`: the present model goes into the archive whole, a hero who has trained comes back as he was."""

from __future__ import annotations

import os
import shutil
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from arena.hall.archives import list_archives
from arena.hall.changing import Changed, change_hero
from arena.hall.open_quests import clear_open_quests
from arena.hall.standing import finish_what_was_begun, standing_still
from arena.journal import JOURNAL_NAME, read_history
from arena.quest_board import QuestBoard
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.errors import Conflict, InvalidInput, NotFound
from core.paths import CHECKOUT, RealmPaths
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings
from core.settings_reading import load_settings
from core.shell.config_file import change_settings
from tests.arena.annals.past import NOW, Past, folder_names, lanes_of, run_until_killed, snapshot
from tests.arena.test_heroes import write_hero

USE = """
import sys
from datetime import datetime
from pathlib import Path
from arena.hall.changing import change_hero
from arena.hall.standing import standing_still
from core.paths import RealmPaths
paths = RealmPaths(Path(sys.argv[1]))
with standing_still(paths, "a test"):
    now = datetime.fromisoformat(sys.argv[3])
    change_hero(paths, sys.argv[2], now=now, clear=list, fresh="fresh" in sys.argv[4:])
"""
RECIPE = yaml.safe_load((CHECKOUT / "configs" / "heroes" / "seedling.yaml").read_text())["recipe"]


@pytest.fixture
def past(paths: RealmPaths) -> Past:
    """A trained seedling with two checkpoints, and another hero who never trained."""
    shutil.copyfile(CHECKOUT / "configs" / "realm.yaml", paths.config_file)
    write_hero(paths, "mira", base_model="seedling", recipe=RECIPE)
    past = Past(paths)
    past.learn("first")
    past.save()
    past.learn("second")
    past.save()
    return past


def use(paths: RealmPaths, hero: str, *, requeue: bool = False, **options: Any) -> Changed | None:
    clear = partial(clear_open_quests, paths, requeue=requeue, now=NOW)
    with standing_still(paths, "a test"):
        return change_hero(paths, hero, now=NOW, clear=clear, **options)


def model_of(snapped: dict[str, bytes], root: str) -> dict[str, bytes]:
    """The files of one model, without the notes that an archive adds."""
    files = {path.removeprefix(f"{root}/"): data for path, data in snapped.items() if path.startswith(f"{root}/")}
    return {path: data for path, data in files.items() if path not in ("ARCHIVE.json", "series.json")}


def test_the_model_goes_into_the_archive_whole_and_comes_back_as_it_was(past: Past, paths: RealmPaths) -> None:
    """A17: what was cleared away for another model is still there, file by file."""
    before = model_of(snapshot(paths), "current_model")
    done = use(paths, "mira")
    assert done is not None
    archive = f"archive/{done.archived}"
    assert done.archived == "seedling-20261121T093000Z"
    assert (done.hero, done.restored, done.step) == ("mira", None, 0)
    assert model_of(snapshot(paths), archive) == before
    assert folder_names(paths.current_model) == [".lock"] or folder_names(paths.current_model) == []
    assert CheckpointLedger.of(paths).list_all() == []
    assert f"archived in {paths.archive}" in paths.ledger_history.read_text()
    assert load_settings(paths.config_file).hero == "mira"
    (told,) = list_archives(paths)
    assert (told.hero, told.step, told.quests_learned) == ("seedling", 10, 2)

    back = use(paths, "seedling")
    assert back is not None
    assert (back.restored, back.archived, back.step) == (done.archived, None, 10)
    assert model_of(snapshot(paths), "current_model") == before
    assert [record.step for record in CheckpointLedger.of(paths).list_all()] == [10, 5]
    assert list_archives(paths) == []
    assert use(paths, "seedling") is None


def test_of_several_archives_the_latest_comes_back_unless_one_is_named(past: Past, paths: RealmPaths) -> None:
    first = use(paths, "seedling", fresh=True)
    younger = Past(paths)
    younger.learn("third")
    younger.save()
    second = use(paths, "mira")
    assert first is not None
    assert second is not None
    assert [archive.name for archive in list_archives(paths)] == [f"{first.archived}-2", first.archived]
    latest = use(paths, "seedling")
    assert latest is not None
    assert (latest.restored, latest.step) == (second.archived, 5)
    oldest = use(paths, "seedling", archive=first.archived)
    assert oldest is not None
    assert (oldest.step, oldest.archived) == (10, second.archived)
    with pytest.raises(NotFound, match="hero list"):
        use(paths, "seedling", archive="seedling-19990101T000000Z")
    with pytest.raises(Conflict, match="of seedling, not of mira"):
        use(paths, "mira", archive=second.archived)


def test_the_settings_keep_their_comments_and_locked_ones_go_with_their_model(past: Past, paths: RealmPaths) -> None:
    """The hero is changed in place; what was set for the old model neither bends the new one nor is forgotten."""
    # What `tiny_hero` trains with, as if the user had set it here.
    change_settings(paths.config_file, {"hyperparams.max_length": 256, "hyperparams.batch_size": 4})
    before = paths.config_file.read_text()
    done = use(paths, "mira")
    assert done is not None
    assert done.settings == {"hyperparams.max_length": None}
    after = paths.config_file.read_text()
    assert paths.config_file.with_name("realm.yaml.bak").read_text() == before
    assert [line for line in after.splitlines() if "#" in line] == [
        line for line in before.splitlines() if "#" in line and not line.startswith("#hero")
    ]
    settings = load_settings(paths.config_file)
    assert (settings.hero, settings.hyperparams.max_length, settings.hyperparams.batch_size) == ("mira", None, 4)
    change_settings(paths.config_file, {"hyperparams.max_length": 512})
    use(paths, "seedling")
    assert load_settings(paths.config_file).hyperparams.max_length == 256


def test_a_wish_for_the_new_model_is_kept(past: Past, paths: RealmPaths) -> None:
    """The locked settings are unlocked: the error of `check_locked` leads here, and its way out must work."""
    change_settings(paths.config_file, {"hyperparams.max_length": 512})
    done = use(paths, "seedling", fresh=True)
    assert done is not None
    assert done.settings == {}
    assert load_settings(paths.config_file).hyperparams.max_length == 512


def test_charts_go_with_their_model(past: Past, paths: RealmPaths) -> None:
    db = Database(paths.saga_db, MIGRATIONS)
    saga = Saga(db, BudgetSettings())
    points = [(step, 1.0 / step) for step in range(1, 11)]
    saga.put_points("train_loss", points, now=NOW)
    use(paths, "mira")
    assert saga.series_names() == []
    saga.put_points("train_loss", [(1, 9.0)], now=NOW)
    use(paths, "seedling")
    assert saga.points("train_loss") == points
    assert [event.kind for event in saga.latest_events(5)] == ["hero_changed", "hero_changed"]
    db.close()


def test_open_quests_are_named_or_queued_for_the_next_hero(past: Past, paths: RealmPaths) -> None:
    """Law 1, law 3: no file is lost to a model that is not there, and the archived journal claims nothing it lacks."""
    past.learn("unsealed", lane="awaiting_seal")
    past.begin("running")
    before = snapshot(paths)
    with pytest.raises(Conflict, match=r"running\.jsonl, unsealed\.jsonl") as refused:
        use(paths, "mira")
    assert "--requeue" in str(refused.value)
    assert snapshot(paths) == before
    done = use(paths, "mira", requeue=True)
    assert done is not None
    assert done.requeued == ["unsealed.jsonl", "running.jsonl"]
    assert [quest.name for quest in QuestBoard(paths).waiting(5)] == done.requeued
    archived = read_history(paths.archive / str(done.archived) / JOURNAL_NAME)
    assert [claim.name for claim in archived.claims.values()] == ["first.jsonl", "second.jsonl"]


def test_what_a_checkpoint_covers_already_is_sealed_and_not_queued_again(past: Past, paths: RealmPaths) -> None:
    """The daemon was killed before it heard of the checkpoint."""
    past.learn("covered", lane="awaiting_seal")
    past.begin("half")
    past.step_on(2)
    past.save()
    done = use(paths, "mira", requeue=True)
    assert done is not None
    assert done.requeued == ["half.jsonl"]
    assert ("covered.jsonl", "learned") in lanes_of(paths)["recently_completed"]
    archived = read_history(paths.archive / str(done.archived) / JOURNAL_NAME)
    assert archived.outcome_of(4) == "rewound"
    assert archived.rows_learned(4) == 8


def test_a_quest_that_a_killed_realm_left_among_those_that_wait_is_open_all_the_same(
    past: Past, paths: RealmPaths
) -> None:
    """Law 3: the trainer was told of it, and the realm killed before it moved; the next hero learned it once more."""
    past.learn("covered", lane="normal", outcome=None, rows_learned=None, attempts=0)
    past.begin("half", lane="normal", attempts=0)
    past.step_on(2)
    past.save()
    with pytest.raises(Conflict, match=r"half\.jsonl"):
        use(paths, "mira")
    done = use(paths, "mira", requeue=True)
    assert done is not None
    assert done.requeued == ["half.jsonl"]
    assert ("covered.jsonl", "learned") in lanes_of(paths)["recently_completed"]


def test_a_hero_who_does_not_exist_or_has_no_model_changes_nothing(past: Past, paths: RealmPaths) -> None:
    write_hero(paths, "lost", base_model="nowhere")
    before = snapshot(paths)
    with pytest.raises(NotFound, match="Did you mean mira"):
        use(paths, "mirra")
    with pytest.raises(InvalidInput, match="no model 'nowhere'"):
        use(paths, "lost")
    assert snapshot(paths) == before


def test_settings_that_went_astray_are_brought_back_without_touching_the_model(past: Past, paths: RealmPaths) -> None:
    """B31: two sources disagreed about who trains. The journal decides whose model it is."""
    change_settings(paths.config_file, {"hero": "mira"})
    before = model_of(snapshot(paths), "current_model")
    done = use(paths, "seedling")
    assert done is not None
    assert (done.archived, done.restored, done.step) == (None, None, 10)
    assert load_settings(paths.config_file).hero == "seedling"
    assert model_of(snapshot(paths), "current_model") == before


def test_a_realm_that_never_trained_leaves_no_empty_archive(paths: RealmPaths) -> None:
    write_hero(paths, "mira", base_model="seedling", recipe=RECIPE)
    done = use(paths, "mira")
    assert done is not None
    assert done.archived is None
    assert folder_names(paths.archive) == []


KILLED_AT = ("hero.planned", "hero.chosen", "hero.archived", "hero.restored")


@pytest.mark.parametrize(("point", "to"), [*product(KILLED_AT, ["new", "archived"]), ("hero.planned", "same")])
def test_a_change_that_is_killed_is_finished_by_the_next_start(
    past: Past, paths: RealmPaths, point: str, to: str
) -> None:
    """A14, B31: settings, model, archive and ledger name one hero, and no model is in two places or in none."""
    seedling = model_of(snapshot(paths), "current_model")
    if to == "archived":
        use(paths, "mira")
        mira = Past(paths, hero="mira")
        mira.learn("third")
        mira.save()
    there = model_of(snapshot(paths), "current_model")
    goal = "mira" if to == "new" else "seedling"
    assert run_until_killed(USE, point, str(paths.base), goal, NOW.isoformat(), "fresh" if to == "same" else "")
    finish_what_was_begun(paths)
    assert not paths.hero_change.exists()
    after = snapshot(paths)
    assert load_settings(paths.config_file).hero == goal
    (archive,) = list_archives(paths)
    assert model_of(after, f"archive/{archive.name}") == there
    assert model_of(after, "current_model") == (seedling if to == "archived" else {})
    ledger = CheckpointLedger.of(paths)
    assert len(ledger.list_all()) == (2 if to == "archived" else 0)
    assert ledger.verify(lambda folder, *, deep: []) == {}


def test_a_model_on_a_file_system_of_its_own_is_refused_before_anything_is_changed(
    past: Past, paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A rename is whole or not at all; a copy that is cut off is neither."""
    elsewhere = Path("/dev/shm") / f"realm-archive-{os.getpid()}"
    assert elsewhere.parent.stat().st_dev != paths.base.stat().st_dev, "/dev/shm must be a file system of its own"
    elsewhere.mkdir()
    try:
        paths.archive.symlink_to(elsewhere)
        before = snapshot(paths)
        with pytest.raises(Conflict, match="file system of its own"):
            use(paths, "mira")
        assert snapshot(paths) == before
    finally:
        shutil.rmtree(elsewhere)
