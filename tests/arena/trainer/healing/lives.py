"""One life of the trainer after the other, until all is learned: in this process, with losses that the test spoils, or
in processes of their own, which can be killed.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from arena.protocol import Command, Event, QuestEnded, Ready, Refused, Stop, decode_event, encode
from arena.supervision.position_file import PositionFile
from arena.trainer.engine import BattleTrainer
from arena.trainer.link import DaemonLink
from arena.trainer.stream.batching import MicroBatch
from arena.trainer.summoning import summon
from arena.trainer.target_loss import SummedLoss
from tests.arena.trainer.driving import PATIENCE, Field, Foe

E = TypeVar("E", bound=Event)

Spoil = Callable[[BattleTrainer, SummedLoss], SummedLoss]
"""Makes the loss of a life out of the real one."""

MOST_LIVES = 16
KILLED = "The trainer was ended by signal SIGKILL"


@dataclass
class Daemon:
    """Gives the trainer one quest after the other, and asks it to stop after the last."""

    foes: list[Foe]
    events: list[Event] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def listen(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as told:
            for line in told:
                if (command := self.answer(decode_event(line))) is not None:
                    connection.sendall(encode(command) + b"\n")

    def answer(self, event: Event) -> Command | None:
        """What the trainer is told when it has said this."""
        self.events.append(event)
        if isinstance(event, Ready):
            self._open = list(event.replay)
        elif isinstance(event, QuestEnded | Refused) and event.quest_id in self._open:
            self._open.remove(event.quest_id)
        else:
            return None
        if self._open:
            return None
        if not self.foes:
            return Stop(reason="the test is over")
        foe = self.foes.pop(0)
        self._open.append(foe.quest_id)
        return foe.claim()


@dataclass
class Lives:
    """What all lives together said."""

    events: list[Event] = field(default_factory=list)
    count: int = 0
    kills: int = 0

    def said(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def end_of(self, quest_id: str) -> QuestEnded:
        """The last word on a quest."""
        return [event for event in self.said(QuestEnded) if event.quest_id == quest_id][-1]

    def outcomes(self) -> dict[str, str]:
        return {event.quest_id: event.outcome for event in self.said(QuestEnded)}


def learn_all(place: Field, foes: Sequence[Foe], spoil: Spoil | None = None, **begin: Any) -> Lives:
    """Learn the quests in order and stop; a trainer that goes back is followed by another, as the daemon does it."""
    lives = Lives()
    while lives.count < MOST_LIVES:
        lives.count += 1
        if _live(place, foes, spoil, lives, begin):
            return lives
    raise AssertionError(f"{MOST_LIVES} lives were not enough; they said {lives.events}")


def _live(place: Field, foes: Sequence[Foe], spoil: Spoil | None, lives: Lives, begin: dict[str, Any]) -> bool:
    """One life; False when it ended by itself to go back."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    daemon = Daemon(_unclaimed(place, foes))
    ears = threading.Thread(target=daemon.listen, args=(theirs,), name="daemon-ears")
    ears.start()
    link = DaemonLink(ours)
    position = PositionFile(place.paths.current_model / ".position")
    try:
        battle, trainer = summon(place.paths, link, place.begin(**begin), position)
        if spoil is not None:
            trainer.summed_loss = spoil(trainer, trainer.summed_loss)
        trainer.train(resume_from_checkpoint=battle.resume_from)
        assert not battle.unsaved
        return battle.situation.worth_saving
    finally:
        link.close()
        position.close()
        ears.join()
        theirs.close()
        lives.events += daemon.events


def _unclaimed(place: Field, foes: Sequence[Foe]) -> list[Foe]:
    known = {claim.quest_id for claim in place.history.claims.values()}
    return [foe for foe in foes if foe.quest_id not in known]


def learn_all_by_children(place: Field, foes: Sequence[Foe], **begin: Any) -> Lives:
    """`learn_all` in real processes; one that is killed is followed by another, too."""
    lives = Lives()
    while lives.count < MOST_LIVES:
        lives.count += 1
        if asyncio.run(_child_life(place, foes, lives, begin)):
            return lives
    raise AssertionError(f"{MOST_LIVES} lives were not enough; they said {lives.events}")


async def _child_life(place: Field, foes: Sequence[Foe], lives: Lives, begin: dict[str, Any]) -> bool:
    """One life; False when it was killed or ended by itself to go back."""
    daemon, is_over = Daemon(_unclaimed(place, foes)), False
    async with place.child(**begin) as child:
        while (event := await asyncio.wait_for(child.process.next_event(), PATIENCE)) is not None:
            if (command := daemon.answer(event)) is not None:
                is_over = isinstance(command, Stop)
                await child.send(command)
        death = await child.process.wait()
    lives.events += daemon.events
    killed = death.cause.startswith(KILLED)
    assert death.clean or killed, death.cause
    lives.kills += killed
    return is_over and death.clean


def holds(batch: MicroBatch, text: str) -> bool:
    """Whether a row of the batch contains this text (one token is one byte)."""
    needle = torch.tensor(list(text.encode()))
    if batch.input_ids.shape[1] < len(needle):
        return False
    return bool((batch.input_ids.unfold(1, len(needle), 1) == needle).all(-1).any())


def oracle(base: Path, fought: Field, spoil: Spoil | None = None) -> Path:
    """Law 3: an undisturbed life, from the base model, fed the journal of `fought`; its checkpoint."""
    undisturbed = Field(base, fought.model, dict(fought.foes))
    undisturbed.journal.write_bytes(fought.journal.read_bytes())
    lives = learn_all(undisturbed, [], spoil)
    assert lives.count == 1
    assert lives.said(Ready)[0].checkpoint is None
    assert undisturbed.journal.read_bytes() == fought.journal.read_bytes()
    return undisturbed.head
