"""`realm ledger`: the checkpoint ledger for people and, with `--json`, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import aligned

if TYPE_CHECKING:
    from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord


def ledger_app() -> typer.Typer:
    """The verbs below `realm ledger`; the modules they need are imported when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="The numbers of every checkpoint at the moment it was saved.")
    app.command("list")(list_checkpoints)
    app.command("show")(show)
    app.command("best")(best)
    app.command("summary")(summary)
    app.command("verify")(verify)
    return app


def list_checkpoints(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="How many, from the newest on.")] = 20,
    skill: Annotated[str | None, typer.Option(help="Only those saved while this skill was trained.")] = None,
) -> None:
    """List the checkpoints, newest first."""
    ledger = _ledger(ctx)
    records = ledger.list_by_skill(skill, limit) if skill else ledger.list_all(limit)
    if records and not ctx.obj.as_json:
        _table(records)
    else:
        nothing = "No checkpoint yet: the first one is saved when a quest has been learned."
        ctx.obj.tell([record.to_view() for record in records], nothing)


def show(
    ctx: typer.Context,
    step: Annotated[
        str, typer.Argument(metavar="STEP", help="A step, a directory name, checkpoint_STEP, latest or best.")
    ],
) -> None:
    """Show everything the ledger knows of one checkpoint."""
    from core.errors import NotFound
    from vault.scrub_record import read_scrub_record

    record = _ledger(ctx).find(step)
    if record is None:
        raise NotFound(f"The ledger has no checkpoint {step!r}.", hint="`realm ledger list` shows them.")
    verified_at = read_scrub_record(ctx.obj.paths.scrub_record).verified_at.get(record.canonical_name)
    _tell(ctx, {**record.to_view(), "verified_at": verified_at})


def best(
    ctx: typer.Context,
    metric: Annotated[str, typer.Option(help="train_loss, val_loss, perplexity, accuracy …")] = "train_loss",
    lower: Annotated[
        bool | None, typer.Option("--lower/--higher", help="Which end is best; by default what suits the metric.")
    ] = None,
) -> None:
    """Show the checkpoint that is best by one metric."""
    from core.checkpoint_ledger import lower_is_better
    from core.errors import NotFound

    record = _ledger(ctx).get_best(metric, lower_is_better(metric) if lower is None else lower)
    if record is None:
        raise NotFound(f"No checkpoint has a {metric}.")
    _tell(ctx, {**record.to_view(), "metric": metric, "value": getattr(record, metric)})


def summary(ctx: typer.Context) -> None:
    """Show how many checkpoints there are, their losses and their size."""
    _tell(ctx, _ledger(ctx).get_summary())


def verify(
    ctx: typer.Context,
    checkpoint: Annotated[
        str | None, typer.Argument(metavar="CHECKPOINT", help="Only this one, by any name; by default all of them.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those on branches and in snapshots, which no ledger tells of.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes only, instead of reading every file.")] = False,
) -> None:
    """Compare ledger, sidecars and every file with what was saved; exit code 1 when something is wrong.

    Nothing is changed or moved: a start sets aside what is torn.
    """
    from core.shell.console import byte_progress
    from vault.verification import bytes_to_read, choose, verify_checkpoints

    ledger = _ledger(ctx)
    chosen = choose(ctx.obj.paths, ledger, checkpoint, everything=everything)
    with byte_progress("reading checkpoints", 0 if quick else bytes_to_read(chosen)) as on_read:
        report = verify_checkpoints(ledger, chosen, deep=not quick, on_read=on_read)
    ctx.obj.tell(report.to_json(), "\n".join(report.lines()))
    if report.problems:
        raise typer.Exit(1)


def _ledger(ctx: typer.Context) -> CheckpointLedger:
    from core.checkpoint_ledger import CheckpointLedger

    return CheckpointLedger.of(ctx.obj.paths)


def _tell(ctx: typer.Context, values: dict[str, Any]) -> None:
    known = {key: _plain(value) for key, value in values.items() if value not in (None, [], "")}
    ctx.obj.tell(values, aligned(known))


def _table(records: list[CheckpointRecord]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.filesize import decimal
    from rich.markup import escape
    from rich.table import Table

    from core.shell.console import table_console

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("checkpoint", no_wrap=True)
    for heading in ("step", "loss", "val loss", "size", "age"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("skill", overflow="fold")
    for record in records:
        skill = record.skill_name or "–"
        if record.skill_name and record.skill_level is not None:
            skill += f" L{record.skill_level}"
        size = "–" if record.size_bytes is None else decimal(record.size_bytes)
        age = "–" if record.age_hours is None else f"{record.age_hours:,.1f} h"
        losses = [_plain(record.train_loss), _plain(record.val_loss)]
        table.add_row(escape(record.canonical_name), str(record.step), *losses, size, age, escape(skill))
    table_console().print(table)


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
