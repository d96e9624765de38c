"""The CLI verb `logs`: the realm's log files as readable lines, rotated ones included, and followed across rotation."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.shell.log_reading import LogLine

FOLLOW_SECONDS = 0.25


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


COLORS = {"warning": "yellow", "error": "red", "critical": "red"}


def logs(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    name: Annotated[
        str | None, typer.Option(help="One log: realm, trainer, trainer-output or up; else realm and trainer.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the newest.")] = 50,
    level: Annotated[Level, typer.Option(help="This level and those above it.")] = Level.DEBUG,
) -> None:
    """Show the log, oldest first; with --json the lines as they stand in the files."""
    from core.shell.log_reading import Follower, is_wanted, last_lines

    files = _chosen(ctx.obj.paths.logs, name, follow)
    levels = None if level is Level.DEBUG else frozenset(list(Level)[list(Level).index(level) :])
    # First, so that nothing falls between the last lines and the new ones.
    followers = [Follower(family, file) for family, file in files.items()] if follow else []
    shown = last_lines(files, lines, levels)
    several = len(files) > 1
    for line in shown:
        _show(line, as_json=ctx.obj.as_json, several=several)
    seen = {line.raw for line in shown}
    while followers:
        news = [line for follower in followers for line in follower.new_lines() if is_wanted(line, levels)]
        for line in sorted(news, key=lambda line: line.time):
            if line.raw not in seen:
                _show(line, as_json=ctx.obj.as_json, several=several)
        seen = set()
        time.sleep(FOLLOW_SECONDS)


def _chosen(folder: Path, name: str | None, follow: bool) -> dict[str, Path]:
    """The newest file of each family that was asked for."""
    import difflib

    from core.errors import NotFound
    from core.shell.log_reading import families

    found = families(folder)
    if name is None:
        chosen = {family: file for family, file in found.items() if file.suffix == ".jsonl"}
        if follow:
            chosen = {family: folder / f"{family}.jsonl" for family in ("realm", "trainer")} | chosen
        if not chosen:
            raise NotFound(f"There is no log in {folder} yet.", hint="Start the realm with `realm up`.")
        return chosen
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        there = f"There are {', '.join(found)}." if found else "There is none yet; start the realm with `realm up`."
        raise NotFound(f"There is no log {name!r} in {folder}.", hint=f"Did you mean {close[0]}?" if close else there)
    return {name: found[name]}


def _show(line: LogLine, *, as_json: bool, several: bool) -> None:
    from core.shell.terminal import printable

    if as_json:
        typer.echo(line.raw)
        return
    text = printable(_for_people(line, several=several))
    level = str(line.record.get("level")) if line.record else ""
    typer.echo(typer.style(text, fg=COLORS[level]) if level in COLORS else text)


def _for_people(line: LogLine, *, several: bool) -> str:
    """Local time, level, message, and a traceback indented below it; plain output as it is."""
    from datetime import datetime

    source = f"{line.family:<8} " if several else ""
    if line.record is None:
        return f"{source}{line.raw}"
    try:
        moment = f"{datetime.fromisoformat(line.time).astimezone():%Y-%m-%d %H:%M:%S}"
    except ValueError:
        moment = line.time
    told = f"{moment}  {source}{line.record.get('level', ''):<8} {line.record.get('message', line.raw)}"
    trace = line.record.get("exc")
    return told + "".join(f"\n    {part}" for part in str(trace).splitlines()) if trace else told
