"""A realm that is brought up again whenever its control process has ended, as a service manager does it."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tests.acceptance.living_realm import LivingRealm

ASKED_FOR = 0
KILLED = -signal.SIGKILL


class UndyingRealm(LivingRealm):
    """Waiting for something outlasts every death; an exit code other than that of a kill or a wished end fails."""

    def __init__(self, base: Path, **settings: Any) -> None:
        super().__init__(base, **settings)
        self.ends: Counter[int] = Counter()
        """How often the control process has ended, by exit code."""
        self._environment: dict[str, str] = {}

    def launch(self, **environment: str) -> None:
        """Start it; the next lives have the same environment."""
        self._environment = environment
        super().launch(**environment)

    def kill(self, victim: str) -> bool:
        """SIGKILL to the `trainer`, the `daemon` or `both`, at this very moment; False when there was no trainer."""
        trainer = self.trainer() if victim != "daemon" else None
        if victim != "daemon" and trainer is None:
            return False
        if victim != "trainer":
            assert self._process is not None
            self._process.kill()
        if trainer is not None:
            with suppress(psutil.NoSuchProcess):
                trainer.kill()
        if victim != "trainer":
            self._on_end(self.wait_for_end(), f"the end of {victim}")
        return True

    def revive(self) -> None:
        """Start it again when it has ended, or does so at this moment."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            self._on_end(self._process.wait(0.1), "its end was wished")

    def _on_end(self, code: int, awaited: str) -> None:
        self.ends[code] += 1
        if code not in (ASKED_FOR, KILLED):
            super()._on_end(code, awaited)
        self._process = None
        self.launch(**self._environment)
