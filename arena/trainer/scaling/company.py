"""The group that the processes of one trainer form: plans from the first to the others, tensors among all of them.

The first process sends plans, an idle one every few seconds, from a thread of its own: whatever it does meanwhile
(loading, tokenizing, saving, waiting for a quest), the others never wait into the timeout, and a process that is gone
is noticed. Between a plan that all of them carry out together and its end the thread is kept out.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from arena.trainer.scaling.membership import STORE, Membership
from arena.trainer.scaling.plans import End, Idle, Plan, decode_plan, encode_plan
from core.errors import Unavailable, first_line

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 1800.0
"""How long one process waits for another. One that is gone is noticed at once, one that hangs is the daemon's to end,
and one that somebody has stopped may go on."""
IDLE_SECONDS = 5.0
"""Between two idle plans at most; where the timeout is short, four of them fit into it."""
PACKET_BYTES = 512
"""Sent of every plan at once: its length and its beginning. Those with rows or layouts go on in a second message."""
_LENGTH = 8
_PLACE = re.compile(r"^\[[^]]*\] ")


class PartnerLost(Unavailable):
    """Another process of the trainer is gone."""

    out_of_memory = False
    """Whether it ran out of memory; a new trainer makes the step smaller then."""


class OutOfStep(Unavailable):
    """This process has failed amid something that it does with all others: none of them can go on."""


class Company:
    """One per process, from when all have met to the end."""

    def __init__(self, membership: Membership, timeout_seconds: float | None = None) -> None:
        """Meet the others. `timeout_seconds` is how long one process waits for another at most (None: half an hour)."""
        timeout_seconds = TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
        self.rank, self.size = membership.rank, membership.size
        self._membership = membership
        self._timeout = timedelta(seconds=timeout_seconds)
        self._talking = threading.Lock()
        self._over = threading.Event()
        self._data: dist.ProcessGroup | None = None
        """For tensors on a GPU; all else goes over the first group."""
        with self._unbroken():
            dist.init_process_group(
                "gloo", init_method=f"file://{membership.place / STORE}", rank=self.rank, world_size=self.size,
                timeout=self._timeout,
            )  # fmt: skip
        if self.rank == 0:
            idle_seconds = min(IDLE_SECONDS, timeout_seconds / 4)
            self._keeper = threading.Thread(target=self._keep, args=(idle_seconds,), name="company", daemon=True)
            self._keeper.start()

    # --- the first process -------------------------------------------------------------------------------------

    def tell(self, plan: Plan) -> None:
        """Send a plan that each of the others carries out for itself. Raises `PartnerLost`."""
        with self.together(plan):
            pass

    @contextmanager
    def together(self, plan: Plan) -> Iterator[None]:
        """Send a plan and carry it out with the others in the block."""
        with self._talking:
            self._send(plan)
            yield

    def part(self) -> None:
        """Send the others home. Raises `PartnerLost` where one of them has gone before."""
        self._over.set()
        self._keeper.join()
        self.tell(End())
        dist.destroy_process_group()

    def _keep(self, idle_seconds: float) -> None:
        while not self._over.wait(idle_seconds):
            try:
                self.tell(Idle())
            except PartnerLost as lost:
                # Torchrun, or its end, tells the main thread.
                logger.warning("%s", lost, extra={"event": "partner_lost"})
                return

    def _send(self, plan: Plan) -> None:
        raw = encode_plan(plan)
        message = bytearray(max(PACKET_BYTES, _LENGTH + len(raw)))
        message[:_LENGTH] = len(raw).to_bytes(_LENGTH, "little")
        message[_LENGTH : _LENGTH + len(raw)] = raw
        whole = torch.frombuffer(message, dtype=torch.uint8)
        self.broadcast(whole[:PACKET_BYTES])
        if len(whole) > PACKET_BYTES:
            self.broadcast(whole[PACKET_BYTES:])

    # --- the others --------------------------------------------------------------------------------------------

    def next_plan(self) -> Plan:
        """Wait for the next plan that is not idle. Raises `PartnerLost`."""
        while True:
            packet = torch.empty(PACKET_BYTES, dtype=torch.uint8)
            self.broadcast(packet)
            raw = packet.numpy().tobytes()
            length = int.from_bytes(raw[:_LENGTH], "little")
            if (more := _LENGTH + length - PACKET_BYTES) > 0:
                rest = torch.empty(more, dtype=torch.uint8)
                self.broadcast(rest)
                raw += rest.numpy().tobytes()
            plan: Plan = decode_plan(raw[_LENGTH : _LENGTH + length])
            if not isinstance(plan, Idle):
                return plan

    # --- all of them, at the same time -------------------------------------------------------------------------

    def connect(self, device: torch.device) -> None:
        """Make the group for tensors on this kind of device."""
        if device.type == "cuda":
            with self._unbroken():
                self._data = dist.new_group(backend="nccl", timeout=self._timeout)

    def broadcast(self, tensor: torch.Tensor) -> None:
        """The first process' tensor, into that of the others."""
        with self._unbroken():
            dist.broadcast(tensor, 0, group=self._group_of(tensor))

    def maximum(self, numbers: torch.Tensor) -> None:
        """The largest of all processes, place by place, into the tensor itself."""
        with self._unbroken():
            dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self._group_of(numbers))

    def exchange(self, received: torch.Tensor, sent: torch.Tensor, receiving: list[int], sending: list[int]) -> None:
        """So many elements of `sent` to each process, so many of each into `received`, by rank."""
        with self._unbroken():
            dist.all_to_all_single(received, sent, receiving, sending, group=self._group_of(sent))

    def gather(self, whole: torch.Tensor, part: torch.Tensor) -> None:
        """The parts of all processes, of one size and by rank, into `whole` on each."""
        with self._unbroken():
            dist.all_gather_single(whole, part, group=self._group_of(part))

    def _group_of(self, tensor: torch.Tensor) -> dist.ProcessGroup | None:
        return self._data if tensor.is_cuda else None

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """What a group raises when a process is gone, or does not answer in time, tells of neither."""
        try:
            yield
        # Not an error of memory either: it must not be tried again with smaller micro-batches by one of them alone.
        except (RuntimeError, MemoryError) as error:
            # Never held by a name here: an error that its own traceback leads to keeps groups and weights alive.
            raise self._lost(error) from error

    def _lost(self, error: Exception) -> PartnerLost:
        lost = PartnerLost(self._what_happened(error))
        lost.out_of_memory = self._membership.ran_out_of_memory()
        return lost

    def _what_happened(self, error: Exception) -> str:
        told = [f"process {rank} failed: {why}" for rank, why in self._membership.failures().items()]
        if told:
            return f"Of the {self.size} processes of the trainer, {'; '.join(told)}"
        # Gloo says where in its source, and some advice that does not apply.
        what = _PLACE.sub("", first_line(error)).split(". ")[0]
        return f"The {self.size} processes of the trainer have lost each other: {what}."
