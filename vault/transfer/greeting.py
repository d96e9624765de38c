"""Whether a host is there at all, asked before anything is: one that is away is told of, and not waited for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait

from core.own_threads import OwnThreads
from vault.transfer.patience import AWAY_SECONDS, CANCEL_SECONDS, OnWaiting, Patience, Stopped, unreached
from vault.transfer.source import ByteSource

SLACK_SECONDS = 1.0
"""Beyond the time in which a host has to answer: what takes longer hangs where no timeout reaches, as a name server."""

_greetings = OwnThreads("greetings to other hosts", 64, waiting=64)


def greet(
    base_url: str,
    token: str | None = None,
    *,
    retry_seconds: float,
    cancelled: threading.Event | None = None,
    on_waiting: OnWaiting | None = None,
) -> Patience:
    """The patience for a host that has just answered, whatever it said; raises `Unreached` for one that does not.

    That is known after `AWAY_SECONDS`, however long one goes on asking a host that falls silent later. Raises `Stopped`
    when it is cancelled, `InvalidInput` for what is no address, and `Conflict` for a certificate that is not believed.
    """
    patience = Patience(base_url, retry_seconds, cancelled, on_waiting)
    source = ByteSource(base_url, token, stall_seconds=AWAY_SECONDS)
    greeting = _greetings.start(lambda: patience.asking(source.greet))
    until = time.monotonic() + AWAY_SECONDS + SLACK_SECONDS
    try:
        while not wait([greeting], CANCEL_SECONDS).done:
            if patience.is_over:
                raise Stopped
            if time.monotonic() > until:
                raise unreached(base_url, f"nothing was heard for {AWAY_SECONDS:g} s")
        greeting.result()
    finally:
        if not greeting.done():
            patience.stop()
            source.interrupt()
    return patience
