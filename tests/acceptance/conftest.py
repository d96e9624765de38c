"""Fixtures of the acceptance tests: realms that are cleared away whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.living_realm import LivingRealm

Founder = Callable[..., LivingRealm]


@pytest.fixture
def found_realm(tmp_path: Path) -> Iterator[Founder]:
    """`found_realm(name="realm", nursery=None, **settings)`: a realm of one test, not yet up."""
    yield from _founding(tmp_path)


@pytest.fixture(scope="module")
def found_shared_realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Founder]:
    """The same for a realm that several tests of a module share."""
    yield from _founding(tmp_path_factory.mktemp("shared"))


def _founding(folder: Path) -> Iterator[Founder]:
    realms: list[LivingRealm] = []

    def found(name: str = "realm", **settings: Any) -> LivingRealm:
        realms.append(LivingRealm(folder / name, **settings))
        return realms[-1]

    yield found
    for realm in realms:
        realm.close()
