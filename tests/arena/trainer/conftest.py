"""Models that all tests of the trainer share; nobody writes into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.arena.trainer.tiny_hero import make_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory without dropout."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model", dropout=0.0)


@pytest.fixture(scope="session")
def dropout_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with attention dropout."""
    return make_tiny_model(tmp_path_factory.mktemp("dropout") / "model", dropout=0.1)
