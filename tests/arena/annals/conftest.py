"""The small model that tests of histories train."""

from __future__ import annotations

from tests.arena.trainer.conftest import dropout_model as dropout_model
