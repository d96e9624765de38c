"""The sidecar of a generated file: written beside it, read back, and believed only as far as it is sound."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.lineage import (
    GENERATOR_REGISTRY,
    FileLineage,
    generator_of,
    lineage_now,
    read_lineage,
    sidecar_path,
    write_lineage,
)

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def test_a_sidecar_lies_beside_its_file_and_is_read_back(tmp_path: Path) -> None:
    """C4: a sidecar that was written elsewhere was lost."""
    data = tmp_path / "discrimination_L1_20260314.jsonl"
    lineage = lineage_now("discrimination", count=100, params={"levels": [1], "difficulty": "L1"}, now=NOW)

    assert write_lineage(data, lineage) == tmp_path / "discrimination_L1_20260314.jsonl.meta.json"

    body = json.loads(sidecar_path(data).read_text())
    assert body["generator_version"] == GENERATOR_REGISTRY["discrimination"]["version"]
    assert (body["example_count"], body["params"]) == (100, {"levels": [1], "difficulty": "L1"})
    assert "validation_passed" not in body, "no gate has judged it yet"
    assert read_lineage(data) == lineage
    assert generator_of(data.name, body) == "discrimination@1.0.0"


def test_what_a_hand_wrote_into_a_sidecar_is_no_fact(tmp_path: Path) -> None:
    data = tmp_path / "x.jsonl"
    assert read_lineage(data) is None
    for nonsense in ("{", "[]", '{"generator_id": 7}', '{"generator_version": "1"}'):
        sidecar_path(data).write_text(nonsense)
        assert read_lineage(data) is None
    sidecar_path(data).write_text(
        json.dumps({"generator_id": "mine", "example_count": True, "params": [], "validation_passed": 1, "unknown": 2})
    )
    assert read_lineage(data) == FileLineage(generator_id="mine", generator_version="unknown")


def test_only_a_registered_generator_signs_what_it_makes() -> None:
    with pytest.raises(InvalidInput, match="discriminaton"):
        lineage_now("discriminaton", count=1, params={}, now=NOW)
