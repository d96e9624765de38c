"""A file that is learned without a queue: the gates of the daemon make a quest of it that lies in no lane."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.gatekeepers.file_check import with_proof
from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.measures.yardstick import is_at_hand
from arena.gatekeepers.rejection import describe_findings, describe_verdict
from arena.proving.measuring import yardstick_for
from arena.quests import Quest, QuestRecord, new_quest_id
from arena.start_check import Setup
from core.errors import InvalidInput
from core.paths import RealmPaths


def gated_quest(
    paths: RealmPaths,
    dataset: Path,
    setup: Setup,
    *,
    unpack_to: Path,
    epochs: int | None,
    system_prompt: str | None,
    tell: Callable[[str], None],
) -> Quest:
    """The dataset as a quest, by the gates of the daemon; the rows of a packed one lie in `unpack_to`.

    Raises `InvalidInput` naming the rows that were not let in; warnings go to `tell`.
    """
    verdict = judged(dataset, unpack_to)
    now = datetime.now(UTC)
    record = QuestRecord(
        quest_id=new_quest_id(now),
        submitted_at=now.isoformat(),
        priority="normal",
        content_hash=verdict["content_hash"],
        rows=verdict["rows"],
        schema_id=verdict["schema_id"],
        original_name=dataset.name,
        epochs=epochs,
        system_prompt=system_prompt,
    )
    quest = Quest(unpack_to if verdict["container"] else dataset, record)
    if setup.settings.gates.level == "quick":
        return quest
    yardstick = yardstick_for(paths, setup.settings, setup.hero, setup.base_model, record)
    if not is_at_hand(yardstick.tokenizer):
        tell(f"The tokenizer of {setup.base_model} is not here yet: only the trainer sees whether a row is too long.")
        return quest
    verdict = _accepted(dataset, with_proof(verdict, quest.path, yardstick))
    for warning in describe_findings(verdict["warnings"], verdict["total_warnings"], "warning: "):
        tell(warning)
    return quest


def judged(dataset: Path, unpack_to: Path) -> dict[str, Any]:
    """The verdict of the first gate on a file that it lets in; raises `InvalidInput` for any other."""
    return _accepted(dataset, inspect_file(str(dataset), str(unpack_to)))


def _accepted(dataset: Path, verdict: dict[str, Any]) -> dict[str, Any]:
    if not verdict["accepted"]:
        lines = "\n  ".join(describe_verdict(verdict))
        raise InvalidInput(f"{dataset} was not let in:\n  {lines}")
    return verdict
