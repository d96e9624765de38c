"""The CLI verb `export`: a checkpoint as an ordinary model directory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new directory, which must not exist yet.")],
    checkpoint: Annotated[
        str, typer.Option(help="A step, a name, `best`, or `latest`: the present one of the hero in use.")
    ] = "latest",
) -> None:
    """Write the hero's checkpoint as a model that from_pretrained loads; adapters are merged into their base model."""
    from dataclasses import asdict

    from arena.disk.gauge import megabytes
    from arena.hall.exporting import export_model

    done = export_model(ctx.obj.paths, folder, reference=checkpoint)
    how = ", its adapters merged into their base model" if done.merged else ""
    size = megabytes(done.size_bytes)
    ctx.obj.tell(asdict(done), f"{done.folder} holds {done.checkpoint} (step {done.step}, {size}){how}.")
