"""What the telling is made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.paths import RealmPaths
from core.saga import Saga, open_saga


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga
