"""The CLI verb `train`: one file into one model directory, through the same engine as the daemon, then exit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.cli import Interrupted, run_async


def train(
    ctx: typer.Context,
    dataset: Annotated[Path, typer.Option(help="File to learn: .jsonl, .json, or these as .gz or .zst.")],
    output: Annotated[Path, typer.Option(help="Directory of the trained model: new, empty, or of an interrupted run.")],
    model: Annotated[
        str, typer.Option(help="A hero, a model directory or a hub id; a directory under models/ by its name.")
    ] = "seedling",
    epochs: Annotated[int | None, typer.Option(min=1, max=1000, help="Passes over the file.")] = None,
    system_prompt: Annotated[str | None, typer.Option(help="Put before chats that have none.")] = None,
) -> None:
    """Train once, without a daemon, and leave a model that loads with from_pretrained."""
    from arena.alone.one_off import OneOff
    from arena.alone.unfinished_run import unfinished_work

    job = OneOff(
        paths=ctx.obj.paths, dataset=dataset, model=model, output=output, epochs=epochs, system_prompt=system_prompt
    )
    try:
        result = run_async(job.run(tell=lambda text: None if ctx.obj.as_json else typer.echo(text)))
    except Interrupted:
        work = unfinished_work(output)
        if work is not None:
            typer.echo(f"Interrupted. {output} is no model yet; the same command goes on with {work}.", err=True)
        raise
    text = f"{result['rows']} rows learned in {result['steps']} steps; the model lies in {result['output']}"
    ctx.obj.tell(result, text)
