"""The CLI verb `rewind`: go back to an earlier checkpoint, and say which quests are undone by that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import listed

if TYPE_CHECKING:
    from arena.annals.rewinding import Rewound, UndoneQuest


def rewind(
    ctx: typer.Context,
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="A step, a checkpoint's name, latest, best, or base: what the history began with.",
        ),
    ],
    requeue: Annotated[bool, typer.Option("--requeue", help="Queue the undone quests again, in their order.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is undone.")] = False,
) -> None:
    """Make an earlier checkpoint the present one; the realm must be down. Later ones are kept on a branch."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    from arena.annals.rewinding import Rewinder
    from arena.hall.standing import standing_still

    with standing_still(ctx.obj.paths, f"rewind {checkpoint}"):
        done = Rewinder(ctx.obj.paths).rewind(checkpoint, now=datetime.now(UTC), requeue=requeue, dry_run=dry_run)
    if done is None:
        text = f"The hero stands at {checkpoint}, and nothing was learned since: there is nothing to undo."
        ctx.obj.tell({"rewound": False, "undone": []}, text)
        return
    ctx.obj.tell({"rewound": not dry_run, **asdict(done)}, "\n".join(_lines(done, dry_run=dry_run)))


def _lines(done: Rewound, *, dry_run: bool) -> list[str]:
    place = f"step {done.step} ({done.checkpoint or 'the weights that the history began with'})"
    lines = [f"{'A rewind leads' if dry_run else 'The hero went'} back from step {done.from_step} to {place}."]
    if done.undone:
        lines.append(f"{_quests(len(done.undone))} undone:")
        lines += listed([_line(quest) for quest in done.undone])
    if done.redone:
        lines.append("Learned again, as they belong to this checkpoint:")
        lines += listed(done.redone)
    if done.branch and not dry_run:
        newest = done.left_behind[-1]
        lines.append(f"What came later is kept in {done.branch}; `realm rewind {newest}` returns to it.")
    if not dry_run and any(quest.queued_as is None and quest.found for quest in done.undone):
        lines.append("The files lie in queue/failed/; `realm quest retry FILE` queues one again.")
    return lines


def _quests(count: int) -> str:
    return "1 quest is" if count == 1 else f"{count} quests are"


def _line(quest: UndoneQuest) -> str:
    text = f"{quest.file}: {quest.rows_undone} rows"
    if quest.rows_kept:
        text += f", {quest.rows_kept} stay learned"
    if quest.queued_as == quest.quest_id:
        return f"{text}; the rest is learned again"
    if quest.queued_as:
        return f"{text}; queued again as {quest.queued_as}"
    return text if quest.found else f"{text}; its file is gone"
