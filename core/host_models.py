"""`configs/hosts.yaml` as it is written: hosts and their services, checked like the settings, every mistake at once.

The fields are the seed's (spec 1.10). No secret belongs into this file, as all hosts share it: tokens lie in private
files (`core.http.tokens`). A value under an unknown key is never repeated, as it may be a password all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from core.errors import InvalidInput
from core.setting_types import Names, Port, host_name
from core.settings import Section
from core.settings_reading import S, read_yaml, validate_section

Role = Literal["trainer", "inference", "storage", "hybrid"]

_HOST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SSH_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_URL_PATH = re.compile(r"(/[A-Za-z0-9_.~-]+)*/?")


def _bare_host(text: str) -> str:
    # It also becomes an argument of ssh, which would take it for an option.
    if text.startswith("-"):
        raise ValueError("a host name does not begin with a dash")
    return host_name(text)


def _ssh_user(text: str) -> str:
    if not _SSH_USER.fullmatch(text):
        raise ValueError("it must be a bare user name")
    return text


def _url_path(text: str) -> str:
    if not _URL_PATH.fullmatch(text):
        raise ValueError("it must look like /api/ledger")
    return text.rstrip("/")


def _absolute(text: str) -> str:
    if not Path(text).is_absolute():
        raise ValueError("it must be an absolute path on that host")
    return text


Folder = Annotated[str, AfterValidator(_absolute)]


class Service(Section):
    """One service of a host."""

    port: Port
    """Port that it listens on."""

    path: Annotated[str, AfterValidator(_url_path)] = ""
    """Path below which it answers, as `/api/ledger`."""

    protocol: Literal["http", "https"] = "http"
    """How it is spoken to."""

    auth_required: bool = True
    """Whether it wants the token; one that is open to all says false."""


class Host(Section):
    """One machine of the realm."""

    id: str
    """Its name in the registry, as `4090`; also that of its zone."""

    name: str = ""
    """What people call it."""

    host: Annotated[str, AfterValidator(_bare_host)]
    """Address or name in the network, without http:// and port."""

    role: Role
    """What it is for; `hybrid` does several things."""

    ssh_user: Annotated[str, AfterValidator(_ssh_user)] | None = None
    """Who rsync logs in as where there is no branch officer; null: nobody does."""

    services: Mapping[str, Service] = {}
    """What listens there, by name: vault, ledger, training, branch, inference, tavern …"""

    base_dir: Folder | None = None
    """Base directory of the realm there, or what its branch officer looks after."""

    models_dir: Folder | None = None
    """Where base models lie there."""

    checkpoints_dir: Folder | None = None
    """Where checkpoints lie there."""

    capabilities: Names = ()
    """What it can do, in free words."""

    def url_of(self, service: str, *, address: str | None = None) -> str | None:
        """Where a service answers, as `http://192.168.1.10:8767/api/ledger`; None when the host has no such one."""
        found = self.services.get(service)
        if found is None:
            return None
        where = address or self.host
        return f"{found.protocol}://{f'[{where}]' if ':' in where else where}:{found.port}{found.path}"


class HostsFile(Section):
    """What stands beside the hosts themselves."""

    local_host: str | None = None
    """Which of the hosts this machine is; null finds it by its addresses. The variable REALM_HOST wins over it."""

    default_trainer: str | None = None
    """The host that trains; null takes the only one of that role."""

    default_inference: str | None = None
    """The host that answers; null takes the only one of that role."""


def read_hosts(path: Path) -> tuple[dict[str, Host], HostsFile]:
    """The hosts by id, in the order of the file, and what stands beside them.

    YAML or JSON. Raises `InvalidInput` that lists every mistake with the host and the key that it is about.
    """
    values = read_yaml(path)
    # YAML reads `4090:` and `local_host: 4090` as numbers.
    raw = values.pop("hosts", None) or {}
    beside = {key: str(value) if type(value) is int else value for key, value in values.items() if key != "_notes"}
    mistakes: list[str] = []
    hosts: dict[str, Host] = {}
    if not isinstance(raw, dict):
        raise InvalidInput(f"{path}: hosts must hold one entry for each host, not a {type(raw).__name__}.")
    about = _tried(mistakes, HostsFile, beside, str(path))
    for key, entry in raw.items():
        host = _read_host(str(key), entry, path, mistakes)
        if str(key) in hosts:
            mistakes.append(f"{path}: hosts.{key} stands twice.")
        if host is not None:
            hosts[host.id] = host
    for name in ("local_host", "default_trainer", "default_inference"):
        meant = getattr(about, name, None)
        if meant is not None and meant not in {str(key) for key in raw}:
            known = ", ".join(map(str, raw)) or "none"
            mistakes.append(f"{path}: {name} is {meant!r}, which is no host of this file (there are: {known}).")
    if mistakes or about is None:
        raise InvalidInput("\n".join(mistakes), hint="Correct it and start again.", errors=mistakes)
    return hosts, about


def _read_host(host_id: str, entry: Any, path: Path, mistakes: list[str]) -> Host | None:
    where = f"{path}, hosts.{host_id}"
    if not _HOST_ID.fullmatch(host_id):
        mistakes.append(f"{where}: an id has letters, digits, dots, dashes and underscores, 64 at most.")
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("services") or {}, dict):
        mistakes.append(f"{where}: a host is a mapping with host, role and services.")
        return None
    services = {}
    for name, service in (entry.get("services") or {}).items():
        # A bare number is its port (spec 1.10).
        given = {"port": service} if type(service) is int else service
        if not isinstance(given, dict):
            mistakes.append(f"{where}.services.{name}: a service is a port, or a mapping with port and path.")
        elif (checked := _tried(mistakes, Service, given, f"{where}.services.{name}")) is not None:
            services[str(name)] = checked
    if "id" in entry:
        mistakes.append(f"{where}: the id of a host is its key, no field.")
    return _tried(mistakes, Host, {**entry, "id": host_id, "services": services}, where)


def _tried(mistakes: list[str], model: type[S], values: Mapping[str, Any], source: str) -> S | None:
    try:
        return validate_section(model, values, source=source)
    except InvalidInput as error:
        mistakes.append(error.message)
        return None
