"""`python -m arena.trainer`: the resident trainer child, started by the daemon and by `realm train`.

It says hello, waits for the model directory's lock, loads the hero once, and fights until it is told to stop or its
daemon is gone; then it saves and exits with 0. Whatever happens, it leaves an exit record.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import sys
import traceback
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from arena.protocol import PROTOCOL_VERSION, SOCKET_VARIABLE, Begin, Exiting, Hello, Loading
from arena.supervision.child_guard import DUMP_SIGNAL
from arena.supervision.exit_record import forget_exit_record, write_exit_record
from arena.supervision.position_file import Phase, PositionFile
from arena.trainer.link import DaemonLink
from arena.trainer.scaling.membership import Membership
from core.crash_points import crash_point
from core.errors import RealmError
from core.files import DISK_TROUBLE
from core.instance import InstanceLock
from core.lasting_imports import lasting_imports
from core.logs import configure_logging
from core.paths import RealmPaths

if TYPE_CHECKING:
    from arena.trainer.scaling.company import Company

logger = logging.getLogger("arena.trainer")

LOCK_WAIT_SECONDS = 300.0
HELLO_ANSWER_SECONDS = 60.0
TOLD_TO_END = (signal.SIGTERM, signal.SIGHUP)
"""Each makes it finish its step and save. A Ctrl-C in a terminal is for the daemon, which then asks for a stop."""


class SentAway(BaseException):
    """It was told to end before there was anything to save. No library that is being loaded may take it for its own."""


_told_early: list[str] = []
"""What `_go_at_once` has raised: an exception out of a signal is lost where it falls into a finalizer."""


def main() -> int:
    """Run the child; exit code 0 after a stop, 1 after a failure that the exit record names."""
    parser = argparse.ArgumentParser(prog="python -m arena.trainer")
    parser.add_argument("--base-dir", required=True, type=Path)
    parser.add_argument("--log-megabytes", type=int, default=64)
    parser.add_argument("--meeting-place", type=Path, help="given to each of several processes by torchrun")
    options = parser.parse_args()
    paths = RealmPaths(options.base_dir)
    membership = Membership.from_torchrun(options.meeting_place) if options.meeting_place else None
    if membership is not None and membership.rank:
        return _follow(paths, membership)
    lock = InstanceLock(paths.current_model / ".lock")
    link: DaemonLink | None = None
    code = 0
    try:
        _prepare_for_signals()
        configure_logging(paths.logs, "trainer", max_bytes_total=options.log_megabytes << 20)
        link = DaemonLink.connect(os.environ[SOCKET_VARIABLE])
        link.send(Hello(version=PROTOCOL_VERSION, pid=os.getpid()))
        lock.acquire(
            {"what": "trainer"},
            wait_seconds=LOCK_WAIT_SECONDS,
            on_wait=partial(_tell_of_wait, link),
        )
        forget_exit_record(paths.current_model, os.getpid())
        reason = _fight(paths, link, membership)
    except SentAway as told:
        # Torchrun then ends the others, who may not know of this one yet.
        code = 1 if membership is not None else 0
        reason = f"{told} while it was loading"
    except Exception as error:  # every failure must reach the exit record
        logger.exception("the trainer failed", extra={"event": "trainer_failed"})
        _leave(paths, link, clean=False, reason=_one_line(error), error=error)
        return 1
    _leave(paths, link, clean=True, reason=reason)
    lock.release()
    return code


def _tell_of_wait(link: DaemonLink, holder: dict[str, object] | None) -> None:
    pid = (holder or {}).get("pid", "another")
    link.send(Loading(what=f"waiting for trainer {pid} to save and exit"))


def _ran_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from arena.trainer.healing.out_of_memory import died_of_memory
    from arena.trainer.scaling.company import PartnerLost

    return died_of_memory(error) or (isinstance(error, PartnerLost) and error.out_of_memory)


def _show_stacks() -> None:
    """What breaks or hangs inside a library leaves its stack in the log; the parent asks for those of a hung child."""
    faulthandler.enable()
    faulthandler.register(DUMP_SIGNAL, all_threads=True, chain=False)


def _prepare_for_signals() -> None:
    _show_stacks()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in TOLD_TO_END:
        signal.signal(number, _go_at_once)


def _go_at_once(number: int, frame: object) -> None:
    """Nothing is learned yet that could be lost."""
    _told_early.append(_told(number))
    raise SentAway(_told(number))


def _told(number: int) -> str:
    return f"signal {signal.Signals(number).name}"


def _one_line(error: Exception) -> str:
    return str(error) if isinstance(error, RealmError) else f"{type(error).__name__}: {error}"


def _leave(
    paths: RealmPaths, link: DaemonLink | None, *, clean: bool, reason: str, error: Exception | None = None
) -> None:
    """Say why it goes; without a link, only the exit record tells."""
    for number in TOLD_TO_END:
        signal.signal(number, signal.SIG_IGN)  # it is going
    if link is not None:
        link.send(Exiting(reason=reason))
    crash_point("exit.saved")
    try:
        write_exit_record(
            paths.current_model, pid=os.getpid(), now=datetime.now(UTC), clean=clean, reason=reason,
            traceback="".join(traceback.format_exception(error)) if error is not None else None,
            out_of_memory=error is not None and _ran_out_of_memory(error),
        )  # fmt: skip
    except OSError:
        logger.exception("no exit record could be written", extra={"event": "exit_record_failed"})
    crash_point("exit.recorded")
    if link is not None:
        link.close()


def _fight(paths: RealmPaths, link: DaemonLink, membership: Membership | None) -> str:
    """Load the hero and run the endless battle; returns why it ended."""
    begin = link.receive(HELLO_ANSWER_SECONDS)
    if not isinstance(begin, Begin):
        raise RealmError("The daemon did not say how to begin.")
    position = PositionFile(paths.current_model / ".position")
    position.write(Phase.LOADING)
    link.send(Loading(what="loading torch"))
    # torch takes seconds to import; the hello above must not wait for it. transformers would import peft for everybody.
    with lasting_imports(without=() if begin.lora else ("peft",)):
        from arena.trainer.summoning import summon
    company = _gather(link, membership) if membership is not None else None
    try:
        battle, trainer = summon(paths, link, begin, position)
        if company is not None:
            trainer.lead(company, begin)
    except SentAway:
        if company is not None:
            company.part()  # raises where another one is gone, for which torchrun ends this one too
        raise
    stop = battle.situation.orders.stop
    for told in TOLD_TO_END:
        signal.signal(told, lambda number, frame: stop(_told(number)))
    for early in _told_early:
        stop(early)
    try:
        trainer.train(resume_from_checkpoint=battle.resume_from)
    except OSError as error:
        if error.errno in DISK_TROUBLE:
            battle.situation.note(Phase.WAITING)  # no quest is to blame for its disk (A28)
        raise
    if battle.unsaved:
        raise RealmError(
            "The last checkpoint could not be saved; what was learned since the one before is replayed next time.",
            hint="Look at the free space of the disk that holds current_model/.",
        )
    battle.situation.note(Phase.EXITED)
    if company is not None:
        _part(company)
    return battle.situation.orders.stop_reason or "the battle ended"


def _part(company: Company) -> None:
    """Send the others home: all is saved, so one that is gone already takes nothing along."""
    from arena.trainer.scaling.company import PartnerLost

    try:
        company.part()
    except PartnerLost as lost:
        logger.warning("%s", lost, extra={"event": "partner_lost"})


def _gather(link: DaemonLink, membership: Membership) -> Company:
    """Meet the other processes, which have loaded torch meanwhile."""
    from arena.trainer.scaling.company import Company

    link.send(Loading(what=f"waiting for the other {membership.size - 1} of {membership.size} processes"))
    membership.call()
    return Company(membership)


def _follow(paths: RealmPaths, membership: Membership) -> int:
    _show_stacks()
    with lasting_imports():
        from arena.trainer.scaling.follower import follow
    return follow(paths, membership)


if __name__ == "__main__":
    sys.exit(main())
