"""`realm hero` and `realm rewind` in words for people: what was done, and what can be done about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from arena.verbs.hero import hero_app
from arena.verbs.rewind import rewind
from core.cli import Choices
from core.errors import Conflict
from core.paths import RealmPaths
from tests.arena.annals.past import Past
from tests.arena.test_heroes import write_hero


def ask(paths: RealmPaths, *arguments: str, as_json: bool = False) -> Result:
    app = typer.Typer()
    app.add_typer(hero_app(), name="hero")
    app.command()(rewind)
    return CliRunner().invoke(app, list(arguments), obj=Choices(paths, as_json))


@pytest.fixture
def past(paths: RealmPaths) -> Past:
    past = Past(paths)
    past.learn("first")
    past.save()
    past.begin("second", lane="recently_completed", outcome="learned", rows_learned=20)
    past.step_on(2)
    past.save()
    past.step_on()
    past.learn("third")
    past.save()
    return past


def test_a_rewind_says_what_is_undone_and_how_to_come_back(past: Past, paths: RealmPaths) -> None:
    (paths.lane("recently_completed") / "third_20261121_093000.jsonl").unlink()
    preview = ask(paths, "rewind", "7", "--dry-run").stdout
    assert preview.startswith("A rewind leads back from step 15 to step 7 (checkpoint-7-")
    text = ask(paths, "rewind", "7").stdout
    assert text.startswith("The hero went back from step 15 to step 7 (checkpoint-7-")
    assert "2 quests are undone:" in text
    assert "  second.jsonl: 12 rows, 8 stay learned\n" in text
    assert "  third.jsonl: 20 rows; its file is gone\n" in text
    assert "`realm rewind checkpoint-15-20261121-0915` returns to it." in text
    assert "`realm quest retry FILE`" in text
    assert "nothing to undo" in ask(paths, "rewind", "latest").stdout
    assert json.loads(ask(paths, "rewind", "latest", as_json=True).stdout) == {"rewound": False, "undone": []}
    again = ask(paths, "rewind", "15").stdout
    assert "Learned again, as they belong to this checkpoint:\n  second.jsonl\n  third.jsonl\n" in again
    assert "queued again as q_" in ask(paths, "rewind", "5", "--requeue").stdout


def test_the_list_marks_who_trains_and_names_what_is_broken(past: Past, paths: RealmPaths) -> None:
    write_hero(paths, "mira", profile="none")
    lines = ask(paths, "hero", "list").stdout.splitlines()
    assert lines[0] == "  dio: DIO, Qwen/Qwen3-0.6B, size not known yet"
    assert lines[1].startswith("  mira: ")
    assert "no profile named 'none'" in lines[1]
    assert lines[2].startswith("* seedling: Seedling, seedling, 673,216 parameters, training takes up to ")
    assert lines[2].endswith(" MB, step 15")
    rows = json.loads(ask(paths, "hero", "list", as_json=True).stdout)["heroes"]
    assert [(row["id"], row["in_use"]) for row in rows] == [("dio", False), ("mira", False), ("seedling", True)]


def test_using_and_summoning_a_hero_say_what_comes_next(past: Past, paths: RealmPaths) -> None:
    made = ask(paths, "hero", "summon", "oak").stdout
    assert "`realm hero use oak` lets him train." in made
    gone = ask(paths, "hero", "use", "oak").stdout
    assert gone.startswith("Oak trains from now on, from the beginning.\nThe model before lies in archive/seedling-")
    assert ask(paths, "hero", "use", "oak").stdout == "oak trains already, and has learned nothing yet.\n"
    back = ask(paths, "hero", "use", "seedling").stdout
    assert back.startswith("Seedling trains again, from step 15 (archive/seedling-")


def test_a_hero_named_by_the_environment_is_not_changed_in_the_file(
    past: Past, paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins over the file: the change would show no effect."""
    monkeypatch.setenv("REALM_HERO", "seedling")
    result = ask(paths, "hero", "use", "dio")
    assert isinstance(result.exception, Conflict)
    assert "REALM_HERO is 'seedling'" in str(result.exception)
    assert not Path(paths.archive).exists()
    again = ask(paths, "hero", "use", "seedling").stdout
    assert again.startswith("seedling trains already, from step 15.\nTo begin anew: `realm hero use seedling --fresh`")


def test_a_hero_whose_setting_alone_had_changed_is_told_so_with_his_archives(past: Past, paths: RealmPaths) -> None:
    ask(paths, "hero", "use", "seedling", "--fresh")
    (archive,) = [folder.name for folder in paths.archive.iterdir()]
    told = f"archive/{archive} (step 15) comes back with `realm hero use seedling --archive {archive}`."
    anew = Past(paths)
    anew.learn("anew")
    anew.save()
    assert ask(paths, "hero", "use", "seedling").stdout.splitlines()[-1] == told
    paths.config_file.write_text("hero: dio\n")
    mended = ask(paths, "hero", "use", "seedling").stdout
    assert told in mended
    assert "Only the setting named another hero" in mended
