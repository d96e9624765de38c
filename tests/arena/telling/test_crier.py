"""What the crier tells while nothing happens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from arena.telling import crier as crier_module
from docs.make_reference import idle_realm
from tavern.pages import STATIC
from tests.waiting import wait_until_async


async def test_the_heart_of_an_idle_realm_is_heard_long_before_a_page_gives_its_stream_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F3: scripts see no keep-alive; a page takes a stream without frames for dead, and opens it again and again."""
    (silence,) = re.findall(r"^const SILENCE_MS = (\d+);", (STATIC / "link/stream.js").read_text(), re.MULTILINE)
    longest = crier_module.HEARTBEAT_SECONDS + crier_module.QUIET_STATUS_SECONDS + crier_module.SHORTEST_STATUS_SECONDS
    assert 2 * longest < int(silence) / 1000
    for pause, shorter in (("HEARTBEAT", 0.05), ("QUIET_STATUS", 0.01), ("SHORTEST_STATUS", 0.01)):
        monkeypatch.setattr(crier_module, f"{pause}_SECONDS", shorter)
    told: list[Callable[[], dict[str, Any]]] = []
    with idle_realm(tmp_path) as (daemon, _):
        monkeypatch.setattr(daemon.crier, "_on_progress", told.append)
        telling = asyncio.create_task(daemon.crier.run())
        try:
            await wait_until_async(lambda: len(told) >= 4, message="an idle realm is silent")
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        frames = [frame() for frame in told]
    assert {frame["realm"]["state"] for frame in frames} == {frames[0]["realm"]["state"]}
