"""Trainer children that start in a tenth of the time: forked from a process that has imported torch already.

A walk through all crash points needs dozens of trainers, and each spends five seconds of CPU on the same imports. The
daemon starts its child as ever, by `sys.executable -m arena.trainer`; in a realm of the nursery `sys.executable` is a
script that starts Python for everything but the trainer, and for that `tests.acceptance.stand_in`. The fork is
`arena.trainer`'s own `main`, with the arguments, environment, output and pid of the process that the daemon knows. A
real SIGKILL of either is the end of both, and where one is stopped the other is. What differs from a real child is only
that its imports are done.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

import core.crash_points
from core.paths import CHECKOUT

REQUEST_BYTES = 1 << 17
LOOK_SECONDS = 0.02
"""Between two looks whether a stand-in was stopped."""
STAND_IN = """#!/bin/sh
if [ "$2" = arena.trainer ]; then exec {python} -S -E -m tests.acceptance.stand_in {place} "$@"; fi
exec {python} "$@"
"""


class Nursery:
    """The process that is forked; as a context manager it ends, and with it every child that is left."""

    def __init__(self, **environment: str) -> None:
        """`environment` is for what is looked at on import. A child's own crash points are looked at with its birth."""
        # Not pytest's folder: the name of a socket is limited to 107 bytes.
        self._folder = tempfile.TemporaryDirectory(prefix="nursery-")
        place = Path(self._folder.name) / "socket"
        self.python = Path(self._folder.name) / "python"
        """What stands in for `sys.executable`."""
        self.python.write_text(STAND_IN.format(python=sys.executable, place=place))
        self.python.chmod(0o755)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            # Here, so that who comes during the imports can wait.
            listener.bind(str(place))
            listener.listen(8)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.nursery", "serve", str(listener.fileno())],
                cwd=CHECKOUT, env=os.environ | environment, stdin=subprocess.PIPE, pass_fds=[listener.fileno()],
            )  # fmt: skip

    def command(self, *arguments: str) -> list[str]:
        """`realm ARGUMENTS` in a process that has its trainers from here."""
        return [sys.executable, "-m", "tests.acceptance.nursery", "realm", str(self.python), *arguments]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It ends when its standard input does, unless its imports have failed or hang.
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def serve(listener: socket.socket) -> None:
    """Fork a trainer for each that connects, until standard input ends."""
    import arena.trainer.__main__
    import arena.trainer.summoning  # noqa: F401 - for its torch

    gc.freeze()
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waker.fileno())
    wards: dict[socket.socket, int] = {}
    held: set[int] = set()
    looker = selectors.DefaultSelector()
    for source in (listener, woken, sys.stdin):
        looker.register(source, selectors.EVENT_READ)
    while True:
        for key, _ in looker.select(LOOK_SECONDS if wards else None):
            if key.fileobj is sys.stdin:
                signal.set_wakeup_fd(-1)
                for pid in wards.values():
                    os.kill(pid, signal.SIGKILL)
                return
            if key.fileobj is woken:
                woken.recv(4096)
                _bury(wards, looker)
            elif key.fileobj is listener:
                link, _ = listener.accept()
                wards[link] = _give_birth(link)
                looker.register(link, selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket) and key.fileobj in wards:
                asked = b""
                with suppress(ConnectionError):
                    asked = key.fileobj.recv(16)
                os.kill(wards[key.fileobj], signal.SIGTERM if asked else signal.SIGKILL)
                if not asked:
                    looker.unregister(key.fileobj)
        _hold(wards, held)


def _hold(wards: dict[socket.socket, int], held: set[int]) -> None:
    """A child stands still while its stand-in does: a stop can be caught by neither."""
    held &= set(wards.values())
    for link, pid in wards.items():
        is_stopped = _state_of(_stand_in_of(link)) == "T"
        if is_stopped != (pid in held):
            os.kill(pid, signal.SIGSTOP if is_stopped else signal.SIGCONT)
            held ^= {pid}


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has gone
        return "X"


def _bury(wards: dict[socket.socket, int], looker: selectors.BaseSelector) -> None:
    """The stand-in of each child that has ended ends in the same way."""
    for link, pid in list(wards.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            continue
        del wards[link]
        if link in looker.get_map():
            looker.unregister(link)
            # It may have been killed at the same moment.
            with suppress(ConnectionError, ProcessLookupError):
                if os.WIFSIGNALED(status):
                    os.kill(_stand_in_of(link), os.WTERMSIG(status))
                else:
                    link.send(str(os.WEXITSTATUS(status)).encode())
        link.close()


def _stand_in_of(link: socket.socket) -> int:
    credentials = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], sys.byteorder)


def _give_birth(link: socket.socket) -> int:
    raw, outputs, _, _ = socket.recv_fds(link, REQUEST_BYTES, 2)
    pid = os.fork()
    if not pid:
        _live(raw, outputs)
    for output in outputs:
        os.close(output)
    return pid


def _live(raw: bytes, outputs: list[int]) -> NoReturn:
    """Be the trainer."""
    code = 1
    try:
        birth = json.loads(raw)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.dup2(outputs[0], 1)
        os.dup2(outputs[1], 2)
        # Also the other children's connections, which must break when their stand-ins end.
        os.closerange(3, 256)
        os.environ.clear()
        os.environ.update(birth["environment"])
        sys.argv = ["arena.trainer", *birth["arguments"]]
        os.getpid = lambda: birth["pid"]
        if any(name.startswith("REALM_CRASH_") for name in birth["environment"]):
            importlib.reload(core.crash_points)
        from arena.trainer.__main__ import main

        code = main()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, the fork must not go on as a second nursery
        traceback.print_exc()
    finally:
        os._exit(code)


def rule(python: str, arguments: list[str]) -> None:
    """`realm ARGUMENTS`, with `python` as what this process starts others with."""
    sys.executable = python
    sys.argv = ["realm", *arguments]
    from realm import main

    main()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(socket.socket(fileno=int(sys.argv[2])))
    else:
        rule(sys.argv[2], sys.argv[3:])
