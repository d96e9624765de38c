"""`realm vault locate|scan|verify|rebuild`: the catalog of assets on the command line.

Looking things up reads the catalog itself, beside a realm or without one; changes go through the living realm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import aligned, listed

if TYPE_CHECKING:
    from core.paths import RealmPaths
    from vault.keeper import VaultKeeper

LONG_SECONDS = 3600.0
"""For the realm to answer: hundreds of gigabytes are read in that time."""

StandingStill = Callable[["RealmPaths", str], AbstractContextManager[None]]
"""Holds the locks of a realm, with whatever was cut off before finished; told what for (`arena.hall.standing`)."""


def add_catalog_verbs(app: typer.Typer, standing_still: StandingStill) -> None:
    """Add the verbs to `realm vault`; the modules they need are imported when one of them runs."""

    @app.command()
    def locate(
        ctx: typer.Context,
        asset: Annotated[str, typer.Argument(metavar="ASSET", help="An id, a directory name, a step, latest or best.")],
    ) -> None:
        """Show where an asset lies, the best place first; what this host does not know of, the trainer is asked for."""
        from vault.asking import locate_anywhere

        with reading(ctx.obj.paths) as keeper:
            lookup = locate_anywhere(asset, keeper)
        ctx.obj.tell(lookup.to_json(), "\n".join(_lookup_lines(lookup.to_json())))
        if lookup.best_location is None:
            raise typer.Exit(1)

    @app.command()
    def scan(
        ctx: typer.Context,
        folder: Annotated[Path | None, typer.Argument(metavar="DIRECTORY", help="By default the realm's own.")] = None,
        stronghold: Annotated[str, typer.Option(help="The storage that it is part of.")] = "local_vault",
        recursive: Annotated[bool, typer.Option("--recursive/--flat", help="Whether to look into folders.")] = True,
    ) -> None:
        """Enter everything below a directory into the catalog; a checkpoint or a model is one asset."""
        place = (folder or ctx.obj.paths.base).absolute()
        told = _scan(ctx.obj.paths, standing_still, place, stronghold, recursive=recursive)
        lines = [f"{told['registered_count']} assets are in {told['scanned_path']}."]
        if told["skipped"]:
            lines += ["Left out:", *listed([f"{each['path']}: {each['reason']}" for each in told["skipped"]])]
        ctx.obj.tell(told, "\n".join(lines))

    @app.command()
    def verify(
        ctx: typer.Context,
        asset: Annotated[str, typer.Argument(metavar="ASSET", help="An id, a directory name, a step, latest or best.")],
        stronghold: Annotated[str | None, typer.Option(help="Only the copies in it.")] = None,
        zone: Annotated[str | None, typer.Option(help="On this other host, by its own vault or officer.")] = None,
    ) -> None:
        """Read every file of an asset again and compare it with its hash; exit code 1 when one differs."""
        if zone is not None and stronghold is not None:
            raise typer.BadParameter("A zone reads all that it holds: leave --stronghold out.")
        paths = ctx.obj.paths
        told = _verify(paths, standing_still, asset, stronghold) if zone is None else _verify_at(paths, zone, asset)
        results = told["verification_results"]
        ctx.obj.tell(told, "\n".join(line for each in results for line in _verified_lines(each)))
        if any(each["problems"] for each in results):
            raise typer.Exit(1)

    @app.command()
    def rebuild(ctx: typer.Context) -> None:
        """Look at everything on this host anew, whatever the catalog says; what other hosts have told stays."""
        told = _rebuild(ctx.obj.paths, standing_still)
        ctx.obj.tell(told, f"The catalog was made anew: {told['total_assets']} assets.")


@contextmanager
def reading(paths: RealmPaths) -> Iterator[VaultKeeper]:
    """A keeper for looking things up: beside a living realm that keeps the catalog, else after a look at the disk."""
    from core.instance import keeps_catalog
    from vault.catalog.catalog import Catalog
    from vault.keeper import VaultKeeper

    if keeps_catalog(paths.lock):
        with Catalog.opened(paths.catalog_db, paths.base, owner=False) as catalog:
            yield VaultKeeper(paths.base, catalog=catalog)
        return
    with VaultKeeper(paths.base, roots=_roots(paths)) as keeper:
        keeper.reconcile()
        yield keeper


@contextmanager
def _alone(paths: RealmPaths, standing_still: StandingStill, doing: str) -> Iterator[VaultKeeper]:
    from vault.keeper import VaultKeeper

    with standing_still(paths, doing), VaultKeeper(paths.base, roots=_roots(paths)) as keeper:
        yield keeper


def _roots(paths: RealmPaths) -> list[Path]:
    from core.settings_reading import load_settings

    return [Path(root) for root in load_settings(paths.config_file).vault.roots]


def _lives(paths: RealmPaths) -> bool:
    from core.instance import keeps_catalog

    return keeps_catalog(paths.lock)


def _ask(paths: RealmPaths, path: str, body: dict[str, Any]) -> dict[str, Any]:
    from core.shell.api_client import ask_realm

    return ask_realm(paths, path, body, timeout_seconds=LONG_SECONDS)


def _scan(
    paths: RealmPaths, standing_still: StandingStill, place: Path, stronghold: str, *, recursive: bool
) -> dict[str, Any]:
    if _lives(paths):
        return _ask(paths, "/api/scan", {"path": str(place), "stronghold": stronghold, "recursive": recursive})
    with _alone(paths, standing_still, "vault scan") as keeper:
        ids, skipped = keeper.scan(place, stronghold, recursive)
    return {"scanned_path": str(place), "registered_count": len(ids), "asset_ids": ids, "skipped": skipped}


def _verify(paths: RealmPaths, standing_still: StandingStill, asset: str, stronghold: str | None) -> dict[str, Any]:
    if _lives(paths):
        named = {} if stronghold is None else {"stronghold": stronghold}
        return _ask(paths, "/api/verify", {"asset_id": asset, **named})
    with _alone(paths, standing_still, "vault verify") as keeper:
        keeper.reconcile()
        found = keeper.get_asset(asset)
        return {"asset_id": found.asset_id, "verification_results": keeper.verify(found.asset_id, stronghold)}


def _verify_at(paths: RealmPaths, zone: str, asset: str) -> dict[str, Any]:
    from vault.zones import Zones

    return Zones.of(paths).verify(zone, asset)


def _rebuild(paths: RealmPaths, standing_still: StandingStill) -> dict[str, Any]:
    if _lives(paths):
        return _ask(paths, "/api/rebuild", {})
    with _alone(paths, standing_still, "vault rebuild") as keeper:
        keeper.rebuild()
        return keeper.stats()


def _lookup_lines(told: dict[str, Any]) -> Iterator[str]:
    if told["error"]:
        yield told["error"]
    for each in told["locations"]:
        checked = f", verified {each['verified_at']}" if each["verified_at"] else ""
        yield f"{each['stronghold']}: {each['path']} ({each['status']}{checked})"


def _verified_lines(result: dict[str, Any]) -> Iterator[str]:
    yield aligned({result["stronghold"]: f"{result['path']}: {result['status']}"})
    yield from listed(result["problems"])
