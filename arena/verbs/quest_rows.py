"""`realm quest rows QUEST`: with which loss the rows of a quest were learned first and last, the worst ones first."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def rows(
    ctx: typer.Context,
    quest: Annotated[str, typer.Argument(metavar="QUEST", help="The id or the file name of a quest.")],
    worst: Annotated[int, typer.Option(min=1, max=100_000, help="Show so many rows, those of the highest loss.")] = 50,
) -> None:
    """Show which rows of a quest were learned worst, at which step, and which checkpoints hold them."""
    from arena.quest_board import QuestBoard
    from arena.rowbook.reading import rows_told
    from core.errors import NotFound

    found = QuestBoard(ctx.obj.paths).find(quest)
    if found is None:
        raise NotFound(f"There is no quest {quest}.", hint="`realm quest list` shows all of them.")
    told = rows_told(ctx.obj.paths, found, worst)
    if ctx.obj.as_json:
        ctx.obj.tell(told, "")
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from arena.verbs.row_display import visible
    from core.shell.console import table_console

    console = table_console()
    console.print(Text(visible(_summary(told))))
    table = Table(box=None, header_style="bold")
    for column in ("line", "first loss", "last loss", "step", "checkpoint"):
        table.add_column(column, no_wrap=True)
    table.add_column("row", overflow="fold")
    for row in told["worst"]:
        cells = [row["line"], row["first_loss"], row["last_loss"], row["last_step"], row["first_checkpoint"]]
        table.add_row(*map(_cell, cells), Text(visible(row["preview"] or "–")))
    console.print(table)


def _summary(told: dict[str, Any]) -> str:
    of_rows = f"{told['quest']}: {told['rows_learned']} of {told['rows']} rows are learned"
    if told["last_step"] is None:
        return of_rows
    losses = f"mean loss {_cell(told['mean_first_loss'])} at first, {_cell(told['mean_last_loss'])} at last"
    return f"{of_rows}, in steps {told['first_step']} to {told['last_step']}; {losses}"


def _cell(value: float | str | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
