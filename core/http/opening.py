"""Opening all sites of a process, or saying of every port that is taken who holds it."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Conflict
from core.http.site import Site


async def open_sites(sites: Sequence[Site]) -> None:
    """Start every site; raises one `Conflict` that names all ports that are taken and their holders.

    Those that could be opened stay open: whoever called stops all of them.
    """
    taken: list[Conflict] = []
    for site in sites:
        try:
            await site.start()
        except Conflict as error:
            taken.append(error)
    if len(taken) > 1:
        told = "\n".join(error.message for error in taken)
        raise Conflict(told, hint=taken[0].hint, ports=[error.details["port"] for error in taken])
    if taken:
        raise taken[0]
