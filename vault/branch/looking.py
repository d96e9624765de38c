"""What lies in a zone, by a look at its disk: which assets, under which ids, and what is known of their bytes.

A look reads no bytes. So a copy is verified, or known to be damaged, only as long as its files are those that were read
and compared, by sizes, times and inodes; what nobody has read here is neither, whatever its manifest says (A30).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from blake3 import blake3

from core.checkpoint_records import is_checkpoint_name
from core.errors import NotFound, RealmError
from vault.asset_jobs import stamp_of
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog, Settle
from vault.catalog.finding import assets_below, describe


@dataclass
class Seen:
    """What one look has found."""

    assets: list[Asset] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """What was left out, with the reason."""


class Looking:
    """Looks for one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def below(self, places: Iterable[Path]) -> Seen:
        """Everything in these places, each asset once."""
        known = {
            place.path: (asset, place)
            for asset in self._catalog.export()
            for place in asset.locations
            if place.stronghold == LOCAL
        }
        landed = {path for path, (_, place) in known.items() if place.synced_at is not None}
        seen = Seen()
        for top in places:
            try:
                for path in assets_below(top, recursive=True, skipped=seen.skipped, whole=landed):
                    try:
                        seen.assets.append(self._at(path, *known.get(str(path), (None, None))))
                    except (RealmError, OSError) as error:
                        seen.skipped.append(str(error))
            except RealmError as error:
                seen.skipped.append(error.message)
        seen.assets = list(_each_once(seen.assets))
        return seen

    def at(self, path: Path) -> Asset:
        """What lies at one path, under an id that no other asset here has; raises `NotFound` for what is no asset."""
        known_id = self._catalog.id_at(LOCAL, str(path))
        known = self._catalog.locate(known_id) if known_id is not None else None
        places = known.locations if known is not None else ()
        place = next((each for each in places if each.stronghold == LOCAL and each.path == str(path)), None)
        asset = self._at(path, known, place)
        return next(own for own in _names(asset) if self._is_free(own))

    def is_unchanged(self, place: Location) -> bool:
        """Whether its files are those of which its checksum was made."""
        path = Path(place.path)
        try:
            made = self._catalog.manifest(path, stamp_of(path))
        except OSError:
            return False
        return made is not None and made.get("digest") == place.checksum

    # --- inside -----------------------------------------------------------------------------------------------

    def _at(self, path: Path, known: Asset | None, place: Location | None) -> Asset:
        if known is None or place is None:
            return _unread(describe(path, LOCAL, is_primary=True))
        was_read = place.status in (LocationStatus.VERIFIED, LocationStatus.CORRUPTED) and self.is_unchanged(place)
        if was_read and place.synced_at is not None:
            # As it was called when it came, whatever name it was given here.
            return replace(known, locations=(place,))
        try:
            found = _unread(describe(path, LOCAL, is_primary=True))
        except NotFound:
            if place.synced_at is None:
                raise
            there = replace(place, status=LocationStatus.UNVERIFIED, verified_at=None, checksum=None)
            return replace(known, locations=(there,))
        if known.asset_type is found.asset_type:
            found = replace(found, metadata={**known.metadata, **found.metadata})
        (there,) = found.locations
        if was_read and there.status is not LocationStatus.CORRUPTED:
            there = replace(there, status=place.status, verified_at=place.verified_at, checksum=place.checksum)
        return replace(found, locations=(there,))

    def _is_free(self, asset: Asset) -> bool:
        known = self._catalog.locate(asset.asset_id)
        return known is None or all(
            each.path == asset.locations[0].path or not os.path.lexists(each.path) or _is_copy(asset, known, each)
            for each in known.locations
            if each.stronghold == LOCAL
        )


def settling(seen: Iterable[Asset], began: datetime) -> Settle:
    """Of what a look has found and what is known by now, what should stand, with one more look at the disk.

    A look takes minutes: what arrived meanwhile stays, and what was deleted meanwhile does not come back (A2, A4).
    """
    paths = {place.path for asset in seen for place in asset.locations}
    since = began.isoformat()

    def is_newer(known: Location | None) -> bool:
        return known is not None and max(known.synced_at or "", known.verified_at or "") >= since

    def settle(found: Asset | None, known: Asset | None) -> Asset | None:
        before: Mapping[str, Location] = {each.path: each for each in (known.locations if known else ())}
        looked_at = [each for each in (found.locations if found else ()) if os.path.lexists(each.path)]
        kept = [before[each.path] if is_newer(before.get(each.path)) else each for each in looked_at]
        others = [
            each
            for each in before.values()
            if os.path.lexists(each.path)
            and (each.path not in paths or (is_newer(each) and each.path not in {place.path for place in kept}))
        ]
        asset = known if found is None or any(is_newer(each) for each in kept) else found
        locations = (*kept, *others)
        return replace(asset, locations=locations) if asset is not None and locations else None

    return settle


def _unread(asset: Asset) -> Asset:
    """As a look finds it: torn perhaps, but never verified."""
    (place,) = asset.locations
    if place.status is LocationStatus.CORRUPTED:
        return asset
    return replace(asset, locations=(replace(place, status=LocationStatus.UNVERIFIED, verified_at=None),))


def _each_once(found: list[Asset]) -> Iterator[Asset]:
    """Copies of a checkpoint are one asset; of different ones with the same id, the newest has it."""
    taken: dict[str, Asset] = {}
    for asset in sorted(found, key=_precedence):
        for own in _names(asset):
            twin = taken.get(own.asset_id)
            if twin is None:
                taken[own.asset_id] = own
                break
            if _is_copy(own, twin, twin.locations[0]):
                copy = replace(own.locations[0], is_primary=False)
                taken[own.asset_id] = replace(twin, locations=(*twin.locations, copy))
                break
    yield from taken.values()


def _precedence(asset: Asset) -> tuple[bool, bool, str]:
    # What landed has its id from elsewhere. Names of one step end with date and time.
    newest_first = "".join(chr(0x10FFFF - ord(letter)) for letter in asset.name) if _is_checkpoint(asset) else ""
    (place,) = asset.locations
    return place.synced_at is None, place.status is LocationStatus.CORRUPTED, newest_first or place.path


def _names(asset: Asset) -> Iterator[Asset]:
    """The asset under each id that it may have, the usual one first."""
    yield asset
    path = Path(asset.locations[0].path)
    if _is_checkpoint(asset) and is_checkpoint_name(asset.name):
        yield replace(asset, asset_id=asset.name.replace("-", "_", 1))
    kind, _, rest = asset.asset_id.partition("_")
    yield replace(asset, asset_id=f"{kind}_{path.parent.name[:80]}_{rest}"[:300])
    yield replace(asset, asset_id=f"{asset.asset_id[:280]}_{blake3(str(path).encode()).hexdigest()[:16]}")


def _is_checkpoint(asset: Asset) -> bool:
    return asset.asset_type is AssetType.CHECKPOINT


def _is_copy(asset: Asset, twin: Asset, place: Location) -> bool:
    """Whether they are the same checkpoint, in two directories."""
    checksum = asset.locations[0].checksum
    return asset.name == twin.name and checksum is not None and checksum == place.checksum
