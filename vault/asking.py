"""`ask_vault_first`: a path to load an asset from, wherever it has to be brought from (seed 003)."""

from __future__ import annotations

import logging
import os

from core.errors import NotFound, RealmError
from core.hosts import get_registry
from core.paths import RealmPaths
from vault.client import VaultKeeperClient
from vault.keeper import VaultKeeper

logger = logging.getLogger(__name__)


def ask_vault_first(
    asset_id: str,
    fallback: str | os.PathLike[str] | None = None,
    fetch_if_remote: bool = True,
    local_dir: str | os.PathLike[str] | None = None,
) -> str:
    """A path on this host at which the asset lies; it is brought to `local_dir` (default `models/`) if it is elsewhere.

    The catalog of this host is asked, then, where that does not know of it, the vault of the trainer that the host
    registry names. Where that does not succeed either, `fallback` is returned, whatever lies there; without one, raises
    `NotFound`, or what went wrong.
    """
    try:
        return _path_of(asset_id, fetch_if_remote, local_dir)
    except RealmError as error:
        if fallback is None:
            raise
        logger.warning("the vault has no %s: %s", asset_id, error, extra={"event": "vault_fallback"})
        return os.fspath(fallback)


def _path_of(asset_id: str, fetch_if_remote: bool, local_dir: str | os.PathLike[str] | None) -> str:
    with VaultKeeper() as keeper:
        lookup = keeper.locate(asset_id)
        best = lookup.best_location
        if best is not None and keeper.is_here(best) and os.path.exists(best.path):
            return best.path
        if not fetch_if_remote:
            raise NotFound(lookup.error or f"{lookup.asset_id} is not on this host.")
        if not lookup.found:
            return _from_the_trainer(asset_id, local_dir, keeper.paths, str(lookup.error))
        fetched = keeper.fetch(lookup.asset_id, local_dir)
        if fetched.local_path is None:
            raise NotFound(fetched.error)
        return fetched.local_path


def _from_the_trainer(
    asset_id: str, local_dir: str | os.PathLike[str] | None, paths: RealmPaths, why_not_here: str
) -> str:
    registry = get_registry(paths)
    if registry.trainer is None or registry.is_trainer_local:
        raise NotFound(why_not_here)
    client = VaultKeeperClient(registry.service_url("vault", registry.trainer.id))
    return client.ensure_local(asset_id, local_dir or paths.models)
