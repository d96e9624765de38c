"""The chronicle over a real history: every version in order, what differs between two, and the way back to one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from arena.annals.learned import learned_in
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, NotFound
from core.paths import RealmPaths
from realm import Realm, app
from tests.arena.annals.past import NOW, Past
from vault.archivist import Archivist
from vault.chronicle import Chronicle
from vault.keeper import VaultKeeper


@pytest.fixture
def past(paths: RealmPaths) -> Past:
    """Three quests of five steps; checkpoints after the first, inside the second, and after the third."""
    past = Past(paths)
    past.learn("first")
    past.save(loss=0.5)
    past.begin("second", lane="recently_completed", outcome="learned", rows_learned=20)
    past.step_on(2)
    past.save()
    past.step_on()
    past.learn("third")
    past.save(loss=0.3)
    CheckpointLedger.of(paths).reconcile()
    return past


def chronicle(paths: RealmPaths) -> Chronicle:
    return Realm(paths.base).vault.chronicle


def run(paths: RealmPaths, *arguments: str) -> Any:
    result = CliRunner().invoke(app, ["--base-dir", str(paths.base), "--json", "ledger", *arguments])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_version_stays_in_the_history_wherever_its_files_are(past: Past, paths: RealmPaths) -> None:
    """A1: what is gone is told of as gone, with its reason, and keeps its number."""
    first, inside, newest = chronicle(paths).read_history()
    assert [each.version for each in (first, inside, newest)] == ["v001", "v002", "v003"]
    assert [(each.record.step, each.where) for each in (first, inside, newest)] == [
        (5, "kept"),
        (7, "kept"),
        (15, "present"),
    ]
    shutil.rmtree(paths.current_model / inside.name)
    CheckpointLedger.of(paths).reconcile()
    Realm(paths.base).vault.chronicle.restore_chapter("v001")
    told = {each.version: (each.where, each.path is None) for each in chronicle(paths).read_history()}
    assert told == {"v001": ("present", False), "v002": ("gone", True), "v003": ("branch", False)}
    gone = chronicle(paths).find("v002")
    assert (gone.gone_because, gone.record.step) == ("not on disk", 7)


@pytest.mark.parametrize(
    ("reference", "version"), [("v2", "v002"), ("7", "v002"), ("latest", "v003"), ("best", "v003")]
)
def test_a_version_is_found_by_all_its_names(past: Past, paths: RealmPaths, reference: str, version: str) -> None:
    """A27, A29: 7 is not 75."""
    assert chronicle(paths).find(reference).version == version
    for wrong in ("v9", "75", "v0", "", "checkpoint-1"):
        with pytest.raises(NotFound):
            chronicle(paths).find(wrong)


def test_two_versions_are_compared_by_numbers_files_configuration_and_what_they_have_learned(
    past: Past, paths: RealmPaths
) -> None:
    """G15: weights without their story are just weights."""
    names = [each.name for each in past.store.list()]
    for name, layers in ((names[0], 3), (names[2], 4)):
        (paths.current_model / name / "config.json").write_text(json.dumps({"layers": layers, "rope": {"theta": 7}}))
    told = chronicle(paths).compare("v001", "v003")
    numbers = {each.name: (each.first, each.second, each.change) for each in told.numbers}
    assert numbers["step"] == (5, 15, 10)
    assert numbers["train_loss"][:2] == (0.5, 0.3)
    assert [(each.name, each.first, each.second) for each in told.config] == [("config.layers", 3, 4)]
    assert told.learned_by_both == 1
    assert told.learned_by_first == []
    assert [(each["file"], each["rows"], each["outcome"]) for each in told.learned_by_second] == [
        ("second.jsonl", 20, "learned"), ("third.jsonl", 20, "learned"),
    ]  # fmt: skip
    assert told.files["changed"]
    same = chronicle(paths).compare("v003", "v003")
    assert (same.numbers, same.config, same.learned_by_both, same.files["changed"]) == ([], [], 3, [])


def test_what_a_version_inside_a_quest_has_learned_ends_there(past: Past, paths: RealmPaths) -> None:
    first, inside = chronicle(paths).get_lineage("7")
    assert (first["outcome"], inside["outcome"]) == ("learned", "in progress")
    assert 0 < inside["rows"] < 20
    assert inside["settings"]["epochs"] == 1
    assert learned_in(paths.base) == []


def test_a_version_whose_files_are_gone_is_compared_by_its_numbers_alone(past: Past, paths: RealmPaths) -> None:
    first, *_ = past.store.list()
    shutil.rmtree(first.path)
    told = chronicle(paths).compare("v001", "v003")
    assert {each.name for each in told.numbers} >= {"step", "train_loss"}
    assert (told.config, told.learned_by_both) == ([], 0)
    assert not any(told.files.values())
    with pytest.raises(Conflict, match="are not in"):
        chronicle(paths).restore_chapter("v001")


def test_going_back_to_a_version_is_a_rewind_with_its_answer(past: Past, paths: RealmPaths) -> None:
    """There is one way to take history back."""
    done = chronicle(paths).restore_chapter("v001")
    assert (done["rewound"], done["step"], len(done["undone"])) == (True, 5, 2)
    assert past.store.head() == chronicle(paths).find("v001").name
    again = chronicle(paths).restore_chapter("v003")
    assert (again["step"], again["redone"]) == (15, ["second.jsonl", "third.jsonl"])
    with pytest.raises(Conflict, match="for reading only"):
        Chronicle(paths).restore_chapter("v003")


def test_a_version_that_was_lost_is_brought_back_from_its_backup_and_gone_back_to(
    past: Past, paths: RealmPaths
) -> None:
    """The backup, the branch and the rewind are one way back."""
    first, *_ = past.store.list()
    with VaultKeeper(paths.base) as keeper:
        Archivist(keeper).seal(first.name, now=NOW)
        shutil.rmtree(first.path)
        Archivist(keeper).restore("5", now=NOW)
    assert chronicle(paths).find("v001").where == "branch"
    assert chronicle(paths).restore_chapter("v001")["step"] == 5
    assert past.store.head() == first.name
    assert (past.store.root / first.name).is_dir()


def test_the_verbs_tell_the_same(past: Past, paths: RealmPaths) -> None:
    assert [each["version"] for each in run(paths, "history", "--limit", "2")] == ["v003", "v002"]
    told = run(paths, "compare", "v001", "latest")
    assert (told["first"]["version"], told["second"]["record"]["step"]) == ("v001", 15)
    plain = CliRunner().invoke(app, ["--base-dir", str(paths.base), "ledger", "compare", "v001", "v003"]).stdout
    assert "Only v003 has learned:\n  second.jsonl: 20 rows (learned)" in plain
    assert "step: 5 → 15 (+10)" in plain


def test_a_history_with_torn_and_odd_lines_is_read_as_far_as_it_goes(past: Past, paths: RealmPaths) -> None:
    """A14: half a line of a kill hides none of the others."""
    raw = paths.ledger_history.read_bytes()
    paths.ledger_history.write_bytes(b'{"event": "recor\n[]\n{"event": "recorded", "step": "x"}\n' + raw + b'{"ev')
    assert [each.version for each in chronicle(paths).read_history()] == ["v001", "v002", "v003"]
    paths.ledger_history.unlink()
    assert [each.record.step for each in chronicle(paths).read_history()] == [5, 7, 15]
    assert chronicle(paths).read_history(hero="nobody") == []
    assert Chronicle(RealmPaths(Path("/nonexistent"))).read_history() == []
