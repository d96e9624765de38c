"""`python -m arena.trainer.scaling`: torchrun, around as many `arena.trainer` as `distributed.processes` says.

It is torchrun with its own flags, so chosen that nothing listens beyond loopback (the processes find each other by
files of a private folder), that a save has time when torchrun ends the others, and that nothing is left in `/tmp`. It
ends as the one of them that failed: by the same signal, or with the same exit code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

SAVE_SECONDS = 300
"""What torchrun gives the processes that are left to end by themselves: as long as a next trainer waits for them."""
LOOK_SECONDS = 0.5
"""Between two looks of torchrun at its processes."""
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Without the last one torchrun opens a port of every address for a store that nobody here asks."""


def main() -> int:
    """Run until all processes have ended; what is not named here is for each of them."""
    parser = argparse.ArgumentParser(prog="python -m arena.trainer.scaling", allow_abbrev=False)
    parser.add_argument("--processes", required=True, type=int)
    parser.add_argument("--meeting-place", required=True, type=Path)
    options, theirs = parser.parse_known_args()
    # torchrun sets the threads to 1 as well, with a warning; each process sets its own when it loads.
    os.environ.update(LOOPBACK, OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"))
    daemon, place = os.getppid(), options.meeting_place
    code = 0
    try:
        run(parse_args([*_flags(options.processes, place), "--meeting-place", str(place), *theirs]))  # type: ignore[no-untyped-call]
    except ChildFailedError as failed:
        # Those that a signal has ended come first: the others fail because one of them is gone.
        code = min(failure.exitcode for failure in failed.failures.values())
    except SignalException as told:
        code = -told.sigval
    finally:
        if os.getppid() != daemon:
            shutil.rmtree(place, ignore_errors=True)  # which is the daemon's to do otherwise
    if code < 0:
        _die_of(-code)
    return code


def _flags(processes: int, place: Path) -> list[str]:
    return [
        "--nnodes=1", f"--nproc-per-node={processes}", "--max-restarts=0",
        "--rdzv-backend=c10d", f"--rdzv-endpoint={place / 'rendezvous'}", "--rdzv-conf=store_type=file",
        f"--rdzv-id={os.getpid()}", "--local-addr=127.0.0.1", f"--monitor-interval={LOOK_SECONDS}",
        f"--shutdown-timeout={SAVE_SECONDS}", f"--log-dir={place / 'logs'}", "-m", "arena.trainer",
    ]  # fmt: skip


def _die_of(number: int) -> None:
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    sys.exit(main())
