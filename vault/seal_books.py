"""Backups in the catalog: each is one more location of the asset that it holds, as long as it lies there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.checkpoint_records import is_checkpoint_name
from core.errors import Conflict, NotFound
from vault.assets import AssetType
from vault.catalog.catalog import Catalog
from vault.seals import Seal
from vault.stores import Store

logger = logging.getLogger(__name__)


def book_seal(catalog: Catalog, seal: Seal) -> None:
    """Enter one. What has changed since is another asset by now: the backup of a step that was made anew has date and
    time in its id, and that of anything else its own name."""
    asset = seal.asset()
    try:
        try:
            catalog.put_location(asset.asset_id, seal.location())
        except NotFound:
            catalog.put(asset)
        except Conflict:
            if is_checkpoint_name(asset.name):
                asset = replace(asset, asset_id=asset.name.replace("-", "_", 1))
            else:
                asset = replace(asset, asset_id=f"backup_{seal.name}", asset_type=AssetType.BACKUP)
            catalog.put(asset)
    except Conflict as error:
        logger.warning("a backup is in no catalog: %s", error, extra={"event": "seal_unbooked"})


def book_seals(catalog: Catalog, store: Store, seals: Sequence[Seal], *, anew: bool = False) -> None:
    """Enter those that are not there, with `anew` all of them, and strike out what was deleted by hand (A1, A26)."""
    known = {place for place in catalog.places(store.name) if Path(place).is_relative_to(store.folder)}
    there = {str(seal.content) for seal in seals}
    for seal in seals:
        if anew or str(seal.content) not in known:
            book_seal(catalog, seal)
    for place in known - there:
        asset_id = catalog.id_at(store.name, place)
        # Half written ones are none, and a damaged note is no deletion.
        if asset_id is not None and not Path(place).exists():
            catalog.drop_location(asset_id, store.name, place)
