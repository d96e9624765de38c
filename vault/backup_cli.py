"""`realm vault backup`, `backups`, `restore` and `purge`: the archivist on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import listed
from vault.catalog_cli import LONG_SECONDS, StandingStill

if TYPE_CHECKING:
    from core.paths import RealmPaths
    from vault.archivist import Archivist
    from vault.budgets import Purge
    from vault.treasury import Treasury

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="An id, a directory name, a step, latest or best.")]
TreasuryOf = Callable[["RealmPaths"], "Treasury"]


def add_backup_verbs(app: typer.Typer, treasury_of: TreasuryOf, standing_still: StandingStill) -> None:
    """Add the verbs to `realm vault`; the modules they need are imported when one of them runs."""
    for verb in (backup, backups, restore):
        app.command()(verb)

    @app.command()
    def purge(
        ctx: typer.Context,
        names: Annotated[list[str] | None, typer.Argument(metavar="[BACKUP]...", help="These backups.")] = None,
        keep: Annotated[int | None, typer.Option(min=0, help="Keep so many of each stronghold, the newest.")] = None,
        older_than: Annotated[float | None, typer.Option(min=0.0, metavar="DAYS", help="All that are older.")] = None,
        stronghold: Annotated[str | None, typer.Option(help="Only those in this stronghold.")] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Delete nothing; say what goes and what stays.")
        ] = False,
    ) -> None:
        """Delete backups: the named ones, or those of this realm beyond the conditions.

        The last whole copy of something that this realm or another host holds stays in any case.
        """
        from vault.budgets import Purge

        wish = Purge(tuple(names or ()), keep, older_than, stronghold)
        told = _purge(ctx.obj.paths, treasury_of, standing_still, wish, dry_run=dry_run)
        ctx.obj.tell(told, "\n".join(_purge_lines(told)))


def backup(
    ctx: typer.Context,
    asset: Asset,
    to: Annotated[
        str, typer.Option(metavar="STRONGHOLD", help="Where to; by default the base directory's backups/.")
    ] = "local_vault",
    reason: Annotated[str | None, typer.Option(help="What for; kept with it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Copy nothing; say what would be copied.")] = False,
) -> None:
    """Back an asset up: copied with its hashes, read back, and in the catalog."""
    with _archivist(ctx.obj.paths) as archivist:
        if dry_run:
            told = archivist.foretell(asset, to)
            ctx.obj.tell(
                told, f"{told['asset_id']} ({_size(told['size_bytes'])}) can be backed up to {told['folder']}."
            )
            return
        seal = archivist.seal(asset, to, reason, now=datetime.now(UTC))
    ctx.obj.tell(seal.to_json(), f"{seal.path}: {_size(seal.size_bytes)}, verified.")


def backups(
    ctx: typer.Context,
    verify: Annotated[str | None, typer.Option(metavar="BACKUP", help="Read this one again; `all` reads all.")] = None,
    stronghold: Annotated[str | None, typer.Option(help="Only those in it.")] = None,
) -> None:
    """List the backups in reach, the newest first; exit code 1 when one that was read is damaged."""
    with _archivist(ctx.obj.paths) as archivist:
        known = archivist.seals(stronghold)[::-1]
        if verify is None:
            text = "\n".join(f"{each.name}  {each.stronghold}  {_size(each.size_bytes)}" for each in known)
            ctx.obj.tell([each.to_json() for each in known], text or "There are no backups yet.")
            return
        chosen = known if verify == "all" else [archivist.find(verify, stronghold)]
        problems = {each.name: archivist.verify(each, now=datetime.now(UTC)) for each in chosen}
    lines = [f"{name}: {'; '.join(found) or 'every file is as it was sealed'}" for name, found in problems.items()]
    ctx.obj.tell({"ok": not any(problems.values()), "problems": problems}, "\n".join(lines) or "Nothing was read.")
    if any(problems.values()):
        raise typer.Exit(1)


def restore(
    ctx: typer.Context,
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="A backup's name, or an asset: its newest one.")],
    to: Annotated[Path | None, typer.Option(help="The path it is to have; else where it came from.")] = None,
    stronghold: Annotated[str | None, typer.Option(help="Only from this stronghold.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Bring nothing back; say what comes where.")] = False,
) -> None:
    """Bring a backup back, verified; what differs is never overwritten. A checkpoint comes to a branch of the model."""
    place = to.expanduser().absolute() if to else None
    with _archivist(ctx.obj.paths) as archivist:
        if dry_run:
            told = archivist.foretell_restore(backup, place, stronghold, now=datetime.now(UTC))
            ctx.obj.tell(told, f"{told['backup']} ({told['stronghold']}) comes to {told['path']}.")
            return
        done = archivist.restore(backup, place, stronghold, now=datetime.now(UTC))
    text = f"{done.path}: {'the same lay there already' if done.was_there else 'restored and verified'}."
    if "/branches/" in done.path:
        text += f" `realm rewind {Path(done.path).name}` makes it the present one."
    ctx.obj.tell(done.to_json(), text)


@contextmanager
def _archivist(paths: RealmPaths) -> Iterator[Archivist]:
    """Beside a living realm or without one: it copies by itself, and books what it has copied, as a fetch does."""
    from core.settings_reading import load_settings
    from vault.archivist import Archivist
    from vault.keeper import VaultKeeper

    roots = [Path(root) for root in load_settings(paths.config_file).vault.roots]
    with VaultKeeper(paths.base, roots=roots) as keeper:
        yield Archivist(keeper)


def _purge(
    paths: RealmPaths, treasury_of: TreasuryOf, standing_still: StandingStill, wish: Purge, *, dry_run: bool
) -> dict[str, Any]:
    """Through the living realm, whose settings and pins count; else alone."""
    from core.instance import living_realm
    from core.shell.api_client import ask_realm
    from vault.keeper import VaultKeeper
    from vault.pruning import purge_report

    if living_realm(paths.lock) is not None:
        body = {**vars(wish), "names": list(wish.names), "dry_run": dry_run}
        return ask_realm(paths, "/api/backups/purge", body, timeout_seconds=LONG_SECONDS)
    if dry_run:
        return purge_report(treasury_of(paths), wish, dry_run=True, now=datetime.now(UTC))
    with standing_still(paths, "vault purge"), VaultKeeper(paths.base) as keeper:
        treasury = treasury_of(paths)
        treasury.on_gone = keeper.note_gone
        return purge_report(treasury, wish, dry_run=False, now=datetime.now(UTC))


def _purge_lines(told: dict[str, Any]) -> Iterator[str]:
    deleted, dry_run = told["deleted"], told["dry_run"]
    if deleted:
        yield f"{'Would be deleted' if dry_run else 'Deleted'}, {_size(told['freed_bytes'])}:"
        yield from listed([f"{each['name']} ({each['stronghold']}): {each['reason']}" for each in deleted])
    else:
        yield "No backup goes."
    if held := [each for each in told["kept"] if each["reason"] is not None]:
        yield "Held:"
        yield from listed([f"{each['name']} ({each['stronghold']}): {each['reason']}" for each in held])


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
