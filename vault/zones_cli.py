"""`realm vault zones`, `fetch` and `transfer`: the other hosts of the realm, and assets from and to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from core.paths import RealmPaths
    from vault.transfer.pull import Progress, PullOptions

Limit = Annotated[float | None, typer.Option(min=0.001, help="At most so many MB a second.")]


def add_zone_verbs(app: typer.Typer) -> None:
    """Add the verbs to `realm vault`; the modules they need are imported when one of them runs."""
    app.command()(zones)
    app.command()(fetch)
    app.command()(transfer)


def zones(ctx: typer.Context) -> None:
    """Show the zones of the realm and how they are; one that does not answer is offline."""
    from vault.zones import Zones

    told = Zones.of(ctx.obj.paths, lambda: _last_syncs(ctx.obj.paths)).overview()
    if told["zones"] and not ctx.obj.as_json:
        _table(told["zones"])
    else:
        ctx.obj.tell(told, f"There are no zones: {ctx.obj.paths.hosts_file} names the machines of a realm.")


def _last_syncs(paths: RealmPaths) -> dict[str, str]:
    """As the catalog has them, whoever keeps it."""
    from vault.catalog.catalog import Catalog

    with Catalog.opened(paths.catalog_db, paths.base, owner=False) as catalog:
        return catalog.last_syncs()


def fetch(
    ctx: typer.Context,
    asset: Annotated[str, typer.Argument(help="An asset id, the name of a checkpoint, or `latest`.")],
    zone: Annotated[str | None, typer.Option(help="Where to fetch it from; else the trainer.")] = None,
    to: Annotated[Path | None, typer.Option(help="The path it is to have; else in models/ under its name.")] = None,
    limit: Limit = None,
    connections: Annotated[int, typer.Option(min=1, max=32, help="At once.")] = 4,
) -> None:
    """Fetch an asset from another zone, verified; after a cut or Ctrl-C, the same again goes on."""
    from core.errors import NotFound
    from vault.carrying import Carrier

    carrier = Carrier.of(ctx.obj.paths, _options(limit, connections), on_waiting=_tell_waiting)
    trainer = carrier.registry.trainer
    if zone is None and (trainer is None or carrier.registry.is_trainer_local):
        raise NotFound("There is no other trainer to fetch from.", hint="Name a zone with --zone.")
    source = zone or (trainer.id if trainer else "")
    with _bar(ctx, f"{asset} from {source}") as on_progress:
        report = carrier.fetch(asset, source, to.expanduser().absolute() if to else None, on_progress)
    told = {"asset": asset, "zone": source, **vars(report), "path": str(report.path)}
    told.pop("manifest")
    done = "was there already, and is whole" if report.already_there else f"{_size(report.bytes_fetched)} fetched"
    ctx.obj.tell(told, f"{report.path}: {done}, verified.")


def transfer(
    ctx: typer.Context,
    asset: Annotated[str, typer.Argument(help="A path here, or what `realm ledger show` takes.")],
    zone: Annotated[str, typer.Argument(help="The zone that is to have it.")],
    to: Annotated[str | None, typer.Option(help="The path it is to have there; else its name.")] = None,
    limit: Limit = None,
) -> None:
    """Send a checkpoint or another asset to a zone: its officer fetches and verifies it."""
    from vault.carrying import Carrier

    paths = ctx.obj.paths
    with _bar(ctx, f"{asset} to {zone}") as on_progress:
        carrier = Carrier.of(paths, _options(limit), on_waiting=_tell_waiting)
        told = carrier.send(_path_of(paths, asset), zone, to, on_progress)
    ctx.obj.tell(told, f"{zone} has it at {told['destination']}, verified.")


def _path_of(paths: RealmPaths, reference: str) -> Path:
    """What lies at a path, else a checkpoint of the ledger."""
    from core.checkpoint_ledger import CheckpointLedger
    from core.errors import NotFound

    path = Path(reference).expanduser()
    if path.exists():
        return path
    record = CheckpointLedger.of(paths).find(reference)
    if record is None:
        raise NotFound(f"There is nothing at {reference}, and the ledger has no such checkpoint.",
                       hint="`realm ledger list` shows them.")  # fmt: skip
    return Path(record.path)


def _options(limit: float | None, connections: int = 4) -> PullOptions:
    from vault.transfer.pull import PullOptions

    rate = None if limit is None else int(limit * 1_000_000)
    return replace(PullOptions(), connections=connections, bytes_per_second=rate)


def _tell_waiting(told: str) -> None:
    """To whoever waits, also where a program reads the answer; a bar on the terminal stays below it."""
    typer.echo(told, err=True)


@contextmanager
def _bar(ctx: typer.Context, label: str) -> Iterator[Callable[[Progress], object] | None]:
    """A bar on the terminal of whoever waits; nothing for programs."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if ctx.obj.as_json or not console.is_terminal:
        yield None
        return
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Bars("{task.description}", *columns, console=console, transient=True) as bars:
        task = bars.add_task(label, total=None)
        yield lambda progress: bars.update(task, completed=progress.bytes_done, total=progress.bytes_total)


def _table(zones: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("zone", "name", "type", "state", "assets", "GB", "GB free", "synced", box=None, pad_edge=False)
    for zone in zones:
        row = [zone["zone_id"], zone["name"], zone["zone_type"], zone["status"]]
        numbers = [_number(zone["asset_count"], 0), _number(zone["total_size_gb"], 2), _number(zone["disk_free_gb"], 1)]
        # In the time of whoever looks, to the minute.
        at = zone["last_sync"] and datetime.fromisoformat(zone["last_sync"]).astimezone()
        table.add_row(*row, *numbers, f"{at:%Y-%m-%d %H:%M}" if at else "?")
    console = Console()
    console.print(table)
    for zone in zones:
        if zone["error"]:
            console.print(f"{zone['zone_id']}: {zone['error']}", highlight=False, markup=False, soft_wrap=True)


def _number(value: float | None, digits: int) -> str:
    return "?" if value is None else f"{value:,.{digits}f}"


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
