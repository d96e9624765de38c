"""A checkpoint is known by the number in its name, and its record never claims what was not known."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.checkpoint_ledger import (
    CheckpointLedger,
    CheckpointRecord,
    checkpoint_name,
    extract_step,
    parse_checkpoint_name,
    read_sidecar,
    write_sidecar,
)
from core.errors import InvalidInput
from core.paths import RealmPaths
from tests.core.ledger_making import save

# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint-190000-20251127-1430", 190000),
        ("current_model/checkpoint-190000-20251127-1430/", 190000),
        ("checkpoint-500", 500),
        ("checkpoint-", 0),
        ("checkpoint-12-extra", 0),
        ("checkpoint--5", 0),
        ("checkpoint-١٢", 0),
        ("checkpoint-" + "9" * 5000, 0),
        (".trash-checkpoint-5-20251127-1430-00", 0),
        ("", 0),
    ],
)
def test_the_step_is_read_from_any_name(name: str, step: int) -> None:
    """A5: the canonical name once made resume start at step 0."""
    assert extract_step(name) == step


def test_a_name_is_taken_apart_as_the_seed_does() -> None:
    assert parse_checkpoint_name("checkpoint-190000-20251127-1430") == {
        "step": 190000,
        "date": "20251127",
        "time": "1430",
        "is_canonical": True,
    }
    assert parse_checkpoint_name(Path("x/checkpoint-500")) == {
        "step": 500,
        "date": None,
        "time": None,
        "is_canonical": False,
    }


@given(st.integers(0, 10**17), st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_every_canonical_name_can_be_read_back(step: int, moment: datetime) -> None:
    """A5: what the realm writes, it reads."""
    parsed = parse_checkpoint_name(checkpoint_name(step, moment))
    assert parsed["is_canonical"]
    assert (parsed["step"], parsed["date"], parsed["time"]) == (step, f"{moment:%Y%m%d}", f"{moment:%H%M}")


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    assert extract_step(text) >= 0


# --- records --------------------------------------------------------------------------------------------------


def test_a_record_tells_its_name_size_and_age() -> None:
    saved = datetime.now(UTC) - timedelta(hours=3)
    record = CheckpointRecord(
        step=190_000,
        timestamp=saved.isoformat(),
        train_loss=0.432,
        skill_name="bin",
        skill_level=5,
        size_bytes=3_400_000_000,
    )
    assert record.display_name == "Step 190,000 | Loss 0.4320 | bin L5"
    assert record.size_gb == 3.4
    assert record.age_hours == pytest.approx(3, abs=0.01)


def test_what_is_not_known_is_null_and_never_zero() -> None:
    """Law 7."""
    record = CheckpointRecord(step=5)
    assert (record.size_gb, record.age_hours, record.display_name) == (None, None, "Step 5")
    assert record.to_json()["train_loss"] is None


def test_unknown_fields_are_dropped_and_wrong_ones_make_no_record() -> None:
    raw = {"step": 5, "train_loss": 1, "locations": ["nas"]}
    assert CheckpointRecord.from_json(raw) == CheckpointRecord(step=5, train_loss=1.0)
    damaged: list[Any] = [{"train_loss": 1.0}, {"step": "five"}, {"step": 5, "train_loss": "low"}, [], "x", None]
    for broken in damaged:
        assert CheckpointRecord.from_json(broken) is None


def test_a_loss_that_is_no_number_is_written_as_null(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    ledger.record(save(paths, 5, train_loss=math.nan, perplexity=math.inf))
    text = paths.ledger_index.read_text() + paths.ledger_history.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text


def test_the_sidecar_carries_the_final_path(tmp_path: Path) -> None:
    """A13: the sidecar is written in the staging directory, but never names it."""
    record = CheckpointRecord(step=5, path=str(tmp_path / ".staging-1"), canonical_name="checkpoint-5-20261121-0930")
    with pytest.raises(InvalidInput, match="final path"):
        write_sidecar(tmp_path, record)
    final = replace(record, path=str(tmp_path / record.canonical_name))
    write_sidecar(tmp_path, final)
    assert read_sidecar(tmp_path) == final


@pytest.mark.parametrize("content", ["", "{", "[]", '{"step": "x"}', "[" * 100_000])
def test_a_damaged_sidecar_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / ".ledger.json").write_text(content)
    assert read_sidecar(tmp_path) is None
