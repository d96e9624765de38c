"""The benchmark of the control process, small, against a real realm."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.callers import free_ports
from benchmarks.control_plane import (
    ASKED,
    bare_command,
    learn,
    make_realm,
    measure_answers,
    measure_rest,
    measure_streams,
    start_long_quest,
    time_realm_start,
    time_start,
)
from benchmarks.figures import Figure


def test_starts_are_timed_and_leave_nothing_running(tmp_path: Path) -> None:
    realm = make_realm(tmp_path / "realm")
    realm.wish("stop")  # without a trainer, which takes longer than everything else
    (port,) = free_ports(1)
    for start in (time_start(bare_command(port), [port]), time_realm_start(realm)):
        assert start.seconds > 0
        assert start.cpu_seconds > 0
    assert [event["kind"] for event in realm.events()][-2:] == ["realm_up", "realm_down"]
    assert realm.holder() is None


def test_a_program_that_ends_without_a_page_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="nobody answered"):
        time_start([sys.executable, "-S", "-c", ""], free_ports(1))


def test_rest_answers_and_streams_are_measured_on_a_living_realm(tmp_path: Path) -> None:
    realm = make_realm(tmp_path / "realm")
    realm.up()
    try:
        learn(realm, 1)
        rest = asyncio.run(measure_rest(realm, 0.3, quiet=0.0))
        start_long_quest(realm)
        answers = asyncio.run(measure_answers(realm, 1, 0.2))
        streams = asyncio.run(measure_streams(realm, 1, 0.8, viewers=3))
    finally:
        realm.close()
    assert [figure.unit for figure in rest] == ["%"] * 3
    assert len(answers) == 1 + 3 * len(ASKED)
    assert all(figure.median > 0 for figure in (*answers, *streams))
    assert [len(figure.values) for figure in streams] == [1] * len(streams)
    assert _of(streams, "from the end of a step to a viewer, p50").median < 1000


def _of(figures: list[Figure], end: str) -> Figure:
    return next(figure for figure in figures if figure.what.endswith(end))
