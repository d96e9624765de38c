"""One life of the trainer after the other in this process, with losses that the test spoils, until all is learned."""

from __future__ import annotations

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
from tests.arena.trainer.driving import Field, Foe

E = TypeVar("E", bound=Event)

Spoil = Callable[[BattleTrainer, SummedLoss], SummedLoss]
"""Makes the loss of a life out of the real one."""

MOST_LIVES = 8


class Slain(BaseException):
    """What a kill does to a trainer in this process: it ends, and nothing is saved or told."""


@dataclass
class Daemon:
    """Gives the trainer one quest after the other, and asks it to stop after the last."""

    connection: socket.socket
    foes: list[Foe]
    events: list[Event] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def listen(self) -> None:
        with self.connection.makefile("rb") as told:
            for line in told:
                event = decode_event(line)
                self.events.append(event)
                if isinstance(event, Ready):
                    self._open = list(event.replay)
                    self._go_on()
                elif isinstance(event, QuestEnded | Refused) and event.quest_id in self._open:
                    self._open.remove(event.quest_id)
                    self._go_on()

    def _go_on(self) -> None:
        if self._open:
            return
        command: Command = Stop(reason="the test is over")
        if self.foes:
            foe = self.foes.pop(0)
            self._open.append(foe.quest_id)
            command = foe.claim()
        self.connection.sendall(encode(command) + b"\n")


@dataclass
class Lives:
    """What all lives together said."""

    events: list[Event] = field(default_factory=list)
    count: int = 0

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
    known = {claim.quest_id for claim in place.history.claims.values()}
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    daemon = Daemon(theirs, [foe for foe in foes if foe.quest_id not in known])
    ears = threading.Thread(target=daemon.listen, name="daemon-ears")
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
