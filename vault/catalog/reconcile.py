"""Keeps the catalog equal to the disk: all of it from time to time, and each checkpoint as it comes and goes.

Nothing is believed but the disk. Whatever was found is looked at once more within the transaction that enters it or
strikes it out: of a look and a deletion at the same time the deletion wins, and nothing deleted comes back (A2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from core.checkpoint_records import extract_step
from core.crash_points import crash_point
from core.errors import Conflict
from core.paths import RealmPaths
from vault.asset_jobs import stamp_of
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog, Changes
from vault.catalog.finding import describe, discover, discover_checkpoints, other_ids
from vault.outlying import Outlying


def reconcile(
    catalog: Catalog, paths: RealmPaths, outlying: Outlying | None = None, storages: Iterable[str] = ()
) -> Changes:
    """Look at the whole base directory, and at each place outside of it that somebody has registered, there or in one
    of the `storages` mounted here."""
    outlying = outlying or Outlying(catalog)
    found = discover(paths)
    # Looked at before any transaction: a share that hangs keeps nobody but us waiting.
    gone = outlying.gone(place for place in catalog.places(LOCAL) if not _is_below_base(place, paths))
    read = set(catalog.manifest_places())
    places = [place for asset in found for place in asset.locations if place.path in read]
    as_read = _as_when_read(catalog, places)
    changes = catalog.replace_stronghold(
        LOCAL, found, settle=settling(paths, found, lambda place: place.path not in gone, as_read)
    )
    for storage in storages:
        changes.removed.extend(catalog.drop_places(storage, outlying.gone(catalog.places(storage))))
    made = set(catalog.manifest_places())
    outside = {place for place in made if not _is_below_base(place, paths)}
    vanished = [place for place in made - outside if not os.path.lexists(place)]
    catalog.forget_manifests([*vanished, *outlying.gone(outside)])
    return changes


def look_at_checkpoints(catalog: Catalog, paths: RealmPaths, names: Collection[str]) -> Changes:
    """Look at the directories of these names, and of all others of the same steps."""
    steps = {extract_step(name) for name in names}
    if any((paths.current_model / name).is_dir() for name in names):
        crash_point("catalog.entering")
    else:
        crash_point("catalog.striking")
    found = discover_checkpoints(paths, steps)
    return catalog.replace_stronghold(LOCAL, found, settle=settling(paths, found), steps=steps)


def strike_out(catalog: Catalog, gone: Path, stronghold: str) -> None:
    """Forget what lay at a path that was just deleted."""
    asset_id = catalog.id_at(stronghold, str(gone))
    if asset_id is not None and not os.path.lexists(gone):
        catalog.drop_location(asset_id, stronghold, str(gone))


def register(catalog: Catalog, path: Path, stronghold: str, *, is_primary: bool | None) -> Asset:
    """Enter what lies at a path outside of the base directory; returns the asset as the catalog has it now.

    What a verification has said of these bytes stays; without `is_primary`, that stays as it was too. Raises `NotFound`
    for what is no asset, `Conflict` where its id is that of other bytes.
    """
    asset = describe(path, stronghold, is_primary=bool(is_primary))
    conflict: Conflict | None = None
    for asset_id in _possible_ids(catalog, asset):
        named, before = _with_what_is_known(catalog, replace(asset, asset_id=asset_id))
        (place,) = named.locations
        if before is not None and is_primary is None:
            place = replace(place, is_primary=before.is_primary)
        try:
            catalog.put(replace(named, locations=(place,)))
        except Conflict as error:
            conflict = conflict or error
            if before is not None:  # what was known of this place is not true any more
                catalog.drop_places(stronghold, [place.path])
            continue
        return catalog.locate(asset_id) or named
    raise conflict or Conflict(f"{path} cannot be told from other assets of its name.")


def _possible_ids(catalog: Catalog, asset: Asset) -> list[str]:
    """Ids under which an asset may stand that lies outside, best first: that which it has, then those that are free or
    may be of the same bytes."""
    (place,) = asset.locations
    others = other_ids(asset)
    if asset.asset_type is AssetType.CHECKPOINT:
        # The hashes tell two of one step apart; of two of one name, one is not what it should be.
        known = catalog.locate(asset.asset_id)
        names = [asset.asset_id, *(others if known is not None and known.name != asset.name else [])]
    else:
        names = [name for name in (asset.asset_id, *others) if _may_be(asset, catalog.locate(name))]
    at = catalog.id_at(place.stronghold, place.path)
    return [at, *(name for name in names if name != at)] if at in (asset.asset_id, *others) else names


def _may_be(asset: Asset, known: Asset | None) -> bool:
    """Whether these may be the same bytes, as far as that can be told without reading them."""
    return known is None or None in (known.size_bytes, asset.size_bytes) or known.size_bytes == asset.size_bytes


def _with_what_is_known(catalog: Catalog, asset: Asset) -> tuple[Asset, Location | None]:
    """An asset with what a verification has said of its one copy, and that copy as it is known."""
    (place,) = asset.locations
    known = catalog.locate(asset.asset_id)
    copies = known.locations if known is not None else ()
    before = next((each for each in copies if (each.stronghold, each.path) == (place.stronghold, place.path)), None)
    if known is None or before is None:
        return asset, before
    unwritten = len(copies) == 1 and asset.modified_at == known.modified_at
    unwritten = _as_when_read(catalog, [place]).get(place.path, unwritten)
    return replace(asset, locations=(_kept(place, before, unwritten),)), before


def _as_when_read(catalog: Catalog, places: Iterable[Location]) -> dict[str, bool]:
    """By path, whether the files of a copy are as they were when its bytes were read; only those that were, and that
    have no manifest of their own."""
    stamps = ((place.path, catalog.manifest_stamp(place.path)) for place in places if place.checksum is None)
    return {path: stamp == _stamp(path) for path, stamp in stamps if stamp is not None}


def _stamp(path: str) -> str | None:
    try:
        return stamp_of(Path(path))
    except OSError:
        return None


def settling(
    paths: RealmPaths,
    found: Iterable[Asset],
    is_outside_there: Callable[[Location], bool] = lambda place: True,
    as_read: Mapping[str, bool] = MappingProxyType({}),
) -> Callable[[Asset | None, Asset | None], Asset | None]:
    """Of what was found and what is known, what should stand, with one more look at the disk. `as_read` says of
    copies that were read whether they are as they were then."""
    seen = {location.path for asset in found for location in asset.locations}

    def stays(known: Location) -> bool:
        if not is_inside(known, paths):
            return is_outside_there(known)
        # What was seen has its id by that look; what was not may have come since.
        return known.path not in seen and os.path.lexists(known.path)

    def settle(found: Asset | None, known: Asset | None) -> Asset | None:
        before = {each.path: each for each in (known.locations if known else ())}
        unwritten = found is not None and known is not None and found.modified_at == known.modified_at
        inside = [each for each in (found.locations if found else ()) if os.path.lexists(each.path)]
        kept = [_kept(each, before.get(each.path), as_read.get(each.path, unwritten)) for each in inside]
        others = [each for each in filter(stays, before.values()) if not _is_another(each, kept)]
        locations = sorted((*kept, *others), key=_order)
        asset = found or known
        return replace(asset, locations=tuple(locations)) if asset is not None and locations else None

    return settle


def _is_another(known: Location, found: list[Location]) -> bool:
    """Whether a copy holds other bytes than what was found: a step was made anew, and this is its former self."""
    checksums = {each.checksum for each in found} - {None}
    return known.checksum is not None and bool(checksums) and known.checksum not in checksums


def is_inside(location: Location, paths: RealmPaths) -> bool:
    """Whether it lies in the base directory itself."""
    return location.stronghold == LOCAL and _is_below_base(location.path, paths)


def _is_below_base(path: str, paths: RealmPaths) -> bool:
    return path.startswith(f"{paths.base}/")


def _kept(found: Location, known: Location | None, unwritten: bool) -> Location:
    """What was found, with what a verification has said of the same bytes since."""
    if known is None or found.size_bytes != known.size_bytes or found.status is LocationStatus.CORRUPTED:
        return found
    if found.checksum is None and unwritten:
        # It has no manifest of its own: its hashes are those of the verification.
        return known
    if found.checksum != known.checksum:
        return found
    if (known.verified_at or "") <= (found.verified_at or ""):
        return replace(found, synced_at=known.synced_at)
    return replace(found, synced_at=known.synced_at, status=known.status, verified_at=known.verified_at)


def _order(location: Location) -> tuple[bool, str]:
    return not location.is_primary, location.path
