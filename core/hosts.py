"""The host registry: which machines there are, where their services listen, and which of them this one is (seed 003).

Nobody guesses: a machine that is not named, by `REALM_HOST` or `local_host`, and is not found by its own addresses is
no host of the registry, and so not the trainer (G4). Only hosts of the registry are ever called.
"""

from __future__ import annotations

import difflib
import os
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from core.errors import InvalidInput, NotFound
from core.host_models import Host, Service, read_hosts
from core.paths import RealmPaths, resolve_base_dir
from core.services import living_services
from core.setting_types import host_name

__all__ = [
    "Host",
    "HostRegistry",
    "Service",
    "get_host",
    "get_inference",
    "get_local_host",
    "get_registry",
    "get_service_url",
    "get_trainer",
    "is_local",
    "is_trainer_local",
]

HOST_VARIABLE = "REALM_HOST"
OF_THE_TRAINER = frozenset({"vault", "ledger", "training", "tavern", "monitor"})
"""Services that are asked for at the trainer, where this machine has none of its own."""
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class HostRegistry:
    """The hosts of one file, seen from one machine."""

    hosts: Mapping[str, Host]
    source: Path
    """The file that was read, or that would have been."""
    local_id: str | None = None
    """Which host this machine is; None when that is not known."""
    trainer_id: str | None = None
    inference_id: str | None = None
    own_urls: Mapping[int, str] = field(default_factory=dict)
    """Where services of this machine's realm listen, by port: a site may listen on one address alone."""

    def find(self, host_id: str) -> Host:
        """One host; raises `NotFound` with what may have been meant."""
        found = self.hosts.get(str(host_id))
        if found is None:
            raise NotFound(f"{self._named} has no host {host_id!r}.", hint=self._guess(str(host_id), self.hosts))
        return found

    @cached_property
    def local(self) -> Host | None:
        """The host that this machine is; None when that is not known."""
        return self.hosts[self.local_id] if self.local_id is not None else None

    @cached_property
    def trainer(self) -> Host | None:
        """The host that trains; None when the file names none, or several without `default_trainer`."""
        return self._of_role("trainer", self.trainer_id)

    @cached_property
    def inference(self) -> Host | None:
        """The host that answers; None when the file names none, or several without `default_inference`."""
        return self._of_role("inference", self.inference_id)

    @property
    def is_trainer_local(self) -> bool:
        """Whether this machine is known to be the one that trains."""
        return self.local is not None and self.trainer is not None and self.local.id == self.trainer.id

    def is_local(self, host_id: str) -> bool:
        """Whether a host is this machine."""
        return self.local_id is not None and self.find(host_id).id == self.local_id

    def service_url(self, service: str, host_id: str | None = None) -> str:
        """Where to ask for a service: at that host, else here, else at the trainer (or the inference host), else at
        the first that has it. What is here is asked over loopback (G5). Raises `NotFound` when nobody has it.
        """
        host = self.find(host_id) if host_id is not None else self._provider(service)
        url = host.url_of(service)
        if url is None:
            raise NotFound(f"{self._named} has no service {service!r} on {host.id}.",
                           hint=self._guess(service, host.services))  # fmt: skip
        if host.id != self.local_id:
            return url
        found = host.services[service]
        own = self.own_urls.get(found.port)
        return f"{own}{found.path}" if own else str(host.url_of(service, address=LOOPBACK))

    def is_known_url(self, url: str) -> bool:
        """Whether `url` leads to a service of a host of the registry: no other address is ever called."""
        return _origin(url) in self._origins

    def summary(self) -> dict[str, Any]:
        """All of it as JSON; the file holds no secrets."""
        return {
            "hosts": {host_id: host.model_dump(mode="json", exclude={"id"}) for host_id, host in self.hosts.items()},
            "local_host": self.local_id,
            "default_trainer": self.trainer.id if self.trainer else None,
            "default_inference": self.inference.id if self.inference else None,
        }

    @cached_property
    def _origins(self) -> frozenset[tuple[str, str, int]]:
        urls = [host.url_of(name) for host in self.hosts.values() for name in host.services]
        own = [self.service_url(name, self.local.id) for name in self.local.services] if self.local else []
        return frozenset(origin for url in (*urls, *own) if url and (origin := _origin(url)))

    @property
    def _named(self) -> str:
        return f"The host registry {self.source}"

    def _guess(self, name: str, known: Collection[str]) -> str:
        if not self.hosts:
            return f"There is no such file, or no host in it: {self.source} names the machines of a realm."
        close = difflib.get_close_matches(name, list(known), n=1)
        return f"Did you mean {close[0]}?" if close else f"It has: {', '.join(known) or 'none'}."

    def _provider(self, service: str) -> Host:
        preferred = [self.local, self.trainer if service in OF_THE_TRAINER else None,
                     self.inference if service == "inference" else None]  # fmt: skip
        for host in (*preferred, *self.hosts.values()):
            if host is not None and service in host.services:
                return host
        known = {name for host in self.hosts.values() for name in host.services}
        raise NotFound(f"{self._named} has no service {service!r}.", hint=self._guess(service, sorted(known)))

    def _of_role(self, role: str, chosen: str | None) -> Host | None:
        if chosen is not None:
            return self.hosts[chosen]
        for wanted in (role, "hybrid"):
            having = [host for host in self.hosts.values() if host.role == wanted]
            if having:
                return having[0] if len(having) == 1 else None
        return None


def get_registry(paths: RealmPaths | None = None, env: Mapping[str, str] = os.environ) -> HostRegistry:
    """The registry of a base directory (default: `REALM_BASE_DIR`, else the checkout), read anew each time.

    Without a file it is empty. Raises `InvalidInput` for a file with mistakes, for both a YAML and a JSON one, and
    for a `REALM_HOST` that it does not know.
    """
    paths = paths or RealmPaths(resolve_base_dir(None, env))
    file, as_json = paths.hosts_file, paths.hosts_file.with_suffix(".json")
    if as_json.exists():
        if file.exists():
            raise InvalidInput(f"There are both {file} and {as_json}.", hint="Keep the one that is right.")
        file = as_json
    if not file.exists():
        return HostRegistry(MappingProxyType({}), file)
    hosts, about = read_hosts(file)
    named = env.get(HOST_VARIABLE)
    if named and named not in hosts:
        raise InvalidInput(f"{HOST_VARIABLE} is {named!r}, which is no host of {file}.",
                           hint=f"It has: {', '.join(hosts) or 'none'}.")  # fmt: skip
    return HostRegistry(
        MappingProxyType(hosts),
        file,
        local_id=named or about.local_host or detect_local(hosts, own_names()),
        trainer_id=about.default_trainer,
        inference_id=about.default_inference,
        own_urls={int(entry["port"]): str(entry["url"]) for entry in living_services(paths).values()},
    )


def detect_local(hosts: Mapping[str, Host], names: Collection[str]) -> str | None:
    """The one host whose address or name is among `names`; None when there is none, or more than one."""
    found = [host_id for host_id, host in hosts.items() if host.host in names]
    return found[0] if len(found) == 1 else None


def own_names() -> frozenset[str]:
    """Addresses and name of this machine. No name server is asked: it may be away, or wrong."""
    # Loaded by those who have a registry.
    import psutil

    names = {"localhost", socket.gethostname().lower()}
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family in (socket.AF_INET, socket.AF_INET6):
                names.add(host_name(each.address.partition("%")[0]))
    return frozenset(names)


def get_service_url(service: str, host_id: str | None = None) -> str:
    """Where a service answers; see `HostRegistry.service_url`."""
    return get_registry().service_url(service, host_id)


def get_host(host_id: str) -> Host:
    """One host of the registry; raises `NotFound` naming those it has."""
    return get_registry().find(host_id)


def get_local_host() -> Host | None:
    """The host that this machine is; None when that is not known."""
    return get_registry().local


def get_trainer() -> Host | None:
    """The host that trains."""
    return get_registry().trainer


def get_inference() -> Host | None:
    """The host that answers."""
    return get_registry().inference


def is_trainer_local() -> bool:
    """Whether this machine is known to be the one that trains; one that was not found in the registry is not (G4)."""
    return get_registry().is_trainer_local


def is_local(host_id: str) -> bool:
    """Whether a host of the registry is this machine."""
    return get_registry().is_local(host_id)


def _origin(url: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port
