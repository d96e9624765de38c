"""`realm skill discriminate`: drops quests that teach to judge answers (seed 003, spec 1.16).

It is a verb of the arena, as it needs the quest board and the inbox, under the noun of the guild.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from core.paths import RealmPaths
    from guild.discrimination import Levels, Row
    from guild.discrimination_ratio import Ratio, Told
    from guild.dojo.problem import ProblemSource

MOST_AT_ONCE = 1500
MOST_ROWS_OF_A_FILE = 1_000_000_000
RENEWED_WITHIN = 2 * 3600.0
"""Seconds after which what a run has counted is out of date: as often as the seed had it run."""
LANES_COUNTED = ("high", "normal", "low", "processing", "awaiting_seal", "recently_completed")


def discriminate(
    ctx: typer.Context,
    skill_id: Annotated[str, typer.Argument(metavar="[ID]", help="A built-in skill.")] = "sy",
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many rows.")] = 20,
    level: Annotated[
        str, typer.Option(help="auto (the level being trained), a number, two such as 1-3, or all.")
    ] = "auto",
    priority: Annotated[str, typer.Option(help="high, normal or low.")] = "high",
    ratio: Annotated[
        bool, typer.Option("--ratio", help="As many as are missing to one in five, instead of --count.")
    ] = False,
    max_per_run: Annotated[int, typer.Option(min=1, max=100_000, help="With --ratio: at most so many.")] = MOST_AT_ONCE,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="Only tell how many there are and are missing.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same rows; else any.")] = None,
) -> None:
    """Drop a quest of right and wrong answers to be judged, the wrong ones corrected."""
    import secrets
    from datetime import UTC, datetime

    from core.status_files import write_status
    from guild.discrimination import levels_of
    from guild.discrimination_ratio import ratio_of
    from guild.dojo.sources import source_of

    paths: RealmPaths = ctx.obj.paths
    source = source_of(skill_id)
    trained = _training_level(paths, source.skill_id)
    levels = levels_of(level, training_level=min(max(trained or 1, 1), source.max_level), max_level=source.max_level)
    there = ratio_of(source.skill_id, _files_told(paths))
    now = datetime.now(UTC)
    due = there.rows_due(max_per_run) if ratio else count
    if not check_only:
        paths.create()
    dropped = None
    if due and not check_only:
        chosen = secrets.randbits(32) if seed is None else seed
        dropped = _drop(paths, source, levels, due, chosen, priority, now)
    told = {
        "status": "done",
        "last_run": now.isoformat(),
        "skill": source.skill_id,
        "curriculum_level": trained,
        "difficulty": levels.label,
        "generated_this_run": due if dropped else 0,
        "output_file": str(dropped.relative_to(paths.base)) if dropped else None,
        "ratio": there.to_json(),
    }
    if not check_only:
        write_status(paths.discrimination_status, told, now=now, valid_for=RENEWED_WITHIN)
    ctx.obj.tell(told, _sentences(there, levels, due if dropped else 0, dropped))


def _sentences(there: Ratio, levels: Levels, made: int, dropped: Path | None) -> str:
    beside = f"{there.judging} rows of quests judge answers, beside {there.answering} that answer {there.skill}"
    missing = f"{there.deficit} are missing to one in five" if there.deficit else "none is missing to one in five"
    lines = [f"{beside}; {missing}."]
    if dropped:
        lines.append(f"{made} rows of {levels.label} lie in inbox/{dropped.parent.name}/{dropped.name}")
    return "\n".join(lines)


def _training_level(paths: RealmPaths, skill_id: str) -> int | None:
    """The level being trained; None before there is a curriculum."""
    from core.files import read_json

    state: Any = read_json(paths.status / "curriculum_state.json")
    for key in ("skills", skill_id, "training_level"):
        state = state.get(key) if isinstance(state, dict) else None
    return state if isinstance(state, int) and not isinstance(state, bool) else None


def _files_told(paths: RealmPaths) -> Iterator[Told]:
    """What is known of the quests on the board, and of those that generators have put into the inbox."""
    from arena.quest_board import QuestBoard
    from core.files import read_json
    from core.paths import PRIORITIES
    from guild.discrimination_ratio import Told

    # The inbox first: what is taken in meanwhile is counted twice rather than not at all.
    for folder in (paths.inbox, *(paths.inbox / priority for priority in PRIORITIES)):
        for sidecar in folder.glob("*.jsonl.meta.json"):
            lineage = read_json(sidecar)
            rows = lineage.get("example_count") if isinstance(lineage, dict) else None
            if type(rows) is int and 0 <= rows <= MOST_ROWS_OF_A_FILE:  # whatever somebody wrote there by hand
                yield Told(sidecar.name, lineage, rows)
    board = QuestBoard(paths)
    for lane in LANES_COUNTED:
        for quest in board.quests(lane):
            record = quest.record
            yield Told(record.original_name or quest.name, record.lineage, record.rows)


def _drop(
    paths: RealmPaths, source: ProblemSource, levels: Levels, count: int, seed: int, priority: str, now: datetime
) -> Path:
    import tempfile
    from pathlib import Path

    from arena.doorstep.quest_drop import drop_quest
    from arena.quests import sidecar_of
    from core.files import DISK
    from guild.discrimination import discrimination_rows, file_name, lineage_of

    rows: list[Row] = discrimination_rows(source, levels.numbers, count, seed=seed)
    with tempfile.TemporaryDirectory(prefix="realm-discrimination-") as folder:
        file = Path(folder) / file_name(levels, now.astimezone())
        file.write_bytes(b"".join(_line(row) for row in rows))
        DISK.write_json(sidecar_of(file), lineage_of(source, levels, rows, seed=seed, now=now), durable=False)
        return drop_quest(paths, file, priority)


def _line(row: Row) -> bytes:
    import json

    return json.dumps(row, ensure_ascii=False).encode() + b"\n"
