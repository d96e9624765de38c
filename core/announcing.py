"""Telling that the realm is up: its addresses to programs, what happens in it to whoever sits at the terminal.

And that the one before it did not end in order: whoever is killed cannot tell it himself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime

from core.http.site import Site
from core.paths import RealmPaths
from core.saga import News, Saga
from core.services import publish_services
from core.shell.terminal import Terminal
from core.status_files import read_status
from core.tasks import TaskCrew
from core.verbs.events import event_line


def announce(
    paths: RealmPaths, sites: Sequence[Site], saga: Saga, terminal: Terminal, crew: TaskCrew, *, quiet: bool,
    now: datetime,
) -> None:  # fmt: skip
    """`sites` listen, the first of them for people. A disk that takes neither address nor event stops nothing.

    Unless `quiet`, the terminal hears of every event from here on.
    """
    front = sites[0]
    addresses = {site.name: {"url": site.url, "port": site.port, "pid": os.getpid()} for site in sites}
    if refusal := publish_services(paths, addresses, crew):
        terminal.say(f"Until {paths.services} can be written no verb finds this realm: {refusal}")
    terminal.say(f"The realm is up. Tavern: {front.url}   Inbox: {paths.inbox}   Ctrl-C saves and ends it.")
    if front.wants_token:
        terminal.say(f"It is open to the network: log in with the token in {paths.token_file}.")
    if not quiet:
        saga.subscribe(lambda event: terminal.say(event_line(event)))
    saga.tell([News("realm_up", f"The realm is up on {front.url}")], now=now)


def tell_of_cut_off(paths: RealmPaths, saga: Saga, *, now: datetime) -> None:
    """An event when the realm before was killed, or lost its power. Call it before a status is written."""
    before = read_status(paths.training_status, now=now)
    # Not stale: our pid is that of the one before, as pids in a container are.
    said = before.get("last_status") if before["stale"] else before["status"]
    if said in (None, "stopped"):
        return
    message = (
        f"The realm before (pid {before.get('pid')}) ended without a word, last heard of as {said} at "
        f"{before.get('heartbeat_at')}: it was killed, or the power failed. What no checkpoint covers is learned again"
    )
    saga.tell([News("realm_was_cut_off", message)], now=now)
