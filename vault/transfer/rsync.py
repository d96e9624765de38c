"""rsync over ssh: its command line, what its exit codes mean, and how far it is.

Argument lists only. Names of files go through standard input and rsync's own protocol (`--secluded-args`), so no shell
on either side reads them; a place is an absolute path, and so never looks like an option. ssh asks nobody anything and
believes known hosts only. What is sent is appended to what had come before, and compared as a whole by rsync itself.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from core.errors import InvalidInput, NotFound, RealmError, Unavailable
from vault.transfer.patience import CANCEL_SECONDS, Patience, Stopped
from vault.transfer.source import LinkCut

SSH = (
    "ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=5",
    "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3",
)  # fmt: skip
"""Nothing in it comes from outside. Host and user are arguments of their own, which the registry has checked."""

COMMAND_SECONDS = 60.0
"""For a command on the other host that only looks or renames."""
SAID_LINES = 20
MOST_LINES = 100_000
READ_BYTES = 64 << 10
VANISHED = 24
LINK_CODES = {10, 12, 16, 30, 35, 255}
"""Asking again may help, and goes on."""
CODES = {
    1: "it does not know one of the options: that rsync is too old",
    2: "the two rsyncs do not understand each other",
    3: "a directory is missing",
    5: "it could not begin",
    10: "the connection failed",
    11: "a disk refused",
    12: "the connection ended early",
    13: "it failed inside",
    14: "it failed inside",
    16: "one of its processes was ended",
    20: "it was ended",
    22: "there is not enough memory",
    23: "some files could not be carried",
    30: "nothing came for too long",
    35: "nobody answered in time",
    126: "rsync cannot be run there",
    127: "there is no rsync on that host",
    255: "ssh could not connect",
}
"""What rsync(1) says of its exit codes, and a remote shell of its own."""
REFUSALS = {
    "Permission denied": "that host lets nobody in as {user}: put this machine's public key there (ssh-copy-id)",
    "Host key verification failed": "its host key is not known here: connect once by hand, and compare it",
    "No such file or directory": "what was asked for is not there, or not any more",
}
"""Of what ssh and rsync say, what asking again does not mend."""

_PROGRESS = re.compile(rb"\s*(\d+)\s+\d+%")
_LISTED = re.compile(r"[d-]\S{9}\S*\s+[\d,.]+\s+\d{4}/\d\d/\d\d\s\d\d:\d\d:\d\d\s(?P<name>.+)")

OnBytes = Callable[[int], object]


@dataclass(frozen=True)
class Done:
    """How a run of rsync ended that did not fail."""

    vanished: bool
    """Files were deleted at their source while it ran."""
    lines: list[str]
    """What it said of files."""


@dataclass(frozen=True)
class SshHost:
    """Who is logged in as, and where."""

    user: str
    address: str
    remote_shell: tuple[str, ...] = SSH
    """What connects to it."""

    def __post_init__(self) -> None:
        if self.user.startswith("-") or self.address.startswith("-") or not self.user or not self.address:
            raise InvalidInput(f"{self.user}@{self.address} is nobody to log in as.")

    @property
    def url(self) -> str:
        return f"ssh://{self.user}@{self.address}"

    def place(self, path: str) -> str:
        """A directory or file there, as rsync is told of it; raises `InvalidInput` for a path that it could mistake."""
        if not path.startswith("/") or not path.isprintable():
            raise InvalidInput(f"{path!r} is no absolute path that can be given to rsync.")
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.user}@{host}:{path}"


@dataclass(frozen=True)
class Rsync:
    """rsync from and to one host; every wait has an end."""

    host: SshHost
    patience: Patience
    stall_seconds: float
    bytes_per_second: int | None = None

    def carry(
        self, source: str, target: str, names: Iterable[str], *options: str, on_bytes: OnBytes = lambda count: None
    ) -> Done:
        """Bring files, told by their names below `source`, below `target`; goes on with what had come before.

        Raises what an exit code means; a link that fails is taken up again for as long as there is patience. Files that
        vanished at their source are no failure of it (A15): who knows what should have come tells whether it has.
        """
        arguments = ["--files-from=-", "--from0", "--chmod=Du+rwx,Fu+rw", *options, "--", source, target]
        listed = "\0".join(names).encode("utf-8", "surrogateescape")
        return self.patience.asking(lambda: self._run(arguments, listed, on_bytes))

    def names_in(self, folder: str) -> list[str]:
        """Names of what lies in a directory there; raises `NotFound` where there is no such one."""
        arguments = ["--list-only", "--dirs", "--", f"{self.host.place(folder.rstrip('/'))}/"]
        done = self.patience.asking(lambda: self._run(arguments, b"", lambda count: None))
        found = (_LISTED.fullmatch(line) for line in done.lines)
        return [match["name"] for match in found if match is not None and match["name"] != "."]

    def ask(self, script: str, *arguments: str) -> tuple[int, str]:
        """Run a fixed script of the POSIX shell there; its exit code and what it said."""
        # ssh joins what it is given and has the login shell there read it: quoted, each stays one word.
        words = ["sh", "-c", script, "realm", *arguments]
        remote = " ".join(shlex.quote(word) for word in words)
        command = [*self.host.remote_shell, "-l", self.host.user, "--", self.host.address, remote]
        return self.patience.asking(lambda: self._asked(command))

    def _asked(self, command: Sequence[str]) -> tuple[int, str]:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                  timeout=COMMAND_SECONDS, env=_environment())  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise LinkCut("nothing came for too long") from error
        except OSError as error:
            raise _not_installed(command[0]) from error
        said = done.stderr.decode("utf-8", "replace")
        if done.returncode == 255:
            raise self._failure(255, said.splitlines())
        return done.returncode, (done.stdout.decode("utf-8", "replace") or said).strip()

    def _run(self, arguments: Sequence[str], fed: bytes, on_bytes: OnBytes) -> Done:
        program = shutil.which("rsync")
        if program is None:
            raise _not_installed("rsync")
        command = [
            program, "--secluded-args", "--no-human-readable", "--info=progress2", "--outbuf=L",
            f"--timeout={max(1, math.ceil(self.stall_seconds))}", f"--rsh={shlex.join(self.host.remote_shell)}",
        ]  # fmt: skip
        if self.bytes_per_second is not None:
            command.append(f"--bwlimit={max(1, self.bytes_per_second // 1024)}")
        process = subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=_environment())  # fmt: skip
        told = _Listener(process, fed)
        before = -1
        try:
            while not told.wait(CANCEL_SECONDS):
                if self.patience.is_over:
                    raise Stopped
                if told.count > before:
                    before = told.count
                    self.patience.progress()
                    on_bytes(before)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
            told.join()
        if process.returncode in (0, VANISHED):
            return Done(process.returncode == VANISHED, told.lines)
        raise self._failure(process.returncode, told.said)

    def _failure(self, code: int, said: Sequence[str]) -> Exception:
        """What to raise for an exit code."""
        last = next((line for line in said if line.strip()), "")
        for words, meaning in REFUSALS.items():
            if any(words in line for line in said):
                kind: type[RealmError] = NotFound if words.startswith("No such") else Unavailable
                return kind(f"{self.host.url}: {meaning.format(user=self.host.user)}. ({last.strip()[:300]})")
        meaning = CODES.get(code, f"rsync ended with {code}")
        if code in LINK_CODES:
            return LinkCut(f"{meaning} ({last.strip()[:300]})" if last else meaning)
        return Unavailable(f"{self.host.url}: {meaning} (rsync exit code {code}). {last.strip()[:300]}".strip())


class _Listener:
    """Hears what a running rsync says, and tells it the names."""

    def __init__(self, process: subprocess.Popen[bytes], fed: bytes) -> None:
        self.count = 0
        """Bytes that were carried in this run."""
        self.lines: list[str] = []
        self.said: deque[str] = deque(maxlen=SAID_LINES)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._words = threading.Thread(target=self._hear, args=(process.stdout,), daemon=True)
        self._threads = [
            self._words,
            threading.Thread(target=self._hear_trouble, args=(process.stderr,), daemon=True),
            threading.Thread(target=_feed, args=(process.stdin, fed), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Whether it has said its last word by then."""
        self._words.join(seconds)
        return not self._words.is_alive()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _hear(self, stream: IO[bytes]) -> None:
        rest = b""
        with stream:
            while data := os.read(stream.fileno(), READ_BYTES):
                # Progress is told on one line, again and again.
                *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
                for line in lines:
                    if found := _PROGRESS.match(line):
                        self.count = int(found[1])
                    elif line.strip() and len(self.lines) < MOST_LINES:
                        self.lines.append(line.decode("utf-8", "surrogateescape"))

    def _hear_trouble(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.said.append(line.decode("utf-8", "replace").rstrip())


def _feed(stream: IO[bytes], data: bytes) -> None:
    # It may end before it has read everything.
    with suppress(OSError), stream:
        stream.write(data)


def _environment() -> dict[str, str]:
    """That of this process, in a language that can be understood, without options for rsync and without the token."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RSYNC_", "REALM_"))}
    return {**kept, "LC_ALL": "C"}


def _not_installed(program: str) -> RealmError:
    package = {"rsync": "rsync", "ssh": "openssh-client"}.get(program, program)
    return Unavailable(f"{program} is not installed here.", hint=f"On Debian: sudo apt-get install {package}")
