"""Sending one message with apprise. Runs in a worker process of its own (`core.scribe`): apprise loads a hundred
services, waits for other hosts, and must never be what keeps the realm from its work."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import apprise

from core.masking import without_addresses

LAST_WORDS = 3

# The services are loaded with this module, before the worker makes way for training: with what that leaves of a busy
# CPU, it would take half a minute. One of them asks for a module that Python is about to lose.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    apprise.Apprise.instantiate("json://localhost")


def fly(address: str, title: str, body: str, is_trouble: bool) -> dict[str, Any]:
    """`{"taken", "why"}`: whether the service took the message, else what it said."""
    words = _LastWords()
    log = logging.getLogger("apprise")
    log.addHandler(words)
    try:
        found = apprise.Apprise.instantiate(address)
        if not isinstance(found, apprise.NotifyBase):
            return {"taken": False, "why": _unknown(address)}
        kind = apprise.NotifyType.WARNING if is_trouble else apprise.NotifyType.INFO
        taken = bool(found.notify(title=title, body=body, notify_type=kind))
    finally:
        log.removeHandler(words)
    return {"taken": taken, "why": None if taken else words.told or "the service did not take it"}


def check(address: str) -> str | None:
    """What is wrong with an address, without calling anybody; None when apprise knows what to do with it."""
    return None if isinstance(apprise.Apprise.instantiate(address), apprise.NotifyBase) else _unknown(address)


def _unknown(address: str) -> str:
    scheme = address.partition("://")[0]
    return f"apprise cannot use this {scheme}:// address; https://appriseit.com/services/ tells how each is written"


class _LastWords(logging.Handler):
    """What apprise logs of a failure, which is all that it tells."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(without_addresses(record.getMessage()).strip().rstrip("."))

    @property
    def told(self) -> str:
        return "; ".join(self._lines[-LAST_WORDS:])
