"""The CLI noun `quest`: add, list, show, retry, remove and move quests. `ctx.obj` is `core.cli.Choices`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli import aligned

COLUMNS = ("file", "lane", "rows", "size_mb", "added_at", "outcome", "strikes", "quest_id")

QuestName = Annotated[str, typer.Argument(metavar="QUEST", help="The id or the file name of a quest.")]


def quest_app() -> typer.Typer:
    """The verbs as a Typer group. Everything heavy is loaded inside the verbs, for a quick `realm --help`."""
    app = typer.Typer(help="Quests: the files to learn from.", no_args_is_help=True)
    app.command("add")(add)
    app.command("list")(list_quests)
    app.command("show")(show)
    app.command("retry")(retry)
    app.command("remove")(remove)
    app.command("move")(move)
    return app


def add(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="One or more .jsonl files.")],
    priority: Annotated[str, typer.Option(help="high, normal or low.")] = "normal",
) -> None:
    """Copy files into inbox/; the realm takes them from there."""
    from arena.quest_drop import drop_quest

    dropped = [drop_quest(ctx.obj.paths, file, priority) for file in files]
    lines = [f"{_plain(path.name)} lies in {path.parent.relative_to(ctx.obj.paths.base)}/" for path in dropped]
    ctx.obj.tell({"added": [str(path) for path in dropped]}, "\n".join(lines))


def list_quests(
    ctx: typer.Context,
    lane: Annotated[str | None, typer.Option(help="Only this lane, such as high, processing or failed.")] = None,
) -> None:
    """Show all quests, or those of one lane."""
    from arena.quest_board import QuestBoard

    rows = QuestBoard(ctx.obj.paths).listing(lane)
    if rows and not ctx.obj.as_json:
        _table(rows)
    else:
        nothing = "There are no quests here. Drop a .jsonl file into inbox/, or use `realm quest add FILE`."
        ctx.obj.tell({"quests": rows}, nothing)


def show(ctx: typer.Context, quest: QuestName) -> None:
    """Show all that is known about one quest."""
    from dataclasses import asdict

    from arena.quest_board import QuestBoard
    from core.errors import NotFound

    found = QuestBoard(ctx.obj.paths).find(quest)
    if found is None:
        raise NotFound(f"There is no quest {quest}.", hint="`realm quest list` shows all of them.")
    story = {"file": found.name, "lane": found.lane, "path": str(found.path), **asdict(found.record)}
    ctx.obj.tell(story, aligned({key: _plain(value) for key, value in story.items()}))


def retry(ctx: typer.Context, quest: QuestName) -> None:
    """Let a failed quest wait again, as a new claim; a rejected or changed one goes through the gates again."""
    _change(ctx, "retry", quest)


def remove(ctx: typer.Context, quest: QuestName) -> None:
    """Delete a waiting or failed quest for good."""
    _change(ctx, "remove", quest)


def move(
    ctx: typer.Context,
    quest: QuestName,
    priority: Annotated[str, typer.Argument(help="high, normal or low.")],
) -> None:
    """Give a waiting quest another priority."""
    _change(ctx, "move", quest, priority)


def _change(ctx: typer.Context, action: str, quest: str, priority: str | None = None) -> None:
    from arena.board_client import board_action

    done = board_action(ctx.obj.paths, action, quest, priority)
    ctx.obj.tell(done, f"{_plain(done.get('quest', quest))}: {action} is done")


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in COLUMNS:
        # Whatever else is cut in a narrow terminal, the names that other verbs take are not.
        table.add_column(column, overflow="fold", no_wrap=column == "quest_id")
    for row in rows:
        table.add_row(*(Text(_plain(row[column])) for column in COLUMNS))
    Console().print(table)


def _plain(value: Any) -> str:
    if value is None or value in ([], {}):
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # File names may hold escape sequences and bytes that are no text.
    return "".join(sign if sign.isprintable() else "�" for sign in text)
