"""The CLI verb `init`: the first thing to do in a new base directory."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import typer


def init(
    ctx: typer.Context,
    hero: Annotated[
        str | None, typer.Option(help="Who trains: a file in configs/heroes/; the seedling if none is named.")
    ] = None,
) -> None:
    """Make the data directories and configs/realm.yaml; what exists stays as it is."""
    from arena.furnishing import furnish
    from core.errors import Conflict, InvalidInput
    from core.http.tokens import ensure_token

    paths = ctx.obj.paths
    chosen = furnish(paths, hero or "seedling")
    # Sites beyond loopback want it; a disk that cannot keep one private is told of when they are asked for.
    with suppress(InvalidInput):
        ensure_token(paths.token_file)
    if hero is not None and chosen.id != hero:
        raise Conflict(
            f"{paths.config_file} stays as it is, and its hero is {chosen.title}.",
            hint=f"`realm hero use {hero}` changes that.",
        )
    text = f"The realm in {paths.base} is ready; its hero is {chosen.title}. Start it with `realm up`."
    ctx.obj.tell({"base_dir": str(paths.base), "hero": chosen.id}, text)
