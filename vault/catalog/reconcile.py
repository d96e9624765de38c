"""Keeps the catalog equal to the disk: all of it from time to time, and each checkpoint as it comes and goes.

Nothing is believed but the disk. Whatever was found is looked at once more within the transaction that enters it or
strikes it out: of a look and a deletion at the same time the deletion wins, and nothing deleted comes back (A2).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path

from core.checkpoint_records import extract_step, parse_checkpoint_name
from core.crash_points import crash_point
from core.errors import Conflict
from core.paths import RealmPaths
from vault.assets import LOCAL, Asset, Location
from vault.catalog.catalog import Catalog, Changes
from vault.catalog.finding import describe, discover, discover_checkpoints


def reconcile(catalog: Catalog, paths: RealmPaths, roots: Iterable[Path] = ()) -> Changes:
    """Look at the whole base directory, and at each place outside of it that somebody has registered.

    What lies below one of the `roots` is struck out only while the root itself is there: one that is not mounted tells
    nothing of what lies on it.
    """
    found = discover(paths)
    gone = _gone_outside(catalog, paths, [*roots])
    changes = catalog.replace_stronghold(
        LOCAL, found, settle=settling(paths, found, lambda place: place.path not in gone)
    )
    catalog.forget_manifests()
    return changes


def look_at_checkpoints(catalog: Catalog, paths: RealmPaths, names: Collection[str]) -> Changes:
    """Look at the directories of these names, and of all others of the same steps."""
    steps = {extract_step(name) for name in names}
    if any((paths.current_model / name).is_dir() for name in names):
        crash_point("catalog.entering")
    else:
        crash_point("catalog.striking")
    found = list(discover_checkpoints(paths, steps))
    return catalog.replace_stronghold(LOCAL, found, settle=settling(paths, found), steps=steps)


def strike_out(catalog: Catalog, paths: RealmPaths, gone: Path) -> None:
    """Forget what lay at a path that was just deleted."""
    asset_id = catalog.id_of_name(gone.name)
    if asset_id is not None and not os.path.lexists(gone):
        catalog.drop_location(asset_id, LOCAL, str(gone))


def register(catalog: Catalog, path: Path, stronghold: str, *, is_primary: bool) -> Asset:
    """Enter what lies at a path outside of the base directory; returns the asset as the catalog has it now.

    Raises `NotFound` for what is no asset, `Conflict` where its id is that of other bytes.
    """
    asset = describe(path, stronghold, is_primary=is_primary)
    try:
        catalog.put(asset)
    except Conflict:
        known = catalog.locate(asset.asset_id)
        if not parse_checkpoint_name(path)["is_canonical"] or known is None or known.name == asset.name:
            raise
        # The same step of another history: its directory tells the two apart.
        asset = replace(asset, asset_id=path.name.replace("-", "_", 1))
        catalog.put(asset)
    return catalog.locate(asset.asset_id) or asset


def settling(
    paths: RealmPaths, found: Iterable[Asset], is_outside_there: Callable[[Location], bool] = lambda place: True
) -> Callable[[Asset | None, Asset | None], Asset | None]:
    """Of what was found and what is known, what should stand, with one more look at the disk."""
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
        kept = [_kept(each, before.get(each.path), unwritten) for each in inside]
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
    return location.stronghold == LOCAL and location.path.startswith(f"{paths.base}/")


def _kept(found: Location, known: Location | None, unwritten: bool) -> Location:
    """What was found, with what a verification has said of the same bytes since."""
    if known is None or found.size_bytes != known.size_bytes:
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


def _gone_outside(catalog: Catalog, paths: RealmPaths, roots: Collection[Path]) -> set[str]:
    """Places outside of the base directory at which nothing lies any more. Looked at before any transaction: a hung
    share keeps nobody but us waiting."""
    away = {root for root in roots if not root.is_dir()}
    known = catalog.places(LOCAL)
    return {
        path
        for path in known
        if not Path(path).is_relative_to(paths.base)
        and not any(Path(path).is_relative_to(root) for root in away)
        and Path(path).parent.is_dir()
        and not os.path.lexists(path)
    }
