"""Fixtures for tests of the arena."""

from __future__ import annotations

import pytest

from arena.quest_board import QuestBoard
from core.paths import RealmPaths


@pytest.fixture
def board(paths: RealmPaths) -> QuestBoard:
    return QuestBoard(paths)
