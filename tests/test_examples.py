"""The example quests: reproducible, small, and learnable by the seedling."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arena.heroes import load_hero
from arena.rendering import RenderedRow, Renderer
from arena.trainer.loading.seedling import make_seedling
from core.paths import CHECKOUT, RealmPaths
from guild.profiles import get_profile

QUESTS = sorted((CHECKOUT / "examples" / "quests").glob("*.jsonl"))


def read(file: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if "schema_id" not in row]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[RenderedRow]]:
    recipe = load_hero(RealmPaths(CHECKOUT), "seedling").recipe or {}
    seedling = make_seedling(tmp_path_factory.mktemp("models") / "seedling", recipe, seed=1)
    renderer = Renderer.load(seedling, get_profile("chatml"))
    return {file.name: renderer.render_many(read(file)) for file in QUESTS}


def test_the_script_reproduces_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    script = CHECKOUT / "examples" / "make_examples.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=60)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in QUESTS
    }


def test_there_are_six_quests_small_enough_to_be_learned_in_a_minute(rendered: dict[str, list[RenderedRow]]) -> None:
    rows = {name: len(quest) for name, quest in rendered.items()}
    assert len(rows) == 6
    assert all(60 <= count <= 400 for count in rows.values()), rows
    assert sum(rows.values()) <= 1500
    lengths = sorted(len(row.token_ids) for quest in rendered.values() for row in quest)
    assert lengths[len(lengths) * 9 // 10] < 80
    assert lengths[-1] < 160


def test_every_example_row_has_something_to_learn(rendered: dict[str, list[RenderedRow]]) -> None:
    assert all(row.target_tokens > 0 for quest in rendered.values() for row in quest)


def test_the_sums_of_the_examples_are_right() -> None:
    for file in QUESTS:
        if not file.name.startswith("binary_addition"):
            continue
        for row in read(file):
            question, answer = (message["content"] for message in row["messages"])
            first, second = question.removesuffix(" = ?").split(" + ")
            assert int(answer, 2) == int(first, 2) + int(second, 2)
            assert answer == f"{int(answer, 2):b}"
