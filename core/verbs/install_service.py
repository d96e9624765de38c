"""The CLI verb `install-service`: a systemd unit for this base directory, and the commands that use it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

VERIFY_SECONDS = 30.0


def install_service(
    ctx: typer.Context,
    show: Annotated[bool, typer.Option("--print", help="Print the unit and write nothing.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the unit of this base directory away.")] = False,
    system: Annotated[
        bool, typer.Option("--system", help="For the system's manager (needs root) instead of your own.")
    ] = False,
) -> None:
    """Let systemd start this realm, watch it and end it in order."""
    from core.systemd.unit import SYSTEM_UNITS, unit_name, unit_text, user_units

    paths = ctx.obj.paths
    file = (SYSTEM_UNITS if system else user_units(os.environ, Path.home())) / unit_name(paths.base)
    if remove:
        _remove(ctx, file, system)
        return
    text = unit_text(paths.base, user=_owner(paths.base) if system else None)
    complaint = _verify(file.name, text, system)
    verified = None if complaint is None else not complaint
    body: dict[str, Any] = {"unit": file.name, "file": str(file), "text": text, "verified": verified}
    if complaint:
        body["complaint"] = complaint
        typer.echo(f"systemd-analyze says:\n{complaint}", err=True)
    if show:
        ctx.obj.tell(body, text.rstrip())
        return
    _write(file, text, system)
    commands = _commands(file.name, system)
    lines = [f"  {command:<62} # {why}" for command, why in commands.items()]
    told = "\n".join([f"{file} is written. Now:", "", *lines, *_left_out()])
    ctx.obj.tell({**body, "commands": list(commands)}, told)


def _commands(unit: str, system: bool) -> dict[str, str]:
    manager = "systemctl" if system else "systemctl --user"
    journal = "journalctl" if system else "journalctl --user"
    commands = {
        f"{manager} daemon-reload": "read the unit",
        f"{manager} enable --now {unit}": "start it now and at every boot" if system else "start it now and at login",
        "loginctl enable-linger": "keep it running while you are logged out",
        f"{manager} status {unit}": "what it does",
        f"{journal} -u {unit} -f": "what it prints",
    }
    if system:
        del commands["loginctl enable-linger"]
    return commands


def _left_out() -> list[str]:
    """Settings of this shell that the service will not see."""
    from core.settings_reading import RESERVED_ENVIRONMENT

    names = sorted(name for name in os.environ if name.startswith("REALM_") and name not in RESERVED_ENVIRONMENT)
    if not names:
        return []
    return ["", f"Not passed on: {', '.join(names)}. Set them in configs/realm.yaml, or with `systemctl edit`."]


def _verify(name: str, text: str, system: bool) -> str | None:
    """What `systemd-analyze verify` finds wrong, "" for nothing; None where it cannot be asked."""
    import shutil
    import subprocess
    import tempfile

    program = shutil.which("systemd-analyze")
    if program is None:
        return None
    with tempfile.TemporaryDirectory(prefix="realm-unit-") as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        # It looks for the user's runtime directory, which is missing in an ssh session without a login.
        env = {"XDG_RUNTIME_DIR": folder, **os.environ}
        command = [program, *([] if system else ["--user"]), "verify", str(file)]
        try:
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, errors="replace", timeout=VERIFY_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    # It also complains of other units, and of a user's manager that does not run.
    own = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if name in line)
    return None if done.returncode and not own else own


def _owner(base: Path) -> str:
    """As whom a system service runs: whoever the data belong to, so that it can write what it finds."""
    from core.errors import NotFound

    try:
        return base.owner()
    except KeyError:
        return str(base.stat().st_uid)
    except OSError as error:
        raise NotFound(f"There is no {base}.", hint="Make it with `realm init`.") from error


def _write(file: Path, text: str, system: bool) -> None:
    from core.errors import Unavailable
    from core.files import DISK

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        DISK.write_atomic(file, text.encode(), durable=True)
    except OSError as error:
        raise Unavailable(
            f"{file} cannot be written: {error.strerror}.",
            hint="Run it with sudo, or leave --system out." if system else None,
        ) from error


def _remove(ctx: typer.Context, file: Path, system: bool) -> None:
    from core.errors import Unavailable

    links = sorted(file.parent.glob(f"*.wants/{file.name}"))
    found = [path for path in (*links, file) if path.is_symlink() or path.exists()]
    try:
        for path in found:
            path.unlink()
    except OSError as error:
        raise Unavailable(f"{error.filename} cannot be removed: {error.strerror}.") from error
    manager = "systemctl" if system else "systemctl --user"
    text = f"{file} is removed. What still runs ends with\n\n  {manager} stop {file.name}\n  {manager} daemon-reload"
    ctx.obj.tell(
        {"unit": file.name, "file": str(file), "removed": bool(found)}, text if found else f"There is no {file}."
    )
