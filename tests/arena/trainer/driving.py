"""Driving real trainer children from a test: a realm without a daemon, and the test in the daemon's place."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file

from arena.journal import JOURNAL_NAME, ClaimEntry, Dropped, End, History, read_history
from arena.protocol import (
    Begin,
    Claim,
    Claimed,
    Command,
    Event,
    Progress,
    QuestEnded,
    QuestSettings,
    Stop,
    Withdrawal,
)
from arena.protocol import OpenQuest as OpenQuest
from arena.supervision.trainer_process import Death, TrainerProcess
from core.paths import RealmPaths
from tests.arena.trainer.tiny_hero import chat, hash_of, settings, write_rows
from tests.replaying import replay as replay_journal
from vault.checkpoints import CheckpointStore
from vault.weights import weight_files

PATIENCE = 90.0
"""Seconds to wait for one event of a child on a busy machine."""

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Foe:
    """A quest file and how it is to be learned."""

    quest_id: str
    path: Path
    settings: QuestSettings

    def claim(self) -> Claim:
        return Claim(
            quest_id=self.quest_id, path=str(self.path), name=self.path.name, content_hash=hash_of(self.path),
            schema_id="chat_sft_v1", settings=self.settings,
        )  # fmt: skip


@dataclass
class Field:
    """A base directory with quests, on which one child after the other fights."""

    base: Path
    model: Path
    foes: dict[str, Foe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = RealmPaths(self.base)
        self.paths.create()

    def foe(self, quest_id: str, rows: int, **changes: Any) -> Foe:
        """A quest of that many chats; the same content for the same id on every field."""
        seed = sum(map(ord, quest_id)) * 1000
        path = write_rows(self.base / "quests" / f"{quest_id}.jsonl", [chat(seed + row) for row in range(rows)])
        self.foes[quest_id] = Foe(quest_id, path, settings(**changes))
        return self.foes[quest_id]

    def begin(self, **changes: Any) -> Begin:
        plain: dict[str, Any] = {
            "base_model": str(self.model), "hero": "tiny", "recipe": None, "device": "cpu", "threads": 1, "seed": 3,
            "fp_precision": "fp32", "defaults": settings(), "save_steps": 10_000, "eval_steps": 10_000,
            "eval_rows": 8, "withdrawals": [], "pause_reason": None,
            "open_quests": [OpenQuest(quest_id=foe.quest_id, path=str(foe.path)) for foe in self.foes.values()],
        }  # fmt: skip
        return Begin(**{**plain, **changes})

    @asynccontextmanager
    async def child(self, **changes: Any) -> AsyncIterator[Child]:
        """A started child; killed at the end of the block when it is still alive."""
        process = TrainerProcess(self.paths)
        await process.start(self.begin(**changes))
        child = Child(process)
        try:
            yield child
        finally:
            await process.end(grace_seconds=0.0)
            await process.wait()

    # --- what lies on disk ---------------------------------------------------------------------------------

    @property
    def journal(self) -> Path:
        return self.paths.current_model / JOURNAL_NAME

    @property
    def history(self) -> History:
        return read_history(self.journal)

    @property
    def head(self) -> Path:
        found = CheckpointStore(self.paths.current_model).resolve("latest")
        assert found is not None
        return found.path


@dataclass
class Child:
    """A running child and everything it has said."""

    process: TrainerProcess
    events: list[Event] = field(default_factory=list)
    _looked_at: int = 0

    async def until(self, kind: type[E], wanted: Callable[[E], bool] = lambda event: True) -> E:
        """Wait for the next such event; each event is looked at once."""
        while True:
            while self._looked_at < len(self.events):
                event = self.events[self._looked_at]
                self._looked_at += 1
                if isinstance(event, kind) and wanted(event):
                    return event
            heard = await asyncio.wait_for(self.process.next_event(), PATIENCE)
            if heard is None:
                death = await self.process.wait()
                raise AssertionError(f"no {kind.__name__} before the end: {death}; it said {self.events}")
            self.events.append(heard)

    async def send(self, command: Command) -> None:
        await self.process.send(command)

    async def learn(self, foe: Foe) -> QuestEnded:
        """Claim a quest and wait for its end."""
        await self.send(foe.claim())
        return await self.until(QuestEnded, lambda ended: ended.quest_id == foe.quest_id)

    async def begin_to_learn(self, foe: Foe) -> Progress:
        """Claim a quest and wait until a part of it is learned."""
        await self.send(foe.claim())
        return await self.until(Progress, lambda progress: progress.quest_id == foe.quest_id)

    async def stop(self, reason: str = "the test is over") -> Death:
        await self.send(Stop(reason=reason))
        return await self.farewell()

    async def kill(self) -> Death:
        """`kill -9` of the child."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        return await self.farewell()

    async def farewell(self) -> Death:
        while (event := await asyncio.wait_for(self.process.next_event(), PATIENCE)) is not None:
            self.events.append(event)
        return await self.process.wait()

    def said(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


async def replay(base: Path, model: Path, fought: Field) -> Path:
    """The oracle of law 3 for `fought`: see `tests.replaying.replay`."""
    begin = Field(base, model, dict(fought.foes)).begin()
    return await replay_journal(base, fought.journal.read_bytes(), begin)


def assert_equal_weights(first: Path, second: Path) -> None:
    """Bit for bit, model and optimizer."""
    one, other = (load_file(weight_files(folder)[0]) for folder in (first, second))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    moments, others = (torch.load(folder / "optimizer.pt", weights_only=True)["state"] for folder in (first, second))
    assert moments.keys() == others.keys()
    for number, state in moments.items():
        assert all(torch.equal(state[name], others[number][name]) for name in state), number


def entries(history: History, kind: type[ClaimEntry | End]) -> list[str]:
    """Quest ids of the claims or ends of a journal, in order of their ordinals."""
    ordinals = history.claims if kind is ClaimEntry else history.ends
    return [history.claims[ordinal].quest_id for ordinal in sorted(ordinals)]


__all__ = ["Child", "Claimed", "Dropped", "Field", "Foe", "Withdrawal", "assert_equal_weights", "entries", "replay"]
