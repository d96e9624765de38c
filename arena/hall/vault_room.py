"""The vault as Python callers find it in `Realm().vault`: with what the arena refers to in it, and with the rewind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.paths import RealmPaths

if TYPE_CHECKING:
    from core.checkpoint_ledger import CheckpointLedger
    from vault.archivist import Archivist
    from vault.chronicle import Chronicle
    from vault.keeper import VaultKeeper
    from vault.retention import Pin
    from vault.treasury import Treasury


class Vault:
    """What exists: `ledger` and `keeper`; how it came to be: `chronicle`; how much of it is kept: `treasury`; and
    backups: `archivist`. Each is opened when it is first used, and `close` closes the catalog."""

    def __init__(self, paths: RealmPaths) -> None:
        self._paths = paths

    @cached_property
    def ledger(self) -> CheckpointLedger:
        from core.checkpoint_ledger import CheckpointLedger

        return CheckpointLedger.of(self._paths)

    @cached_property
    def treasury(self) -> Treasury:
        from core.settings_reading import load_settings
        from vault.treasury import Treasury
        from vault.zone_witnesses import ZoneWitnesses
        from vault.zones import Zones

        file = self._paths.config_file
        found = Treasury(
            self._paths, self.ledger, lambda: load_settings(file).retention, pins=lambda: pins_of(self._paths)
        )
        found.last_copies.others = ZoneWitnesses(self._paths, Zones.of(self._paths))
        return found

    @cached_property
    def keeper(self) -> VaultKeeper:
        from vault.keeper import VaultKeeper

        return VaultKeeper(self._paths.base, ledger=self.ledger)

    @cached_property
    def archivist(self) -> Archivist:
        from vault.archivist import Archivist

        return Archivist(self.keeper)

    @cached_property
    def chronicle(self) -> Chronicle:
        from arena.annals.learned import learned_in
        from vault.chronicle import Chronicle

        return Chronicle(self._paths, self.ledger, learned_in=learned_in, go_back=self._go_back)

    def close(self) -> None:
        """Close the catalog, if it was opened."""
        if "keeper" in vars(self):
            self.keeper.close()

    def _go_back(self, checkpoint: str) -> dict[str, Any]:
        """`realm rewind CHECKPOINT`, with its answer in JSON."""
        from dataclasses import asdict
        from datetime import UTC, datetime

        from arena.annals.rewinding import Rewinder
        from arena.hall.standing import standing_still

        with standing_still(self._paths, f"rewind {checkpoint}"):
            done = Rewinder(self._paths).rewind(checkpoint, now=datetime.now(UTC), requeue=False)
        return {"rewound": False, "undone": []} if done is None else {"rewound": True, **asdict(done)}


def pins_of(paths: RealmPaths) -> Mapping[Path, Pin]:
    """What the arena refers to in the vault of a realm."""
    from arena.upkeep.base_pins import base_pins
    from core.settings_reading import load_settings

    return base_pins(paths, load_settings(paths.config_file).model_name)
