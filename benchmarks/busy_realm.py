"""A realm that has something to learn at any time and outlives its kills, for who watches its pages meanwhile."""

from __future__ import annotations

from pathlib import Path

from benchmarks.callers import free_ports
from tests.acceptance.nursery import Nursery
from tests.acceptance.undying_realm import UndyingRealm

ROWS, EPOCHS = 480, 20
"""Of a quest: 1 200 steps of the smallest hero, so that each brings a level."""


class BusyRealm(UndyingRealm):
    """Its sites have the same addresses in all its lives, so that pages find it again."""

    def __init__(self, base: Path, *, nursery: Nursery) -> None:
        tavern, vault, watchtower = free_ports(3)
        services = {"tavern": tavern, "vault": vault, "watchtower": watchtower}
        super().__init__(
            base, nursery=nursery, services=services, hyperparams={"batch_size": 8, "epochs": EPOCHS}
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{tavern}/"
        self._quests = 0

    def keep_busy(self) -> None:
        """Drop a quest unless one waits already."""
        lanes = [*self.lane("normal"), *self.lane("processing")]
        if len(lanes) + len(list(self.paths.inbox.glob("*.jsonl"))) < 2:
            self.drop(f"quest-{self._quests:03}", ROWS, start=self._quests * ROWS)
            self._quests += 1
