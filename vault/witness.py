"""The witness: says of a copy on this host whether it is whole and stays, so that a copy elsewhere may go (ADR 0020).

It speaks of nothing but copies on disks of its own machine: what lies in a share, or in a backup, may be the very copy
that is asked about.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.errors import Conflict, RealmError
from vault.asset_jobs import own_manifest
from vault.assets import LOCAL, Asset, Location, is_usable
from vault.seals import NOTE
from vault.whole_copies import WholeCopies, is_own_disk, place_of, relied_on


class Witness:
    """That of one base directory. Reads whole copies: call it in a thread."""

    def __init__(
        self,
        find: Callable[[str], Asset | None],
        base: Path,
        whole: WholeCopies,
        own_disk: Callable[[Path], bool] = is_own_disk,
    ) -> None:
        """`find` looks an asset up by its name or id, and may raise `RealmError` or return None."""
        self._find = find
        self._base = base
        self._whole = whole
        self._own_disk = own_disk

    def testify(self, name: str, checksum: str, within: timedelta, now: datetime) -> dict[str, Any]:
        """Whether a whole copy with this checksum lies here and stays; see `vault.answers.Testimony`."""
        reason = f"There is no {name} here."
        try:
            asset = self._find(name)
        except RealmError as error:
            asset, reason = None, error.message
        for location in asset.locations if asset is not None else ():
            try:
                at, place = self._look(location, checksum, within, now)
            except (OSError, RealmError) as error:
                reason = str(error)
            else:
                return _told(name, checksum, None, verified_at=at, place=place)
        return _told(name, checksum, reason)

    def _look(self, location: Location, checksum: str, within: timedelta, now: datetime) -> tuple[datetime, str]:
        place = Path(os.path.realpath(location.path))
        if location.stronghold != LOCAL or not place.is_relative_to(os.path.realpath(self._base)):
            raise Conflict("The copy that is known here lies elsewhere.")
        if not is_usable(location) or (place.parent / NOTE).exists() or not self._own_disk(place):
            raise Conflict("The copy here is damaged, or lies in a backup or a share.")
        own = own_manifest(place)
        if own is None or own["digest"] != checksum:
            raise Conflict("The copy here holds other bytes.")
        at = self._whole.verified_at(place, checksum, None, now, within)
        if at is None:
            raise Conflict("The copy here is not whole.")
        # The last word: from here on, whoever deletes it has to find another one himself.
        with relied_on(place):
            return at, place_of(place)


def _told(
    name: str, checksum: str, reason: str | None, *, verified_at: datetime | None = None, place: str | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "checksum": checksum,
        "holds": verified_at is not None,
        "verified_at": None if verified_at is None else verified_at.isoformat(),
        "place": place,
        "reason": reason,
    }
