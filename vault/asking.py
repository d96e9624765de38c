"""Asking for an asset without knowing which host has it: `ask_vault_first` gives a path to load it from (seed 003)."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

from core.errors import NotFound, RealmError
from core.hosts import HostRegistry, get_registry
from core.http.tokens import client_token
from core.paths import RealmPaths
from vault.assets import LOCAL, Location, Lookup, is_usable
from vault.client import VaultKeeperClient
from vault.keeper import VaultKeeper

logger = logging.getLogger(__name__)

RELATIVE = frozenset({"latest", "best", "champion"})
"""What these mean is known where training happens: a host that has fetched one of last week has no newer one itself."""


def ask_vault_first(
    asset_id: str,
    fallback: str | os.PathLike[str] | None = None,
    fetch_if_remote: bool = True,
    local_dir: str | os.PathLike[str] | None = None,
) -> str:
    """A path on this host at which the asset lies; it is brought to `local_dir` (default `models/`) if it is elsewhere.

    The catalog of this host is asked, then, where that does not know of it, the vault of the trainer that the host
    registry names. Where that does not succeed either, `fallback` is returned, whatever lies there; without one, raises
    `NotFound`, or what went wrong. While the trainer is away, `latest` and `best` are those of this host.
    """
    try:
        return _path_of(asset_id, fetch_if_remote, local_dir)
    except (RealmError, OSError) as error:
        if fallback is None:
            raise
        logger.warning("the vault has no %s: %s", asset_id, error, extra={"event": "vault_fallback"})
        return os.fspath(fallback)


def locate_anywhere(reference: str, keeper: VaultKeeper) -> Lookup:
    """Where an asset lies, as the catalog of this host has it, else as the trainer's does; its `error` tells when the
    trainer would have been asked, and is away."""
    away = ""
    try:
        reference = _meant(reference, keeper.paths)
    except RealmError as error:
        away = f"What {reference!r} means at the trainer is unknown: {error}"
    lookup = keeper.locate(reference)
    if lookup.best_location is None and not away:
        try:
            lookup = _at_the_trainer(reference, keeper.paths) or lookup
        except RealmError as error:
            away = str(error)
    return replace(lookup, error=" ".join(filter(None, (lookup.error, away))) or None)


def _path_of(asset_id: str, fetch_if_remote: bool, local_dir: str | os.PathLike[str] | None) -> str:
    with VaultKeeper() as keeper:
        try:
            asset_id = _meant(asset_id, keeper.paths)
        except RealmError as error:
            logger.warning("%s is that of this host: %s", asset_id, error, extra={"event": "trainer_unasked"})
        lookup = keeper.locate(asset_id)
        # One that lies here will do, however well another is known.
        for location in filter(is_usable, lookup.locations):
            if keeper.is_here(location) and os.path.exists(location.path):
                return location.path
        if not fetch_if_remote:
            raise NotFound(lookup.error or f"{lookup.asset_id} is not on this host.")
        if not lookup.found:
            return _from_another_host(asset_id, local_dir, keeper.paths, str(lookup.error))
        fetched = keeper.fetch(lookup.asset_id, local_dir)
        if fetched.local_path is None:
            raise NotFound(fetched.error)
        return fetched.local_path


def _from_another_host(
    asset_id: str, local_dir: str | os.PathLike[str] | None, paths: RealmPaths, why_not_here: str
) -> str:
    """Brought from where the trainer says that it lies, and booked here."""
    # Loaded on use: who only looks things up needs no engine.
    from vault.carrying import Carrier

    # The trainer is asked first: a transfer waits for a host that is away, and here is somebody who waits.
    found = _at_the_trainer(asset_id, paths)
    best = None if found is None else found.best_location
    if best is None:
        raise NotFound(why_not_here)
    carrier = Carrier.of(paths)
    if best.stronghold == carrier.registry.local_id and os.path.exists(best.path):
        return best.path  # it was sent here
    target = None if local_dir is None else Path(local_dir, Path(best.path).name).absolute()
    return str(carrier.fetch(asset_id, best.stronghold, target).path)


def _meant(reference: str, paths: RealmPaths) -> str:
    """The id that `latest` and the like stand for at the trainer; all else as it is."""
    client = _trainers_vault(get_registry(paths), paths) if reference in RELATIVE else None
    return reference if client is None else client.locate(reference).asset_id


def _at_the_trainer(reference: str, paths: RealmPaths) -> Lookup | None:
    """What the trainer's vault knows, its own directory named by its id in the host registry; None where it knows
    nothing, or where this host is the trainer."""
    registry = get_registry(paths)
    client, trainer = _trainers_vault(registry, paths), registry.trainer
    found = None if client is None else client.locate(reference)
    if found is None or trainer is None or not found.found:
        return None

    def named(location: Location) -> Location:
        return replace(location, stronghold=trainer.id) if location.stronghold == LOCAL else location

    best = found.best_location
    locations = tuple(named(each) for each in found.locations)
    return replace(found, locations=locations, best_location=None if best is None else named(best))


def _trainers_vault(registry: HostRegistry, paths: RealmPaths) -> VaultKeeperClient | None:
    """None where this host is the trainer, or the registry names none."""
    if registry.trainer is None or registry.is_trainer_local:
        return None
    # All hosts of a registry share one token.
    url = registry.service_url("vault", registry.trainer.id)
    return VaultKeeperClient(url, token=client_token(paths.token_file))
