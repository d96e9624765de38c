"""What an export or a rewind comes to, in sentences for people who are about to decide on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vault.giving_up import size_text

NAMED = 10
"""Quests that are named one by one."""

ISOLATED = "\u2068{}\u2069"
"""What stands between these marks turns nothing around it, whatever marks are in it."""


def export_words(told: Mapping[str, Any]) -> str:
    """Of what `arena.hall.exporting.foretell_export` tells."""
    how = " Its adapters are merged into their base model, in a process of its own." if told["merged"] else ""
    room = f" {size_text(told['free_bytes'])} are free there." if told["free_bytes"] is not None else ""
    if told["refusal"] is not None:
        return str(told["refusal"])
    return (
        f"This writes {told['target']}: {len(told['files'])} files, {size_text(told['needed_bytes'])}, a model "
        f"directory that from_pretrained loads, without optimizer and journal.{how}{room} "
        "The checkpoint stays as it is."
    )


def rewind_words(address: str, told: Mapping[str, Any] | None, *, requeue: bool) -> str:
    """Of what a dry run of `Rewinder.rewind` tells."""
    if told is None:
        return f"The hero stands at {address}, and nothing was learned since: there is nothing to undo."
    place = told["checkpoint"] or "the weights that the history began with"
    lines = [f"The hero goes back from step {told['from_step']:,} to step {told['step']:,} ({place})."]
    undone = told["undone"]
    if undone:
        lines.append(f"{_quests(len(undone))} undone:")
        lines += [f"• {_line(each)}" for each in undone[:NAMED]]
        if len(undone) > NAMED:
            lines.append(f"• and {len(undone) - NAMED} more")
    if told["redone"]:
        lines.append(f"Learned again, as they belong to this checkpoint: {_names(told['redone'])}.")
    if told["left_behind"]:
        count = len(told["left_behind"])
        many = "1 later checkpoint is" if count == 1 else f"{count} later checkpoints are"
        lines.append(f"{many} kept on a branch, and one can go back to them too.")
    if undone and not requeue:
        lines.append("Undone quests go to queue/failed/, from where each can be retried.")
    lines.append("The trainer saves and rests meanwhile, and goes on from there. Nothing is deleted.")
    return "\n".join(lines)


def _quests(count: int) -> str:
    return "1 quest is" if count == 1 else f"{count} quests are"


def _names(files: Sequence[str]) -> str:
    return ", ".join(ISOLATED.format(file) for file in files[:NAMED])


def _line(quest: Mapping[str, Any]) -> str:
    text = f"{ISOLATED.format(quest['file'])}: {quest['rows_undone']:,} rows"
    if quest["rows_kept"]:
        text += f", {quest['rows_kept']:,} stay learned"
    if quest["queued_as"] == quest["quest_id"]:
        return f"{text}; the rest is learned again"
    if quest["queued_as"]:
        return f"{text}; it is queued again"
    return text if quest["found"] else f"{text}; its file is gone"
