"""Settings that change while the realm runs: valid ones come into force, and an unchanged file costs no claim much."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.command.live_settings import INVALID_SECONDS, LiveSettings
from core.settings import Settings
from core.settings_reading import load_settings


class Watched:
    """Live settings over a real file, and how often it was read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.reads = 0
        self.live = LiveSettings(load_settings(file, {}), file, self._read)

    def _read(self) -> Settings:
        self.reads += 1
        return load_settings(self.file, {})

    @property
    def batch_size(self) -> int | None:
        return self.live.current.hyperparams.batch_size


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    file = tmp_path / "realm.yaml"
    file.write_text("hyperparams:\n  batch_size: 4\n")
    return Watched(file)


def test_an_unchanged_file_is_read_once(watched: Watched) -> None:
    assert [watched.live.refresh(0.0) for _ in range(5)] == [None] * 5
    assert (watched.reads, watched.batch_size) == (1, 4)


def test_a_change_comes_into_force(watched: Watched) -> None:
    watched.live.refresh(0.0)
    watched.file.write_text("hyperparams:\n  batch_size: 16\n")
    assert watched.live.refresh(0.0) is None
    assert watched.batch_size == 16


def test_a_change_of_a_file_that_is_a_link_comes_into_force(watched: Watched) -> None:
    watched.file.symlink_to(watched.file.rename(watched.file.with_name("dotfile.yaml")))
    watched.live.refresh(0.0)
    watched.file.write_text("hyperparams:\n  batch_size: 16\n")
    watched.live.refresh(0.0)
    assert (watched.reads, watched.batch_size) == (2, 16)


def test_an_invalid_file_is_told_once_and_changes_nothing_until_it_is_mended(watched: Watched) -> None:
    watched.live.refresh(0.0)
    watched.file.write_text("hyperparams:\n  batch_sise: 16\n")
    complaint = watched.live.refresh(0.0)
    assert complaint is not None
    assert "batch_sise" in complaint
    assert (watched.live.refresh(0.0), watched.batch_size) == (None, 4)
    watched.file.write_text("hyperparams:\n  batch_size: 4\n")
    assert (watched.live.refresh(0.0), watched.batch_size) == (None, 4)
    watched.file.write_text("hyperparams:\n  batch_sise: 16\n")
    assert watched.live.refresh(0.0) == complaint


def test_what_is_locked_while_the_realm_runs_is_not_taken(watched: Watched) -> None:
    watched.file.write_text("hyperparams:\n  batch_size: 16\n  max_length: 512\n")
    assert watched.live.refresh(0.0) == "hyperparams.max_length is locked while the realm runs."
    assert watched.batch_size == 4


@pytest.mark.parametrize("text", [None, "hyperparams:\n  batch_sise: 16\n"])
def test_a_missing_or_invalid_file_costs_no_claim_much_either(watched: Watched, text: str | None) -> None:
    """The gap between two quests: every claim read the whole journal, which only ever grows."""
    if text is None:
        watched.file.unlink()
    else:
        watched.file.write_text(text)
    for second in range(5):
        watched.live.refresh(float(second))
    assert watched.reads == 1
    watched.live.refresh(INVALID_SECONDS)
    assert watched.reads == (1 if text is None else 2), "what is wrong may be mended elsewhere"


def test_a_file_that_is_being_written_is_read_again_at_once(tmp_path: Path) -> None:
    """Most editors empty a file before they fill it: a claim at that moment finds settings that nobody wrote."""
    file = tmp_path / "realm.yaml"
    file.write_text("hyperparams:\n  batch_size: 4\n")
    before = load_settings(file, {})
    file.write_text("hyperparams:\n  batch_si")
    rest = iter(["hyperparams:\n  batch_size: 16\n"])

    def read_while_it_is_written() -> Settings:
        try:
            return load_settings(file, {})
        finally:
            if text := next(rest, None):
                file.write_text(text)

    live = LiveSettings(before, file, read_while_it_is_written)
    assert live.refresh(1.0) is None
    assert live.current.hyperparams.batch_size == 16


def test_a_change_is_in_force_for_whoever_asks_for_the_newest_and_a_fault_is_still_told(watched: Watched) -> None:
    assert watched.live.newest(0.0).hyperparams.batch_size == 4
    watched.file.write_text("hyperparams:\n  batch_size: 16\n")
    assert watched.live.newest(0.0).hyperparams.batch_size == 16
    watched.file.write_text("hyperparams:\n  batch_sise: 8\n")
    assert watched.live.newest(0.0).hyperparams.batch_size == 16
    assert "batch_sise" in str(watched.live.refresh(0.0))
