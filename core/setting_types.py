"""Types of single settings: what they may be, and what is made of how people write them."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

Port = Annotated[int, Field(ge=1, le=65535)]
Steps = Annotated[int, Field(ge=1, le=1_000_000_000)]
Days = Annotated[float, Field(gt=0, le=36_500)]
"""A hundred years: what is to stay for ever stays, and the date before which files go is still a date."""
Megabytes = Annotated[int, Field(ge=1, le=1_000_000_000)]
Entries = Annotated[int, Field(ge=100, le=1_000_000_000)]


def listen_address(text: str) -> str:
    """An address of this machine; raises `ValueError` for anything else."""
    # A name may stand for several addresses, of which the realm would listen on one.
    try:
        return text if text == "localhost" else str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ValueError("it must be an IP address of this machine, or localhost") from error


def is_loopback(address: str) -> bool:
    """Whether only programs of this machine get through to a site that listens on this address."""
    return address == "localhost" or ipaddress.ip_address(address).is_loopback


def host_name(text: str) -> str:
    """A bare name or address in its short form; raises `ValueError` for anything else."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", text, re.IGNORECASE):
        raise ValueError("it must be a bare host name or address, without http:// and port")
    return text.lower()


def _time_of_day(value: Any) -> Any:
    # YAML 1.1 reads 12:30 without quotes as the 750 minutes that it is.
    text = f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError("it must be a time of day from 00:00 to 23:59")
    return text


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _weights(value: Any) -> Any:
    """Of the environment: `bin:1, sy:0.5`."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition(":") for part in value.split(",") if part.strip()]
    return {name.strip(): weight.strip() or 1.0 for name, _, weight in pairs}


def _name(value: Any) -> Any:
    # A step in a YAML list is a number.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _folder(text: str) -> str:
    if not text.startswith("/") or text.rstrip("/") == "" or "\0" in text or ".." in text.split("/"):
        raise ValueError("it must be the absolute path of a directory below /, without ..")
    return text.rstrip("/")


def _spaced(value: Any) -> Any:
    # Addresses may hold commas.
    return value.split() if isinstance(value, str) else value


def _service_address(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://[^\s\0]{0,2000}", text):
        raise ValueError("it must be an address such as ntfy://topic, without spaces")
    return text


class Secret:
    """Marks a setting that is never shown: as metadata of its type."""


Address = Annotated[str, AfterValidator(listen_address)]
TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]
"""HH:MM, local time."""
Names = Annotated[tuple[Annotated[str, BeforeValidator(_name)], ...], BeforeValidator(_listed)]
HostNames = Annotated[tuple[Annotated[str, AfterValidator(host_name)], ...], BeforeValidator(_listed)]
"""A list; from the environment, names with commas between."""
NewsNames = Annotated[
    tuple[Literal["quest_complete", "level_up", "trouble"], ...], BeforeValidator(_listed), Field(max_length=3)
]
SecretAddresses = Annotated[
    tuple[Annotated[str, AfterValidator(_service_address)], ...],
    BeforeValidator(_spaced),
    Field(max_length=16),
    Secret(),
]
Folders = Annotated[tuple[Annotated[str, AfterValidator(_folder)], ...], BeforeValidator(_listed)]
Weights = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], Annotated[float, Field(gt=0, le=1000)]],
    BeforeValidator(_weights),
    Field(min_length=1, max_length=100),
]
"""Names with their weights; from the environment, `bin:1, sy:0.5`."""
