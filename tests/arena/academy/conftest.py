"""Fixtures of the academy's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.arena.academy.pupil import Class

Founder = Callable[..., Class]


@pytest.fixture
def found_class(tmp_path: Path) -> Iterator[Founder]:
    """`found_class(name="school", **settings)`: a school that is closed after the test."""
    made: list[Class] = []

    def found(name: str = "school", **more: Any) -> Class:
        made.append(Class(tmp_path / name, **more))
        return made[-1]

    yield found
    for each in made:
        each.close()
