"""`realm serve`: one service of the vault alone, in the foreground, on a host that does not train and has no torch."""

from __future__ import annotations

from typing import Annotated

import typer


def _listens(address: str | None) -> str | None:
    from core.setting_types import listen_address

    try:
        return None if address is None else listen_address(address)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Else its usual one; 0 takes any free one.")]
Address = Annotated[
    str | None,
    typer.Option(callback=_listens, help="Address to listen on; any but loopback wants the token."),
]


def serve_app() -> typer.Typer:
    """The verbs below `realm serve`; the modules they need are imported when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Run one service alone, on a host where no realm is up.")
    app.command()(vault)
    app.command()(branch)
    return app


def vault(ctx: typer.Context, port: Port = None, host: Address = None) -> None:
    """Serve the VaultKeeper API over this base directory, until Ctrl-C or a signal ends it."""
    import asyncio

    from core.logs import log_to_terminal
    from vault.server import desk_at, serve

    log_to_terminal()
    asyncio.run(serve(desk_at(ctx.obj.paths, host, port)))


def branch(
    ctx: typer.Context,
    zone: Annotated[str, typer.Option(help="Id of this host in the registry, such as nas.")],
    port: Port = None,
    host: Address = None,
) -> None:
    """Look after this base directory as the officer of a zone: hand out what lies there, take in what others send."""
    import asyncio

    from core.logs import log_to_terminal
    from vault.branch_officer import PORT, Post, serve

    log_to_terminal()
    asyncio.run(serve(Post(zone, ctx.obj.paths.base, host or "127.0.0.1", PORT if port is None else port)))
