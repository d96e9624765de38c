"""What the web asks of the Armory, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from arena.armory.armory import Armory
from arena.armory.drafts import Finding
from arena.ravens.raven_post import RavenPost
from core.errors import Unavailable
from core.paths import RealmPaths

TARGETS = "notifications.targets"

P = ParamSpec("P")
T = TypeVar("T")


async def _beside(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Have it done in a thread; a disk that refuses is `Unavailable`."""
    try:
        return await asyncio.to_thread(work, *given, **named)
    except OSError as error:
        reason = error.strerror or error
        raise Unavailable(
            f"The settings cannot be read or written: {reason}.",
            hint="Look whether configs/ may be written, and whether its disk has room.",
        ) from error


class ArmoryDesk:
    """One per daemon."""

    def __init__(
        self,
        paths: RealmPaths,
        armory: Armory,
        post: RavenPost,
        *,
        device: Callable[[], str | None],
        trainer_pid: Callable[[], int | None],
    ) -> None:
        self._paths = paths
        self._armory = armory
        self._post = post
        self._device = device
        self._trainer_pid = trainer_pid

    async def view(self) -> dict[str, Any]:
        return await _beside(self._armory.view)

    async def check(self, changes: Mapping[str, Any], resets: list[str]) -> dict[str, Any]:
        checked = await _beside(self._armory.check, changes, resets)
        # apprise alone knows which addresses it can use.
        for address in self._armory.new_addresses(changes) if checked["valid"] else []:
            if complaint := await self._post.check(address):
                checked["findings"].append(Finding(TARGETS, f"{TARGETS}: {complaint}.", "warning").to_json())
        return checked

    async def save(self, etag: str, changes: Mapping[str, Any], resets: list[str], by: str) -> dict[str, Any]:
        saved = await _beside(self._armory.save, etag, changes, resets, by)
        self._post.note_settings()
        return saved

    async def estimate(self, changes: Mapping[str, Any], resets: list[str]) -> dict[str, Any]:
        # Loaded by whoever asks for it first.
        from arena.armory.estimating import compare

        return await _beside(
            compare, self._paths, self._armory, changes, resets, device=self._device, trainer_pid=self._trainer_pid
        )

    async def history(self) -> dict[str, Any]:
        return await _beside(self._armory.history)

    async def past(self, number: int) -> dict[str, Any]:
        return await _beside(self._armory.past, number)

    async def restore(self, number: int, etag: str, by: str) -> dict[str, Any]:
        restored = await _beside(self._armory.restore, number, etag, by)
        self._post.note_settings()
        return restored

    async def default(self) -> dict[str, Any]:
        return await _beside(self._armory.default)

    async def save_default(self, etag: str, by: str) -> dict[str, Any]:
        return await _beside(self._armory.save_default, etag, by)

    async def restore_default(self, etag: str, by: str) -> dict[str, Any]:
        restored = await _beside(self._armory.restore_default, etag, by)
        self._post.note_settings()
        return restored
