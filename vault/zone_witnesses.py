"""Asks the zones of a realm what they rely on, and whether they hold whole copies; one that is away says nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.http.tokens import client_token
from core.paths import RealmPaths
from vault.assets import LOCAL
from vault.last_copies import Part
from vault.pin_book import AssetPin, PinBook, read_pins
from vault.transfer.byte_address import root_of
from vault.zone_calls import ZoneCalls
from vault.zones import Zones

if TYPE_CHECKING:
    from core.hosts import Host, HostRegistry

logger = logging.getLogger(__name__)

READING_SECONDS = 600.0
"""For a zone to read a copy of some gigabytes."""
PINS_SECONDS = 10.0
SERVICES = ("vault", "branch")


class ZoneWitnesses:
    """The other zones of one realm (`vault.last_copies.Others`). Everything here waits for the network."""

    def __init__(self, paths: RealmPaths, zones: Zones) -> None:
        self._zones = zones
        token = lambda: client_token(paths.token_file)  # noqa: E731
        self._slow, self._quick = ZoneCalls(token, READING_SECONDS), ZoneCalls(token, PINS_SECONDS)

    def are_there(self) -> bool:
        """Also when the registry cannot be read."""
        try:
            return bool(_others(self._zones.registry()))
        except RealmError:
            return True

    def witnesses(self, part: Part, within: timedelta) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The word of each zone that answers, one after the other."""
        try:
            registry = self._zones.registry()
            # Short: nobody waits for minutes on one that is away.
            zones = self._zones.overview(fresh=True)["zones"]
        except RealmError as error:
            logger.warning("no zone is asked: %s", error, extra={"event": "zones_unasked"})
            return
        asked = {"name": part.name, "checksum": part.digest, "within_days": within / timedelta(days=1)}
        online = {zone["zone_id"] for zone in zones if zone["status"] == "online"}
        for host in _others(registry):
            if host.id in online:
                try:
                    yield host.id, self._testimony(registry, host, asked)
                except RealmError as error:
                    yield host.id, {"holds": False, "reason": error.message}

    def take_over_pins(self, book: PinBook) -> None:
        """Note what each zone relies on that answers; one that is away keeps what it was known to rely on."""
        registry = self._zones.registry()
        for host in _others(registry):
            if "vault" not in host.services:
                continue  # a branch officer stores, and relies on nothing
            try:
                book.write(host.id, self._pins(registry, host))
            except (Unavailable, NotFound) as error:
                logger.info("%s does not tell its pins: %s", host.id, error, extra={"event": "pins_untold"})
            except (RealmError, ValueError) as error:
                logger.warning("%s tells odd pins: %s", host.id, error, extra={"event": "pins_odd"})
        book.keep_only({LOCAL, *registry.hosts})

    def _testimony(self, registry: HostRegistry, host: Host, asked: Mapping[str, Any]) -> dict[str, Any]:
        """By the first of its services that answers: the trainer may name an officer that nobody has started."""
        away: Unavailable | None = None
        for service in (name for name in SERVICES if name in host.services):
            try:
                return self._slow.post(registry, root_of(registry.service_url(service, host.id)), "/api/witness", asked)
            except Unavailable as error:
                away = away or error
        raise away or Unavailable(f"{host.id} has no service that could be asked.")

    def _pins(self, registry: HostRegistry, host: Host) -> list[AssetPin]:
        root = root_of(registry.service_url("vault", host.id))
        try:
            return read_pins(self._quick.get(registry, root, "/api/pins"))
        except msgspec.ValidationError as error:
            raise Conflict(f"{host.id} does not tell its pins as a vault does: {error}.") from error


def _others(registry: HostRegistry) -> list[Host]:
    known = [host for host in registry.hosts.values() if {*SERVICES} & host.services.keys()]
    return [host for host in known if host.id != registry.local_id]
