"""The vault's front door (seed 003): its classes by name, each loaded when it is first asked for.

from vault import ask_vault_first, VaultKeeper, VaultDiscovery, StorageRegistry, StrongholdType
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vault.asking import ask_vault_first
    from vault.carrying import pull_from_zone, push_to_zone
    from vault.discovery import VaultDiscovery
    from vault.keeper import VaultKeeper
    from vault.storage_registry import StorageRegistry, StrongholdType

__all__ = [
    "StorageRegistry",
    "StrongholdType",
    "VaultDiscovery",
    "VaultKeeper",
    "ask_vault_first",
    "pull_from_zone",
    "push_to_zone",
]

_HOMES = {
    "StorageRegistry": "vault.storage_registry",
    "StrongholdType": "vault.assets",
    "VaultDiscovery": "vault.discovery",
    "VaultKeeper": "vault.keeper",
    "ask_vault_first": "vault.asking",
    "pull_from_zone": "vault.carrying",
    "push_to_zone": "vault.carrying",
}


def __getattr__(name: str) -> Any:
    # A verb that needs one module of the vault must not wait for its database to be loaded.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
