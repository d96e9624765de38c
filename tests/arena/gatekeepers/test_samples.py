"""The sample files under `tests/data/`: every one gets the verdict, message, line and field that it must.

`expected.yaml` holds what is expected; `tests/acceptance/test_samples_in_a_realm.py` drops them all into a living one.
"""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.row_reader import read_rows
from arena.language.byte_tokenizer import NAMED_SPECIALS, byte_tokenizer
from arena.rendering import Renderer
from core.errors import InvalidInput
from guild.profiles import get_profile
from tests.arena.gatekeepers.mutating import mutated

DATA = Path(__file__).resolve().parents[2] / "data"
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((DATA / "expected.yaml").read_text())
JUDGED = [name for name, wanted in EXPECTED.items() if wanted["verdict"] != "left alone"]
GOOD = [name for name in JUDGED if name.startswith("good/")]


def test_there_are_samples_enough_and_each_has_its_expectation() -> None:
    """45 broken or odd files and 25 good ones at least (issue 3)."""
    files = {f"{path.parent.name}/{path.name}" for path in DATA.glob("*/*") if not path.name.endswith(".meta.json")}
    assert files == set(EXPECTED)
    assert len(GOOD) >= 25
    assert len(EXPECTED) - len(GOOD) >= 45


@pytest.mark.parametrize("name", JUDGED)
def test_a_sample_gets_its_verdict_with_message_line_and_field(name: str) -> None:
    """C7, C10, C16, C18, C19: what a person owns is taken, or told what is wrong and where."""
    wanted = EXPECTED[name]

    verdict = inspect_file(str(DATA / name))

    assert verdict["accepted"] == (wanted["verdict"] == "accepted"), verdict["errors"]
    assert verdict["format"] == wanted.get("format")
    assert (verdict["container"] or {}).get("kind") == wanted.get("container")
    if "rows" in wanted:
        assert verdict["rows"] == wanted["rows"]
    if "message" in wanted:
        first = verdict["errors"][0]
        assert (first["line"], first["field"]) == (wanted.get("line"), wanted.get("field"))
        assert first["message"] == wanted["message"]
    if "warning" in wanted:
        first = verdict["warnings"][0]
        assert (first["line"], first["message"]) == (wanted["line"], wanted["warning"])


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(NAMED_SPECIALS))
    return Renderer.load(folder, get_profile("chatml"))


@given(name=st.sampled_from(GOOD), seed=st.integers(0, 2**32))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_file_is_judged_without_a_bug_and_what_is_let_in_can_be_learned(
    name: str, seed: int, tmp_path_factory: pytest.TempPathFactory, renderer: Renderer
) -> None:
    """C8: whatever the bytes are, the gates come to a verdict of their own, not to one by exception."""
    folder = tmp_path_factory.mktemp("mutant")
    file = folder / name.rpartition("/")[2]
    file.write_bytes(mutated((DATA / name).read_bytes(), random.Random(seed)))
    unpacked = folder / "unpacked.jsonl"

    verdict = inspect_file(str(file), unpack_to=str(unpacked))

    messages = [error["message"] for error in verdict["errors"]]
    assert not any("the gates failed on this file" in message for message in messages), messages
    assert verdict["accepted"] or verdict["total_errors"] > 0
    if verdict["accepted"]:
        rows = list(read_rows(unpacked if unpacked.exists() else file, verdict["schema_id"]))
        assert len(rows) == verdict["rows"]
        with suppress(InvalidInput):  # what cannot be rendered is refused in a sentence; anything else is a bug
            renderer.render_many([row.as_mapping() for row in rows])
