"""What the daemon has asked of the trainer and what has not been done yet."""

from __future__ import annotations

import msgspec

from arena.protocol import Begin, Claim, Pause, Resume, Save, Skip, Stop
from arena.trainer.link import DaemonLink


class Orders:
    """Collects commands from the link; the battle acts on them at step boundaries."""

    def __init__(self, link: DaemonLink, *, pause_reason: str | None) -> None:
        self._link = link
        self.pause_reason = pause_reason
        self.stop_reason: str | None = None
        self.skip: Skip | None = None
        self.save: Save | None = None
        self.claim: Claim | None = None

    def look(self) -> None:
        """Take in whatever has arrived, without waiting."""
        self._take(timeout=0.0)

    def wait(self, seconds: float) -> None:
        """Take in what arrives within `seconds`, returning as soon as something does."""
        self._take(timeout=seconds)

    def stop(self, reason: str) -> None:
        """Stop at the next boundary; also called by the signal handler."""
        self.stop_reason = self.stop_reason or reason
        self._link.wake()

    def _take(self, timeout: float) -> None:
        while (command := self._link.receive(timeout)) is not None:
            timeout = 0.0
            match command:
                case Pause(reason=reason):
                    self.pause_reason = reason
                case Resume():
                    self.pause_reason = None
                case Stop(reason=reason):
                    self.stop(reason)
                case Skip():
                    self.skip = command
                case Save():
                    self.save = command if self.save is None else _both(self.save, command)
                case Claim():
                    self.claim = command
                case Begin():
                    raise ValueError("the daemon said Begin twice")
        if self._link.closed:
            self.stop_reason = self.stop_reason or "the daemon is gone"


def _both(first: Save, second: Save) -> Save:
    """One order for two: neither an urgent one nor one anew is lost behind the other."""
    reason = second.reason if second.urgent or second.anew else first.reason
    return msgspec.structs.replace(
        first, reason=reason, urgent=first.urgent or second.urgent, anew=first.anew or second.anew
    )
