"""`realm validate FILE`: what the gates say about a file, without queueing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

LEVELS = ("quick",)


def validate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The JSONL file to check.")],
    level: Annotated[str, typer.Option(help="How thorough: quick (every line, no tokenizer).")] = "quick",
) -> None:
    """Check a training file as the inbox does. Exit code 0: it is let in; 1: it is rejected."""
    from arena.gatekeepers.gate import inspect_file
    from arena.gatekeepers.rejection import describe_verdict

    if level not in LEVELS:
        raise typer.BadParameter(f"there is no level {level!r}; known: {', '.join(LEVELS)}", param_hint="--level")
    # The gates refuse links, which is right for the inbox; a user may name a file by one.
    verdict = inspect_file(str(file.resolve()))
    if ctx.obj.as_json:
        typer.echo(json.dumps({"file": str(file), "level": level, **verdict}, indent=2))
    else:
        _show(file, describe_verdict(verdict), accepted=verdict["accepted"])
    if not verdict["accepted"]:
        raise typer.Exit(1)


def _show(file: Path, lines: list[str], *, accepted: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    console.print(Text.assemble((str(file), "bold"), " ", (lines[0], "green" if accepted else "red")))
    for line in lines[1:]:
        console.print(Text(f"  {line}"))
