"""What a rehearsal learns: the first rows of a file, as many as its steps need."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from arena.alone.gated_file import gated_quest, judged
from arena.heroes import quest_settings
from arena.quest_board import QuestBoard
from arena.quests import NAMELESS, Quest, sidecar_of
from arena.start_check import Setup
from core.paths import CHECKOUT, RealmPaths

EXAMPLE = CHECKOUT / "examples" / "quests" / "greetings.jsonl"
"""Learned where the hero has learned nothing yet."""


def choose_source(paths: RealmPaths) -> Path:
    """The data of the quest that was completed last, else an example that comes with the realm."""
    completed = QuestBoard(paths).quests("recently_completed")
    return completed[-1].path if completed else EXAMPLE


def gather_rows(
    paths: RealmPaths, setup: Setup, source: Path, folder: Path, *, steps: int, tell: Callable[[str], None]
) -> Quest:
    """A quest of at least so many steps, with the first rows of `source` in `folder`; too few rows are learned again.

    Raises `InvalidInput` naming the rows that the gates do not let in.
    """
    folder.mkdir()
    unpacked = folder / "unpacked.jsonl"
    verdict = judged(source, unpacked)
    a_step = quest_settings(setup.hero, setup.settings, NAMELESS).rows_per_step
    rows = min(verdict["rows"], steps * a_step)
    few = folder / "rehearsal.jsonl"
    with (unpacked if verdict["container"] else source).open("rb") as whole, few.open("xb") as part:
        lines = (line for line in whole if line.strip())
        part.writelines(islice(lines, rows + (verdict["header"] is not None)))
    # What the sidecar of the whole file may have said, its first rows need not show.
    sidecar_of(few).write_text(json.dumps({"schema_id": verdict["schema_id"]}))
    epochs = -(-steps // -(-rows // a_step))
    return gated_quest(
        paths, few, setup, unpack_to=folder / "never.jsonl", epochs=epochs, system_prompt=None, tell=tell
    )
