"""`realm serve tavern`: pages and a proxy to a realm on another host, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

from core.errors import InvalidInput


def tavern(
    ctx: typer.Context,
    api_url: Annotated[
        str | None,
        typer.Option(help="The tavern of the realm, such as http://trainer:8888; else the one that is up here."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Else 8888; 0 takes any free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; any but loopback wants the token.")] = None,
) -> None:
    """Show the pages of a realm that runs elsewhere, until Ctrl-C or a signal ends it; opens no database."""
    import asyncio

    from core.logs import log_to_terminal
    from core.setting_types import listen_address
    from tavern.server import house_at, serve

    try:
        address = listen_address(host) if host else None
    except ValueError as error:
        raise InvalidInput(f"--host {host}: {error}.") from error
    log_to_terminal()
    asyncio.run(serve(house_at(ctx.obj.paths, api_url, address, port)))
