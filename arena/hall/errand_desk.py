"""Long errands that people send the realm on from its page, one at a time: what runs, how far it is, how others ended.

An errand goes on whoever looks; what it does and how it ends is told as events, and the last ones are kept in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from core.errors import Conflict, RealmError

logger = logging.getLogger(__name__)

KEPT = 10
"""Errands that have ended and are still told of."""
TOLD_EVERY_SECONDS = 3.0
"""How often the progress of one is an event."""

Kind = Literal["verify", "export", "rewind"]
Tell = Callable[..., Awaitable[None]]
"""Tells an event: kind, sentence, time, data (`TrainerEvents.tell`)."""

DOING = {"verify": "being read again", "export": "being exported", "rewind": "where the hero goes back to"}


@dataclass
class Errand:
    """One of them; `GET /vault/errands` tells it as it is."""

    id: int
    kind: Kind
    checkpoint: str
    """The address of the checkpoint (`vault.checkpoint_facts.Standing`)."""
    begun_at: str
    state: Literal["running", "done", "failed"] = "running"
    done_bytes: int | None = None
    total_bytes: int | None = None
    ended_at: str | None = None
    text: str | None = None
    """How it ended, in a sentence."""
    result: dict[str, Any] | None = None


Work = Callable[[Errand], Awaitable[tuple[str, dict[str, Any]]]]
"""Does an errand, and returns how it ended, in a sentence and as data. Raises `RealmError` or `OSError`."""


class ErrandDesk:
    """One per daemon; to be used in its event loop."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._running: Errand | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended: deque[Errand] = deque(maxlen=KEPT)
        self._count = 0
        self._told_at = float("-inf")

    @property
    def reads(self) -> bool:
        """Whether a checkpoint is being read again: nobody else should read slices meanwhile."""
        return self._running is not None and self._running.kind == "verify"

    def begin(self, kind: Kind, checkpoint: str, work: Work) -> dict[str, Any]:
        """Set out; raises `Conflict` naming the errand that is under way."""
        self.check_free()
        self._count += 1
        errand = Errand(self._count, kind, checkpoint, datetime.now(UTC).isoformat())
        self._running, self._told_at = errand, float("-inf")
        self._task = asyncio.create_task(self._go(errand, work), name=f"errand {kind}")
        return asdict(errand)

    def check_free(self) -> None:
        """Raise `Conflict` while there is one under way."""
        if (busy := self._running) is not None:
            raise Conflict(
                f"One errand at a time: {busy.checkpoint} is {DOING[busy.kind]}.", hint="Try again when that has ended."
            )

    def told(self) -> dict[str, Any]:
        """See `arena.hall.answers.Errands`."""
        return {
            "running": asdict(self._running) if self._running else None,
            "ended": [asdict(each) for each in reversed(self._ended)],
        }

    async def progress(self, errand: Errand, done_bytes: int) -> None:
        """It has come so far; told as an event every few seconds."""
        errand.done_bytes = done_bytes
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY_SECONDS:
            is_first, self._told_at = self._told_at == float("-inf"), now
            if not is_first:
                percent = 100 * done_bytes // max(errand.total_bytes or 1, 1)
                await self._say("errand_progress", errand, f"{errand.checkpoint}: {percent} % is read")

    async def close(self) -> None:
        """The realm ends: what only reads is cut off, what changes something is waited for."""
        if self._task is None:
            return
        if self._running is not None and self._running.kind != "rewind":
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _go(self, errand: Errand, work: Work) -> None:
        kind = "errand_failed"
        try:
            await self._say("errand_begun", errand, f"{errand.checkpoint}: {errand.kind} begins")
            errand.text, errand.result = await work(errand)
            errand.state, kind = "done", "errand_done"
        except asyncio.CancelledError:
            errand.state, errand.text = "failed", "The realm ended before it was done."
            raise
        except (RealmError, OSError) as error:
            errand.state, errand.text = "failed", str(error)
        except Exception as error:  # a bug must neither leave the desk taken for ever nor go unheard
            logger.exception("an errand failed", extra={"event": "errand_bug"})
            errand.state, errand.text = "failed", f"It broke off: {type(error).__name__}: {error}"
        finally:
            errand.ended_at = datetime.now(UTC).isoformat()
            self._ended.append(errand)
            self._running = None
        await self._say(kind, errand, errand.text or "")

    async def _say(self, kind: str, errand: Errand, message: str) -> None:
        await self._tell(
            kind, message, datetime.now(UTC), errand=errand.kind, checkpoint=errand.checkpoint, number=errand.id
        )
