"""The CLI verb `ledger adopt`: go on from a checkpoint that was made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import listed


def adopt(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="A model directory in Hugging Face format, with safetensors.")
    ],
    step: Annotated[
        int | None, typer.Option(min=0, help="Its global step; else what its trainer_state.json or its name tells.")
    ] = None,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Queue what the present model has not finished and sealed.")
    ] = False,
) -> None:
    """Copy a checkpoint made elsewhere into the realm, which goes on from it; the realm must be down."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from arena.hall.adoption import adopt_for_hero
    from arena.hall.standing import standing_still

    paths = ctx.obj.paths
    with standing_still(paths, f"ledger adopt {path}"):
        adopted = adopt_for_hero(paths, path, step=step, requeue=requeue, now=datetime.now(UTC))
    lines = [f"The hero goes on from {adopted.checkpoint} (step {adopted.step}, {adopted.parameters:,} parameters)."]
    if adopted.optimizer is not None:
        lines.append(f"Its optimizer was left out, so moments begin at zero: {adopted.optimizer}.")
    elif not adopted.has_optimizer:
        lines.append("It has no optimizer, so moments begin at zero.")
    if adopted.left_behind is not None:
        lines.append(f"The model before is kept on a branch; `realm rewind {adopted.left_behind}` returns to it.")
    if adopted.requeued:
        lines += ["Queued again:", *listed(adopted.requeued)]
    ctx.obj.tell(asdict(adopted), "\n".join(lines))
