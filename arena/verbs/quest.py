"""The CLI noun `quest`: add, list, show, retry, remove and move quests, show rows. `ctx.obj` is `core.cli.Choices`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from arena.verbs.quest_rows import rows as show_rows
from core.cli import aligned

COLUMNS = ("file", "lane", "rows", "size_mb", "added_at", "outcome", "strikes", "quest_id")
NARROW_COLUMNS = ("file", "lane", "rows", "added_at", "outcome")
WIDE = 120
"""Columns of a terminal from which on all is shown; other verbs take the name of a file as well as its id."""

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
    app.command("rows")(show_rows)
    return app


def add(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Files: .jsonl, .json, or these as .gz or .zst.")
    ],
    priority: Annotated[str, typer.Option(help="high, normal or low.")] = "normal",
) -> None:
    """Copy files into inbox/; the realm takes them from there."""
    from arena.doorstep.quest_drop import check_droppable, drop_quest

    # All of them first: a name that is refused must not leave half of the others behind.
    for file in files:
        check_droppable(file, priority)
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


def remove(
    ctx: typer.Context,
    quest: Annotated[str | None, typer.Argument(metavar="[QUEST]", help="The id or the file name of a quest.")] = None,
    skill: Annotated[str | None, typer.Option(help="Instead of one quest: waiting ones made for this skill …")] = None,
    below_level: Annotated[int | None, typer.Option(help="… and for levels below this one.")] = None,
) -> None:
    """Delete a waiting or failed quest for good, or all waiting ones that a level-up made stale."""
    if quest is not None and skill is None and below_level is None:
        _change(ctx, "remove", quest)
    elif quest is None and skill is not None and below_level is not None:
        _remove_stale(ctx, skill, below_level)
    else:
        raise typer.BadParameter("name a QUEST, or give --skill and --below-level together")


def _remove_stale(ctx: typer.Context, skill: str, level: int) -> None:
    from arena.quest_board import QuestBoard
    from arena.quest_levels import quests_below
    from arena.verbs.board_client import remove_all
    from core.paths import PRIORITIES

    board = QuestBoard(ctx.obj.paths)
    stale = quests_below((quest for lane in PRIORITIES for quest in board.quests(lane)), skill, level)
    removed = remove_all(ctx.obj.paths, [quest.quest_id for quest in stale])
    lines = [f"{_plain(name)} is removed" for name in removed]
    nothing = f"No waiting quest was made for a level of {skill} below {level}."
    ctx.obj.tell({"removed": removed, "skill": skill, "below_level": level}, "\n".join(lines) or nothing)


def move(
    ctx: typer.Context,
    quest: QuestName,
    priority: Annotated[str, typer.Argument(metavar="PRIORITY", help="high, normal or low.")],
) -> None:
    """Give a waiting quest another priority."""
    _change(ctx, "move", quest, priority)


def _change(ctx: typer.Context, action: str, quest: str, priority: str | None = None) -> None:
    from arena.verbs.board_client import board_action

    done = board_action(ctx.obj.paths, action, quest, priority)
    outcome = {"retry": "waits again", "remove": "is deleted", "move": f"waits in {priority}"}[action]
    ctx.obj.tell(done, f"{_plain(done.get('quest', quest))} {outcome}")


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from core.shell.console import table_console

    console = table_console()
    columns = COLUMNS if console.width >= WIDE else NARROW_COLUMNS
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != "file")
    for row in rows:
        shown = {**row, "added_at": _local_minute(row["added_at"])}
        table.add_row(*(Text(_plain(shown[column])) for column in columns))
    console.print(table)


def _local_minute(moment: str | None) -> str | None:
    from datetime import datetime

    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M}" if moment else None


def _plain(value: Any) -> str:
    if value is None or value in ([], {}):
        return "–"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # File names may hold escape sequences and bytes that are no text.
    return "".join(sign if sign.isprintable() else "�" for sign in text)
