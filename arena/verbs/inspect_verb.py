"""`realm inspect FILE`: rows exactly as the model sees them, with what is learned of them made visible."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer


def inspect(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to look at: .jsonl, .json, or these as .gz or .zst.")
    ],
    row: Annotated[int | None, typer.Option(min=1, help="Show only this row, counted from 1.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Show so many rows from the start.")] = 3,
    ids: Annotated[bool, typer.Option("--ids", help="Show token ids too, with a * after those to learn.")] = False,
    whole: Annotated[bool, typer.Option("--all", help="Statistics of the whole file, not of its start.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Mark learned text with ⟦ ⟧ instead of colour.")] = False,
) -> None:
    """Show rows as the model sees them: exact text, what is learned, lengths, the cut; and statistics of the file."""
    from arena.alone.inspection import chosen_rows, row_report, statistics
    from arena.gatekeepers.likeness.sketched_file import quests_before
    from arena.gatekeepers.measures.renderers import load_renderer
    from arena.gatekeepers.scrolls.open_scroll import OpenScroll
    from arena.proving.measuring import yardstick_here
    from arena.quests import NAMELESS, dropped_options
    from arena.verbs.row_display import Display

    display = Display(as_json=ctx.obj.as_json, plain=plain, ids=ids)
    yardstick_for = yardstick_here(ctx.obj.paths)
    path = file.resolve()
    with OpenScroll(path) as scroll:
        next(scroll.rows(), None)  # the shape is known with the first row, and a header may name profile and prompt
        yardstick = yardstick_for(replace(NAMELESS, **dropped_options(scroll.lineage, scroll.header)))
        display.begin(file, scroll.about(), asdict(yardstick))
    renderer = load_renderer(yardstick.tokenizer, yardstick.profile).renderer
    reports = []
    with OpenScroll(path) as scroll:
        for seen in chosen_rows(scroll, row, rows):
            reports.append(row_report(seen, renderer, yardstick, with_ids=ids))
            display.row(reports[-1], is_list=scroll.is_list)
    counted = None
    if row is None:
        counted = statistics(path, renderer, yardstick, whole=whole, sketches=quests_before(ctx.obj.paths, path))
    display.end(counted, reports)
