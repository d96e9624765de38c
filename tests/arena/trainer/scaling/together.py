"""Several processes of a trainer without torchrun: this one is the first, the others are forked from it, torch and all.

Groups, sockets and processes are real; only the imports are done already, which is what most of their time goes to.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from arena.protocol import Begin, Command, Event
from arena.trainer.engine import BattleTrainer
from arena.trainer.scaling import company
from arena.trainer.scaling.company import Company
from arena.trainer.scaling.follower import follow
from arena.trainer.scaling.membership import Membership
from tests.arena.trainer.driving import Field
from tests.arena.trainer.fighting_here import Answer, fight
from tests.waiting import wait_until

_fork = multiprocessing.get_context("fork")

PATIENCE = 60.0


def fight_together(
    field: Field,
    *first: Command,
    processes: int,
    answer: Answer = lambda event: None,
    spoil: Callable[[], None] = lambda: None,
    timeout_seconds: float = PATIENCE,
    **begin: Any,
) -> list[Event]:
    """As `fight`, with so many processes; each of the others does `spoil` first, and none waits longer for another."""
    place = field.base / f"meeting-{len(list(field.base.glob('meeting-*')))}"
    place.mkdir()
    companies: list[Company] = []

    def lead(trainer: BattleTrainer, began: Begin) -> None:
        companies.append(_meet(Membership(0, processes, place), timeout_seconds))
        trainer.lead(companies[0], began)

    def be_another(rank: int) -> None:
        company.TIMEOUT_SECONDS = timeout_seconds
        spoil()
        sys.exit(follow(field.paths, Membership(rank, processes, place)))

    with _forked([partial(be_another, rank) for rank in range(1, processes)]) as others:
        try:
            events = fight(field, *first, answer=answer, prepare=lead, processes=processes, **begin)
            companies[0].part()
        finally:
            _forget(companies)
        for other in others:
            other.join(PATIENCE)
        assert [other.exitcode for other in others] == [0] * len(others)
    return events


def in_company(
    place: Path,
    size: int,
    work: Callable[[Company], Any],
    *,
    timeout_seconds: float = PATIENCE,
    answering: int | None = None,
) -> list[Any]:
    """What `work` returns, or the error that it raises, in the first `answering` of so many processes, or in all."""
    place.mkdir()
    pipes = [_fork.Pipe(duplex=False) for _ in range(size)]

    def run(rank: int, answer: Connection) -> None:
        membership = Membership(rank, size, place)
        try:
            found = work(_meet(membership, timeout_seconds))
        except Exception as error:  # noqa: BLE001 - it is what the test asks for
            found = error
        # A connection's own way shares the memory of tensors, with a process that is gone when it is read.
        answer.send_bytes(pickle.dumps(found))
        # Not before the others are through: they would lose this one.
        wait_for_all(place, rank, size)

    with _forked([partial(run, rank, pipes[rank][1]) for rank in range(size)]):
        found = []
        for receiver, _ in pipes[:answering]:
            assert receiver.poll(PATIENCE), "a process does not answer"
            found.append(pickle.loads(receiver.recv_bytes()))  # noqa: S301 - our own child
    return found


def wait_for_all(place: Path, rank: int, size: int) -> None:

    (place / f"through-{rank}").touch()
    wait_until(lambda: len(list(place.glob("through-*"))) == size, timeout=PATIENCE)


def _meet(membership: Membership, timeout_seconds: float = PATIENCE) -> Company:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    membership.call()
    return Company(membership, timeout_seconds)


@contextmanager
def _forked(works: list[Callable[[], None]]) -> Iterator[list[BaseProcess]]:
    others: list[BaseProcess] = [_fork.Process(target=_alone, args=(work,), daemon=True) for work in works]
    for other in others:
        other.start()
    try:
        yield others
    finally:
        for other in others:
            other.kill()
            other.join()


def _alone(work: Callable[[], None]) -> None:
    # The threads of the process that was forked are not in this one.
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    work()


def _forget(companies: list[Company]) -> None:
    for each in companies:
        each._over.set()
        each._keeper.join()
    if dist.is_initialized():
        dist.destroy_process_group()
