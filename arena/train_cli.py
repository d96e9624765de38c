"""The CLI verb `train`: one file into one model directory, through the same engine as the daemon, then exit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    ctx: typer.Context,
    dataset: Annotated[Path, typer.Option(help="JSONL file to learn.")],
    output: Annotated[Path, typer.Option(help="Directory of the trained model; must be new or empty.")],
    model: Annotated[
        str, typer.Option(help="A hero, a model directory or a hub id; a directory under models/ by its name.")
    ] = "seedling",
    epochs: Annotated[int | None, typer.Option(min=1, max=1000, help="Passes over the file.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Put before chats that have none.")] = None,
) -> None:
    """Train once, without a daemon, and leave a model that loads with from_pretrained."""
    import asyncio

    from arena.one_off import OneOff

    job = OneOff(
        paths=ctx.obj.paths, dataset=dataset, model=model, output=output, epochs=epochs, system_prompt=system_prompt
    )
    result = asyncio.run(job.run(tell=lambda text: None if ctx.obj.as_json else typer.echo(text)))
    text = f"{result['rows']} rows learned in {result['steps']} steps; the model lies in {result['output']}"
    ctx.obj.tell(result, text)
