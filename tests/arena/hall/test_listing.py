"""`hero list`: everyone is shown, and one broken file hides nobody."""

from __future__ import annotations

from pathlib import Path

from arena.hall.changing import change_hero
from arena.hall.listing import HeroRow, list_hall
from arena.hall.standing import standing_still
from core.paths import RealmPaths
from tests.arena.annals.past import NOW, Past
from tests.arena.hall.model_dirs import make_byte_model
from tests.arena.test_heroes import write_hero


def rows(paths: RealmPaths) -> dict[str, HeroRow]:
    return {row.id: row for row in list_hall(paths)}


def test_a_broken_hero_file_is_named_and_the_others_are_shown(paths: RealmPaths) -> None:
    """D11: one wrong field made the whole configuration fall back in silence."""
    write_hero(paths, "mira", profile="chatlm")
    found = rows(paths)
    assert list(found) == ["dio", "mira", "seedling"]
    assert (found["mira"].title, found["mira"].in_use) == (None, False)
    assert "Did you mean chatml?" in str(found["mira"].problem)
    assert (found["dio"].title, found["dio"].problem, found["dio"].parameters) == ("DIO", None, None)


def test_the_size_of_a_model_is_known_where_it_lies_on_this_machine(paths: RealmPaths, tmp_path: Path) -> None:
    make_byte_model(paths.models / "small")
    write_hero(paths, "mira", base_model="small")
    assert rows(paths)["mira"].parameters == 259 * 8 + 8 * 8
    seedling = rows(paths)["seedling"]
    assert (seedling.parameters, seedling.memory_bytes is not None) == (673_216, True), "made on the spot"
    assert rows(paths)["dio"].memory_bytes is None
    (paths.models / "small" / "model.safetensors").write_bytes(b"torn")
    assert rows(paths)["mira"].parameters is None


def test_the_one_in_use_is_whose_model_is_there_and_archives_stand_below_their_hero(paths: RealmPaths) -> None:
    """B31: what is shown is what trains, whatever the settings say meanwhile."""
    assert rows(paths)["seedling"].in_use
    past = Past(paths)
    past.learn("first")
    past.save()
    paths.config_file.write_text("hero: dio\n")
    assert [row.id for row in list_hall(paths) if row.in_use] == ["seedling"]
    assert rows(paths)["seedling"].step == 5
    paths.config_file.write_text("hero: seedling\n")
    with standing_still(paths, "a test"):
        change_hero(paths, "dio", now=NOW, clear=list)
    found = rows(paths)
    assert (found["dio"].in_use, found["seedling"].in_use) == (True, False)
    (archive,) = found["seedling"].archives
    assert (archive.name, archive.step, archive.quests_learned) == ("seedling-20261121T093000Z", 5, 1)


def test_an_archive_without_a_note_or_a_hero_file_is_still_listed(paths: RealmPaths) -> None:
    past = Past(paths, hero="olga")
    past.learn("first")
    past.save()
    paths.archive.mkdir()
    paths.current_model.rename(paths.archive / "found-on-a-disk")
    paths.create()
    olga = rows(paths)["olga"]
    assert olga.problem == "his file is not in configs/heroes/"
    assert [(archive.name, archive.step) for archive in olga.archives] == [("found-on-a-disk", 5)]
