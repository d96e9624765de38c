"""The past that the page's benchmark makes is one that a realm could have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from benchmarks.page import KINDS, fill
from core.paths import RealmPaths
from core.saga import open_saga


def test_the_past_has_all_points_and_tales_and_its_rollups_fit(paths: RealmPaths) -> None:
    realm: Any = SimpleNamespace(paths=paths)
    (size,) = fill(cast("Any", realm), 20_000, 500)
    assert 1 < size.median < 20
    with open_saga(paths) as saga:
        curve = saga.curve("train_loss", most=1000)
        assert (curve.points, curve.steps[-1], curve.resolution) == (20_000, 20_000, 64)
        part = saga.curve("train_loss", since=1_000, until=1_100)
        assert dict(zip(part.steps, part.values, strict=True)) == {
            step: value for step, value in saga.points("train_loss", limit=20_000) if 1_000 <= step <= 1_100
        }
        assert sum(saga.count_by_kind().values()) == 500
        assert set(saga.event_kinds()) == set(KINDS)
