"""A hub on this machine, and the model that it holds."""

from __future__ import annotations

from tests.arena.trainer.loading.test_model_loading import hub as hub
from tests.arena.trainer.loading.test_model_loading import model_dir as model_dir
