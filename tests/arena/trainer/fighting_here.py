"""A trainer in the test's own process, with the test in the daemon's place: no child to start, no torch to import."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from arena.protocol import Begin, Command, Event, decode_event, encode
from arena.supervision.position_file import PositionFile
from arena.trainer.engine import BattleTrainer
from arena.trainer.link import DaemonLink
from arena.trainer.summoning import summon
from tests.arena.trainer.driving import Field

Answer = Callable[[Event], Command | None]


def fight(
    field: Field,
    *first: Command,
    answer: Answer = lambda event: None,
    prepare: Callable[[BattleTrainer, Begin], None] = lambda trainer, begin: None,
    **begin: Any,
) -> list[Event]:
    """Train until `stop_at_step` of `begin`, or a `Stop` that `answer` gives to an event.

    `prepare` gets the trainer when all is loaded. Returns everything that was told, or raises what ended the trainer.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    events: list[Event] = []

    def listen() -> None:
        # Whoever has made its last step is gone by the time that it is answered.
        with suppress(BrokenPipeError, ConnectionResetError), theirs, theirs.makefile("rb") as told:
            for line in told:
                events.append(decode_event(line))
                if (command := answer(events[-1])) is not None:
                    theirs.sendall(encode(command) + b"\n")

    for command in first:
        theirs.sendall(encode(command) + b"\n")
    listener = threading.Thread(target=listen)
    listener.start()
    link = DaemonLink(ours)
    position = PositionFile(field.paths.current_model / ".position")
    try:
        began = field.begin(**begin)
        battle, trainer = summon(field.paths, link, began, position)
        prepare(trainer, began)
        trainer.train(resume_from_checkpoint=battle.resume_from)
    finally:
        position.close()
        link.close()
        listener.join(timeout=10)
    return events
