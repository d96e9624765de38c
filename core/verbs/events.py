"""The CLI verb `events`: what happened in the realm, from the saga."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.saga import Event

FOLLOW_SECONDS = 0.5


def events(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest.")] = 30,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Show what happened, oldest first; with --json one JSON object a line."""
    from core.errors import NotFound
    from core.saga import read_saga

    path = ctx.obj.paths.saga_db
    if not path.exists():
        raise NotFound(f"Nothing has happened yet: there is no {path}.", hint="Start the realm with `realm up`.")
    with read_saga(ctx.obj.paths) as saga:
        last = 0
        for event in saga.latest_events(limit):
            _show(event, as_json=ctx.obj.as_json)
            last = event.id
        while follow:
            for event in saga.events_after(last):
                _show(event, as_json=ctx.obj.as_json)
                last = event.id
            time.sleep(FOLLOW_SECONDS)


def _show(event: Event, *, as_json: bool) -> None:
    import json

    typer.echo(json.dumps(event.to_json(), ensure_ascii=False) if as_json else event_line(event))


def event_line(event: Event) -> str:
    """An event for people: local time and message. Names of files may hold what a terminal obeys."""
    from datetime import datetime

    plain = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in event.message)
    return f"{datetime.fromisoformat(event.at).astimezone():%Y-%m-%d %H:%M:%S}  {plain}"
