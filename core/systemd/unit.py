"""The systemd unit that keeps one base directory's realm running: its name, its text, and where it lies.

Quoting follows systemd.syntax(7) and the "Command lines" section of systemd.service(5).
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.ending import LONGEST_STOP_SECONDS
from core.errors import InvalidInput
from core.paths import CHECKOUT

WATCHDOG_SECONDS = 60
START_SECONDS = 300
SYSTEM_UNITS = Path("/etc/systemd/system")

_NOT_IN_A_PROGRAM = re.compile(r"[\"'\\\x00-\x1f\x7f]")
"""What systemd refuses in the path of a program, though not in its arguments."""
_ESCAPES = {'"': '\\"', "\\": "\\\\", "%": "%%", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


_TEXT = f"""\
# Made by `realm install-service`; changes of your own belong into `{{edit}}`.
[Unit]
Description=Realm of Training in {{place}}
# A realm that cannot start, for want of a port for example, is tried five times.
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={{command}}
{{user}}Restart=on-failure
RestartSec=5
# Wrong usage does not get better by trying again.
RestartPreventExitStatus=2
WatchdogSec={WATCHDOG_SECONDS}
TimeoutStartSec={START_SECONDS}
# The trainer finishes its step and saves; while a save takes longer, the realm asks for more.
TimeoutStopSec={LONGEST_STOP_SECONDS:.0f}
# SIGTERM goes to the realm alone, which ends its trainer in order; what is left after that is killed.
KillMode=mixed
# A trainer that the kernel ended for memory is started again by the realm itself.
OOMPolicy=continue

[Install]
WantedBy={{target}}
"""


def unit_name(base: Path) -> str:
    """One for each base directory, such as `realm-playground-1f0c2a9b.service`: readable, and never the same twice."""
    readable = re.sub(r"[^A-Za-z0-9_]+", "-", base.name).strip("-")[:40] or "root"
    return f"realm-{readable}-{hashlib.sha256(str(base).encode(errors='surrogateescape')).hexdigest()[:8]}.service"


def user_units(env: Mapping[str, str], home: Path) -> Path:
    """The folder of the user's own units."""
    configs = env.get("XDG_CONFIG_HOME")
    return (Path(configs) if configs and Path(configs).is_absolute() else home / ".config") / "systemd" / "user"


def up_command(base: Path) -> list[str]:
    """How this interpreter starts the realm of `base` from this checkout, wherever it is called from."""
    # The interpreter's own name, not what its link leads to: that is how Python finds its virtual environment.
    return [sys.executable, str(CHECKOUT / "realm.py"), "--base-dir", str(base), "up"]


def unit_text(base: Path, *, user: str | None = None) -> str:
    """The unit of `base`, for a user's own manager, or for the system's one when `user` says as whom it runs.

    Raises `InvalidInput` for a path that is no valid text, which systemd does not take.
    """
    place = "".join(letter for letter in str(base) if letter.isprintable()).replace("%", "%%").rstrip("\\")
    return _TEXT.format(
        edit=f"systemctl {'' if user else '--user '}edit {unit_name(base)}",
        place=place,
        command=command_line(up_command(base)),
        user=f"User={user}\n" if user else "",
        target="multi-user.target" if user else "default.target",
    )


def command_line(words: Sequence[str]) -> str:
    """An `ExecStart=` value that starts exactly `words`, whatever stands in them; raises `InvalidInput` if it cannot.

    The colon turns off the substitution of `$NAME`, so that `$` needs no escape.
    """
    if _NOT_IN_A_PROGRAM.search(words[0]):
        if "=" in words[0]:  # `env` takes it for a variable
            raise InvalidInput(f"systemd cannot start {words[0]!r}.", hint="Rename the directory.")
        words = ["/usr/bin/env", *words]
    return ":" + " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{word!r} is not valid UTF-8, which systemd demands of a unit.", hint="Rename the directory."
        ) from error
    return '"' + "".join(_ESCAPES.get(letter, letter) for letter in word) + '"'
