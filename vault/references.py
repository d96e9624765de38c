"""What people call an asset beside its id: a directory name, a step, `latest` or `best` (DESIGN section 6)."""

from __future__ import annotations

import re
from collections.abc import Callable

from core.checkpoint_ledger import CheckpointLedger
from vault.assets import Asset
from vault.catalog.aliases import id_of_alias
from vault.catalog.catalog import Catalog

_CHECKPOINT = re.compile(r"(?:checkpoint[-_])?[0-9]{1,18}(?:-[0-9]{8}-[0-9]{4})?")


class References:
    """Those of one catalog; `look_at` makes it equal to the disk where checkpoints of these names are concerned."""

    def __init__(self, catalog: Catalog, ledger: CheckpointLedger, look_at: Callable[[list[str]], None]) -> None:
        self._catalog = catalog
        self._ledger = ledger
        self._look_at = look_at

    def asset(self, reference: str) -> Asset | None:
        """The asset meant by what is not its id; takes a look into folders."""
        asset_id = self._by_name(reference) or self._just_saved(reference)
        if asset_id is None and reference == "latest":
            asset_id = self._catalog.newest_checkpoint()
        return None if asset_id is None else self._catalog.locate(asset_id)

    def _by_name(self, reference: str) -> str | None:
        if reference in ("latest", "best"):
            record = self._ledger.find(reference)
            return self._catalog.id_of_name(record.canonical_name) if record else None
        asset_id = id_of_alias(self._catalog, reference)
        return asset_id if asset_id is not None and self._catalog.locate(asset_id) is not None else None

    def _just_saved(self, reference: str) -> str | None:
        """A checkpoint that lies in `current_model/`, and that nobody has entered into the catalog yet."""
        if reference not in ("latest", "best") and _CHECKPOINT.fullmatch(reference) is None:
            return None
        record = self._ledger.find(reference)
        if record is None:
            return None
        self._look_at([record.canonical_name])
        return self._catalog.id_of_name(record.canonical_name)


def why_not(reference: str) -> str:
    """Why there is nothing of this name."""
    if reference == "champion":
        return "No champion has been chosen yet."
    if reference in ("latest", "best"):
        return "There is no checkpoint yet."
    return f"The catalog has no asset {reference!r}."
