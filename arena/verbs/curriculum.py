"""The CLI noun `curriculum`: where the hero stands, how he was examined, and what a person decides about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from arena.academy.register import Register
    from core.paths import RealmPaths

SkillId = Annotated[str, typer.Argument(metavar="SKILL", help="A skill: the name of a file in configs/skills/.")]

WISH = "/api/training/curriculum"
MARKS = {"right": "+", "wrong": "-", "unknown": "?"}


def curriculum_app() -> typer.Typer:
    """The verbs as a Typer group; the modules they need are imported when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Curriculum: what is learned by itself, level by level.")
    app.command("status")(status)
    app.command("record")(record)
    app.command("set-level")(set_level)
    app.command("reset")(reset)
    app.command("correct")(correct)
    return app


def status(ctx: typer.Context) -> None:
    """Show each skill: its levels, the newest examinations, and what was forgotten."""
    from datetime import UTC, datetime

    from arena.academy.telling import curriculum_view
    from core.settings_reading import load_settings

    paths = ctx.obj.paths
    settings = load_settings(paths.config_file)
    view = _reading(paths, lambda register: curriculum_view(register, settings, now=datetime.now(UTC)))
    lines = [_skill_line(name, skill) for name, skill in view["skills"].items()]
    if not view["enabled"]:
        lines.append("No quests are made by themselves: `auto_generate.enabled` is false.")
    lines += [f"* {earned['title']}: {earned['why']}" for earned in view["achievements"]]
    ctx.obj.tell(view, "\n".join(lines))


def record(
    ctx: typer.Context,
    exam_id: Annotated[str | None, typer.Argument(metavar="[EXAM]", help="Its questions and answers.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest to list.")] = 20,
) -> None:
    """List the newest examinations, or show one question by question."""
    if exam_id is None:
        parts = _reading(ctx.obj.paths, lambda register: register.records.examinations(limit=limit) if register else [])
        lines = [_part_line(part) for part in parts]
        ctx.obj.tell({"examinations": parts}, "\n".join(lines) or "Nobody was examined yet.")
        return
    found = _reading(ctx.obj.paths, lambda register: _need(register).answers(exam_id))
    lines = [
        f"{part['skill'].upper()} level {part['level']} ({part['purpose']}): {_score(part)}" for part in found["parts"]
    ]
    lines += [
        f"{MARKS[answer['verdict']]} {answer['prompt']!r} -> {answer['answer']!r}, expected {answer['expected']!r}"
        for answer in found["answers"]
    ]
    ctx.obj.tell(found, "\n".join(lines))


def set_level(
    ctx: typer.Context,
    skill: SkillId,
    level: Annotated[
        int, typer.Argument(metavar="LEVEL", min=0, help="The level that counts as mastered; 0 for none.")
    ],
) -> None:
    """Say which level of a skill is mastered, up or down; quests made from now on follow."""
    told = _decide(ctx.obj.paths, skill, level)
    ctx.obj.tell(told, str(told["message"]))


def reset(ctx: typer.Context, skill: SkillId) -> None:
    """Begin a skill anew at its first level; what the model has learned stays learned."""
    told = _decide(ctx.obj.paths, skill, 0)
    ctx.obj.tell(told, str(told["message"]))


def correct(
    ctx: typer.Context,
    check_only: Annotated[bool, typer.Option("--check-only", help="Tell the error patterns and no more.")] = False,
) -> None:
    """Make a quest of problems like those that were answered wrongly since the last time."""
    from datetime import UTC, datetime

    from arena.academy.correcting import correct_when_due, told_of
    from core.settings_reading import load_settings

    paths = ctx.obj.paths
    settings = load_settings(paths.config_file)
    runs = _reading(
        paths,
        lambda register: correct_when_due(
            _need(register), settings, interval=1, drop=not check_only, note=not check_only, now=datetime.now(UTC)
        ),
    )
    nothing = "Nothing was answered wrongly since the last time."
    ctx.obj.tell({"correction_runs": runs}, "\n".join(map(told_of, runs)) or nothing)


def _decide(paths: RealmPaths, skill: str, level: int) -> dict[str, Any]:
    """Through the living realm, or with its lock where none lives."""
    from datetime import UTC, datetime

    from arena.academy.register import open_register
    from arena.quest_board import QuestBoard
    from core.instance import InstanceLock, living_realm
    from core.saga import open_saga
    from core.shell.api_client import ask_realm

    if living_realm(paths.lock) is not None:
        return ask_realm(paths, WISH, {"skill": skill, "mastered_level": level})
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": f"realm curriculum set-level {skill}", "base_dir": str(paths.base)}, wait_seconds=2.0)
    try:
        now = datetime.now(UTC)
        with open_saga(paths) as saga:
            register = open_register(paths, saga, QuestBoard(paths), now=now)
            return _need(register).set_level(skill, level, now=now)
    finally:
        lock.release()


def _reading(paths: RealmPaths, read: Callable[[Register | None], Any]) -> Any:
    """What `read` finds in the records, beside a living realm or without one; it is given None where there are none."""
    from arena.academy.register import look_into
    from core.saga import read_saga

    if not paths.saga_db.exists():
        return read(None)
    with read_saga(paths) as saga:
        return read(look_into(paths, saga))


def _need(register: Register | None) -> Register:
    from core.errors import NotFound

    if register is None:
        raise NotFound("There is no curriculum yet.", hint="It begins with the first start of the trainer.")
    return register


def _skill_line(name: str, skill: dict[str, Any]) -> str:
    accuracy = "not examined yet" if skill["accuracy"] is None else f"{skill['accuracy']:.0%} right"
    needed = f" of {skill['threshold']:.0%}" if skill["threshold"] is not None else ""
    zone = f", {skill['zone']}" if skill["zone"] else ""
    text = (
        f"{name.upper()}: level {skill['mastered_level']} of {skill['max_level'] or '?'} is mastered; "
        f"level {skill['training_level']}: {accuracy}{needed}{zone}"
    )
    forgotten = [
        f"{level} ({value:.0%})" for level, value in skill["kept"].items() if value < (skill["threshold"] or 0)
    ]
    return f"{text}; rehearsed more: level {', '.join(forgotten)}" if forgotten else text


def _part_line(part: dict[str, Any]) -> str:
    place = f"{part['exam_id']:<12} step {part['step']:>7}  level {part['level']:>2}  {part['purpose']:<6}"
    return f"{place}  {_score(part)}"


def _score(part: dict[str, Any]) -> str:
    unknown = part["total"] - part["answered"]
    return f"{part['correct']} of {part['total']} right" + (f", {unknown} not answered" if unknown else "")
