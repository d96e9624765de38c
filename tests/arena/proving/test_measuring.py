"""The yardstick of a quest: from settings, hero and the quest's own options."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.heroes import load_hero
from arena.proving.measuring import yardstick_for
from arena.quests import NAMELESS
from core.paths import RealmPaths
from core.settings_reading import load_settings


@pytest.mark.parametrize(("level", "deep"), [("standard", False), ("deep", True)])
def test_the_setting_of_the_gates_says_how_deep_a_quest_is_looked_into(tmp_path: Path, level: str, deep: bool) -> None:
    paths = RealmPaths(tmp_path)
    settings = load_settings(paths.config_file, env={"REALM_GATES__LEVEL": level})
    measure = yardstick_for(paths, settings, load_hero(paths, "seedling"), "seedling", NAMELESS)
    assert (measure.deep, measure.held_out) == (deep, str(paths.validation))
