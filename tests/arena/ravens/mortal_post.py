"""Runs a raven post in a process of its own, for tests that kill it: `BASE_DIR ADDRESS MESSAGE…`.

Each message is an event that it tells of; it ends once all of them are settled.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from arena.ravens.raven_post import RavenPost
from core.paths import RealmPaths
from core.saga import open_saga
from core.settings import NotificationSettings
from tests.waiting import wait_until_async


async def main(paths: RealmPaths, address: str, messages: list[str]) -> None:
    with open_saga(paths) as saga:
        post = RavenPost(paths.notices, saga, lambda: NotificationSettings(targets=(address,), gather_seconds=0))
        task = asyncio.create_task(post.run())
        await wait_until_async(paths.notices.exists, message="it never began")
        for message in messages:
            saga.append("quest_sealed", message, now=datetime.now(UTC))

        def is_settled() -> bool:
            (booked,) = json.loads(paths.notices.read_text())["targets"].values()
            latest = saga.latest_events(1)
            return booked["sending"] is None and booked["settled"] == (latest[-1].id if latest else 0)

        await wait_until_async(is_settled, 20, "the news never arrived")
        task.cancel()
        await asyncio.wait({task})


if __name__ == "__main__":
    asyncio.run(main(RealmPaths(Path(sys.argv[1])), sys.argv[2], sys.argv[3:]))
