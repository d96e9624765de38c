"""`realm vault`: how full the vault is, what goes and what stays, and why; the verbs of its catalog are beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import aligned, listed
from vault.backup_cli import add_backup_verbs
from vault.catalog_cli import StandingStill, add_catalog_verbs, reading
from vault.zones_cli import add_zone_verbs

if TYPE_CHECKING:
    from core.paths import RealmPaths
    from core.saga import News
    from vault.retention import Pin
    from vault.treasury import Tell, Treasury

PRUNE_SECONDS = 600.0
"""For the realm to answer: hundreds of gigabytes are unlinked in that time."""

PinsOf = Callable[["RealmPaths"], "Mapping[Path, Pin]"]
"""What other rooms refer to (`vault.treasury.Pins`), of the realm at these paths."""


def vault_app(pins_of: PinsOf, standing_still: StandingStill) -> typer.Typer:
    """The verbs below `realm vault`; the modules they need are imported when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Checkpoints, branches, archived models and snapshots: what is kept.")

    @app.command()
    def stats(ctx: typer.Context) -> None:
        """Show the room on the disk, what the vault takes of it, and what the catalog knows."""
        told = {**_treasury(ctx.obj.paths, pins_of).status(), "catalog": _catalog_stats(ctx.obj.paths)}
        ctx.obj.tell(told, aligned(dict(_stats_lines(told))))

    @app.command()
    def prune(
        ctx: typer.Context,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Delete nothing; say what goes, what stays, and why.")
        ] = False,
    ) -> None:
        """Delete what is beyond the limits of the settings under `retention`; a running realm does it by itself."""
        told = _prune(ctx.obj.paths, pins_of, standing_still, dry_run=dry_run)
        ctx.obj.tell(told, "\n".join(_prune_lines(told)))

    add_backup_verbs(app, lambda paths: _treasury(paths, pins_of), standing_still)
    add_catalog_verbs(app, standing_still)
    add_zone_verbs(app)
    return app


def _catalog_stats(paths: RealmPaths) -> dict[str, Any] | None:
    """None where the catalog cannot be read, which keeps nobody from seeing the room on the disk."""
    from core.errors import Unavailable

    with suppress(Unavailable), reading(paths) as keeper:
        return keeper.stats()
    return None


def _treasury(paths: RealmPaths, pins_of: PinsOf, tell: Tell | None = None) -> Treasury:
    from core.checkpoint_ledger import CheckpointLedger
    from core.settings_reading import load_settings
    from vault.treasury import Treasury, unheard
    from vault.zone_witnesses import ZoneWitnesses
    from vault.zones import Zones

    retention = load_settings(paths.config_file).retention
    ledger = CheckpointLedger.of(paths)
    treasury = Treasury(paths, ledger, lambda: retention, pins=lambda: pins_of(paths), tell=tell or unheard)
    treasury.last_copies.others = ZoneWitnesses(paths, Zones.of(paths))
    return treasury


def _prune(paths: RealmPaths, pins_of: PinsOf, standing_still: StandingStill, *, dry_run: bool) -> dict[str, Any]:
    """Through the living realm, whose settings count; else alone: a rewind that was cut off must not lose its goal."""
    from core.instance import living_realm
    from core.shell.api_client import ask_realm
    from vault.pruning import prune_report

    if living_realm(paths.lock) is not None:
        return ask_realm(paths, "/api/treasury/prune", {"dry_run": dry_run}, timeout_seconds=PRUNE_SECONDS)
    if dry_run:
        return prune_report(_treasury(paths, pins_of), dry_run=True, now=datetime.now(UTC))
    with standing_still(paths, "vault prune"):
        treasury = _treasury(paths, pins_of, tell=lambda news, now: _tell_saga(paths, news, now))
        return prune_report(treasury, dry_run=False, now=datetime.now(UTC))


def _tell_saga(paths: RealmPaths, news: list[News], now: datetime) -> None:
    from core.errors import RealmError
    from core.saga import open_saga

    if paths.saga_db.exists():
        with suppress(RealmError), open_saga(paths) as saga:  # what is deleted is deleted, and told on the screen
            saga.tell(news, now=now)


def _stats_lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "disk", f"{told['used_gb']:,.1f} of {told['total_gb']:,.1f} GB in use ({told['usage_percent']:.0f} %)"
    yield "health", told["health"]
    for name, noun in (("checkpoint", "checkpoints"), ("branch", "on branches"), ("archive", "archived models"),
                       ("snapshot", "snapshots"), ("copy", "fetched copies"), ("backup", "backups here")):  # fmt: skip
        yield noun, f"{told[f'{name}_count']} ({told[f'{name}_size_gb']:,.2f} GB)"
    if catalog := told["catalog"]:
        kinds = ", ".join(f"{number} {kind}" for kind, number in catalog["assets_by_type"].items())
        yield "catalog", f"{catalog['total_assets']} ({kinds})" if kinds else "0"
    yield "all together", f"{told['kept_gb']:,.2f} GB; retention.total_gigabytes is {told['limit_gb']}"


def _prune_lines(told: Mapping[str, Any]) -> Iterator[str]:
    deleted, dry_run = told["deleted"], told["dry_run"]
    if not deleted:
        yield "Nothing is beyond the limits."
    else:
        did = "Would be deleted" if dry_run else "Deleted"
        yield f"{did}, oldest first; {_size(told['freed_bytes'])} {'come' if dry_run else 'are'} free:"
        yield from listed([f"{each['name']} ({_size(each['frees_bytes'])}): {each['reason']}" for each in deleted])
    pinned = [each for each in told["kept"] if each["reason"] is not None]
    if pinned:
        yield "Held, whatever the limits say:"
        yield from listed([f"{each['name']} ({each['protection']}): {each['reason']}" for each in pinned])
    if loose := len(told["kept"]) - len(pinned):
        yield f"{loose} more {'is' if loose == 1 else 'are'} within the limits."


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
