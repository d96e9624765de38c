"""`realm ledger history` and `realm ledger compare`: the versions of the model, and what has changed between two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import listed

if TYPE_CHECKING:
    from core.paths import RealmPaths
    from vault.chronicle import Chapter, Chronicle, Comparison, Difference

CHAPTER = "A version such as v007, a step, a checkpoint's name, latest or best."


def add_chronicle_verbs(app: typer.Typer, chronicle_of: Callable[[RealmPaths], Chronicle]) -> None:
    """Add the verbs to `realm ledger`; the modules they need are imported when one of them runs."""

    @app.command()
    def history(
        ctx: typer.Context,
        hero: Annotated[str | None, typer.Option(help="Only versions of this hero.")] = None,
        limit: Annotated[int, typer.Option(min=1, help="How many, from the newest on.")] = 20,
    ) -> None:
        """Show every version of the model that was ever saved, also those that are gone, the newest first."""
        chapters = chronicle_of(ctx.obj.paths).read_history(hero)[::-1][:limit]
        nothing = "No version yet: the first checkpoint is saved when a quest has been learned."
        text = "\n".join(map(_line, chapters)) or nothing
        ctx.obj.tell([chapter.to_json() for chapter in chapters], text)

    @app.command()
    def compare(
        ctx: typer.Context,
        first: Annotated[str, typer.Argument(metavar="FIRST", help=CHAPTER)],
        second: Annotated[str, typer.Argument(metavar="SECOND", help=CHAPTER)],
    ) -> None:
        """Show what has changed from one version to another: numbers, configuration, files, and what each has learned.

        `realm rewind` goes back to one.
        """
        told = chronicle_of(ctx.obj.paths).compare(first, second)
        ctx.obj.tell(told.to_json(), "\n".join(_lines(told)))


def _line(chapter: Chapter) -> str:
    record = chapter.record
    losses = [f"{name} {value:.4f}" for name, value in (("loss", record.train_loss), ("val", record.val_loss)) if value]
    because = f": {chapter.gone_because}" if chapter.gone_because else ""
    return "  ".join([chapter.version, chapter.name, *losses, f"{chapter.where}{because}"])


def _lines(told: Comparison) -> Iterator[str]:
    yield _line(told.first)
    yield _line(told.second)
    for title, differences in (("Numbers", told.numbers), ("Configuration", told.config), ("Settings", told.settings)):
        if differences:
            yield f"{title}:"
            yield from listed([_difference(each) for each in differences])
    files = told.files
    if any(files.values()):
        yield f"Files: {len(files['same'])} the same, {len(files['changed'])} changed" + _only(files)
    yield f"Quests learned by both alike: {told.learned_by_both}"
    for chapter, quests in ((told.first, told.learned_by_first), (told.second, told.learned_by_second)):
        if quests:
            yield f"Only {chapter.version} has learned:"
            yield from listed([f"{each['file']}: {each['rows']} rows ({each['outcome']})" for each in quests])
    if gone := [each.version for each in (told.first, told.second) if each.path is None]:
        yield f"The files of {' and '.join(gone)} are gone: only the numbers could be compared."


def _difference(each: Difference) -> str:
    change = "" if each.change is None else f" ({each.change:+,.6g})"
    return f"{each.name}: {_plain(each.first)} → {_plain(each.second)}{change}"


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _only(files: dict[str, list[str]]) -> str:
    names = [("in the first only", files["only_first"]), ("in the second only", files["only_second"])]
    return "".join(f", {len(found)} {where}" for where, found in names if found)
