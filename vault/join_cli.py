"""`realm join`: makes this directory a host of a realm that runs elsewhere."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def join(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(help="Of the trainer's vault, such as http://192.168.1.10:8767.")],
    host: Annotated[str, typer.Option("--as", help="Which host of that realm this machine is, such as 3090.")],
) -> None:
    """Take the registry and the token of another realm over; the token comes from REALM_TOKEN, or is asked for."""
    from vault.joining import join as take_over

    # Not an argument: whoever lists processes sees those.
    token = os.environ.get("REALM_TOKEN") or typer.prompt("Token of that realm", hide_input=True)
    told = take_over(ctx.obj.paths, url, host, token.strip())
    others = ", ".join(name for name in told["hosts"] if name != host) or "none"
    ctx.obj.tell(told, f"This is {host} now, beside {others}. `realm vault zones` shows them.")
