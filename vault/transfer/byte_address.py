"""Where a host of the registry hands out the bytes of its assets: its vault, else its branch officer."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from core.errors import NotFound

if TYPE_CHECKING:
    from core.hosts import HostRegistry

SERVICES = ("vault", "branch")


def byte_url(registry: HostRegistry, host_id: str) -> str:
    """`http://192.168.1.10:8767` of a host; raises `NotFound` for an unknown one, and for one with neither service."""
    return byte_urls(registry, host_id)[0]


def byte_urls(registry: HostRegistry, host_id: str) -> list[str]:
    """Those of all its services that hand out bytes, one at least; raises as `byte_url`."""
    host = registry.find(host_id)
    urls = [root_of(registry.service_url(name, host_id)) for name in SERVICES if name in host.services]
    if not urls:
        raise NotFound(
            f"{host_id} has neither a vault nor a branch officer to fetch from.",
            hint=f"Name one under `services` of {host_id} in {registry.source}.",
        )
    return urls


def root_of(url: str) -> str:
    """The address of a site, of a service below some path of it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
