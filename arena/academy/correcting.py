"""Makes quests from the mistakes of recorded examinations, every so many of them (`self_correction.*`).

Such a quest has no number: it comes beside those of the curriculum, and when it is learned depends on when it comes. A
run that is to repeat from its seed goes without. What became of a run is noted before its quest is dropped, so that a
kill in between costs that quest, and none is ever dropped twice.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from arena.academy.making import drop_made, part_of, place_of
from arena.academy.register import Register
from core.errors import InvalidInput
from core.files import DISK, Files, read_json
from core.settings import Settings
from guild.curriculum.planning import seed_of
from guild.dojo.problem import ProblemSource
from guild.dojo.sources import source_of
from guild.profiles import plain_answer
from guild.records import KEPT_HISTORIES
from guild.self_correction import Correction, Mistake, correct, record_run

MOST_PARTS = 1000
"""Of examinations that are looked through at once."""


def correct_when_due(
    register: Register,
    settings: Settings,
    *,
    interval: int,
    drop: bool,
    now: datetime,
    note: bool = True,
    files: Files = DISK,
) -> list[dict[str, Any]]:
    """Look through the examinations since the last run, once there are `interval` of them.

    Returns a run for each skill with a mistake. With `note`, they are noted in `status/self_correction.json`, and their
    examinations are not looked through again; with `drop`, the quest of each goes into the inbox. Raises `OSError`.
    """
    file, history = register.paths.self_correction, register.history
    parts = register.records.examinations(limit=MOST_PARTS)
    done, last = _done_before(read_json(file), history), max((part["number"] for part in parts), default=0)
    if done > last:  # a rewind took some back, and they are examined again
        done = last
        if note:
            _note_looked_through(file, history, done, files)
    fresh = [part for part in parts if part["number"] > done]
    numbers = sorted({part["number"] for part in fresh})
    if len(numbers) < interval:
        return []
    if note:
        _note_looked_through(file, history, numbers[-1], files)
    runs = []
    for skill in sorted({part["skill"] for part in fresh}):
        asked = {part["number"]: part["step"] for part in fresh if part["skill"] == skill}
        made = _correct(register, settings, skill, asked, now=now)
        if made is not None:
            run = {**made.run, "skill": skill, "history": history, "up_to": numbers[-1], "file": made.name}
            run["dropped"] = drop
            if note:
                record_run(file, run, files=files)
            runs.append(run)
            if drop:
                _drop(register, made, settings.auto_generate.priority, numbers[-1], files)
    return runs


def _done_before(kept: Any, history: str) -> int:
    """The number of the last examination that was looked through; 0 for none."""
    number = _looked_through(kept).get(history)
    if number is not None:
        return number
    runs = kept.get("correction_runs") if isinstance(kept, dict) else None  # noted before there was the other
    numbers = [
        run["up_to"]
        for run in (runs if isinstance(runs, list) else [])
        if isinstance(run, dict) and run.get("history") == history and isinstance(run.get("up_to"), int)
    ]
    return max(numbers, default=0)


def _looked_through(kept: Any) -> dict[str, int]:
    """The number of the last examination that was looked through, by history, with mistakes or without."""
    found = kept.get("looked_through") if isinstance(kept, dict) else None
    return {key: each for key, each in found.items() if isinstance(each, int)} if isinstance(found, dict) else {}


def _note_looked_through(file: Path, history: str, number: int, files: Files) -> None:
    kept = read_json(file)
    others = {key: each for key, each in _looked_through(kept).items() if key != history}
    newest = dict(sorted(others.items())[1 - KEPT_HISTORIES :])
    body = kept if isinstance(kept, dict) else {}
    files.write_json(file, {**body, "looked_through": {**newest, history: number}}, durable=True)


def _correct(
    register: Register, settings: Settings, skill: str, asked: dict[int, int], *, now: datetime
) -> Correction | None:
    """The quest of one skill, from the examinations of these numbers, each with its step."""
    try:
        source: ProblemSource = source_of(skill)
    except InvalidInput:  # of a skill whose problems come from a server, nobody here can make others
        return None
    tested, mistakes = 0, []
    for number in sorted(asked):
        for each in register.records.answers(number):
            tested += each["verdict"] != "unknown"
            if each["verdict"] == "wrong":
                answer = plain_answer(each["answer"] or "")
                mistakes.append(Mistake(each["level"], each["prompt"], each["expected"], answer))
    return correct(
        source, mistakes, tested=tested, max_examples=settings.self_correction.max_examples,
        seed=seed_of(settings.curriculum.seed, max(asked), f"self_correction {skill}"),
        model=f"step {max(asked.values())}", now=now,
    )  # fmt: skip


def _drop(register: Register, made: Correction, priority: str, number: int, files: Files) -> None:
    place = place_of(register.paths, made.name, priority)
    part = part_of(place, number)
    place.parent.mkdir(parents=True, exist_ok=True)
    files.write_atomic(part, b"".join(made.lines()), durable=True)
    drop_made(part, place, made.lineage.to_json(), files=files)


def told_of(run: dict[str, Any]) -> str:
    """One run in a sentence."""
    patterns = ", ".join(f"{pattern['type']} {pattern['count']}" for pattern in run["error_patterns"])
    what = f"{run['incorrect']} of {run['tested']} answers in {run['skill'].upper()} were wrong ({patterns})"
    if not run["dropped"]:
        return what
    return f"{what}: {run['file']} has {run['corrections_generated']} problems like these"
