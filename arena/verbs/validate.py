"""`realm validate FILE…`: what the gates say about files, without queueing them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

LEVELS = ("quick", "standard", "deep")


def validate(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Files to check: .jsonl, .json, or these as .gz or .zst.")
    ],
    level: Annotated[
        str,
        typer.Option(
            help="quick: every line, as the inbox does; standard: also in tokens, as before training; deep: also with "
            "warnings of what the first rows say, and of rows that stand there, or in an earlier quest, already."
        ),
    ] = "standard",
) -> None:
    """Check training files without queueing them. Exit code 0: all may be learned; 1: one is rejected."""
    from arena.gatekeepers.file_check import check_file
    from arena.gatekeepers.likeness.sketched_file import quests_before
    from arena.proving.measuring import yardstick_here
    from core.errors import NotFound

    if level not in LEVELS:
        raise typer.BadParameter(f"there is no level {level!r}; known: {', '.join(LEVELS)}", param_hint="--level")
    yardstick_for = None if level == "quick" else yardstick_here(ctx.obj.paths, deep=level == "deep")
    verdicts = []
    for file in files:
        if not file.exists():
            raise NotFound(f"There is no file {file}.")
        # The gates refuse links, which is right for the inbox; a user may name a file by one.
        place = file.resolve()
        sketches = quests_before(ctx.obj.paths, place) if level == "deep" else None
        verdict = check_file(place, yardstick_for, sketches)
        verdicts.append({"file": str(file), **verdict})
        if not ctx.obj.as_json:
            _show(file, verdict)
    accepted = all(verdict["accepted"] for verdict in verdicts)
    if ctx.obj.as_json:
        typer.echo(json.dumps({"accepted": accepted, "level": level, "files": verdicts}, indent=2))
    if not accepted:
        raise typer.Exit(1)


def _show(file: Path, verdict: dict[str, Any]) -> None:
    from rich.text import Text

    from arena.gatekeepers.deep.deep_warden import describe_deep
    from arena.gatekeepers.measures.token_census import describe_census
    from arena.gatekeepers.rejection import describe_verdict
    from core.shell.console import VerbConsole

    judgement, *lines = describe_verdict(verdict)
    console = VerbConsole(soft_wrap=True, highlight=False)
    style = "green" if verdict["accepted"] else "red"
    console.print(Text.assemble((str(file), "bold"), " ", (judgement, style)))
    for line in lines + describe_census(verdict.get("tokens")) + describe_deep(verdict.get("content")):
        console.print(Text(f"  {line}"))
