"""The CLI noun `hero`: who there is, who trains, and new ones. `ctx.obj` is `core.cli.Choices`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli import listed

if TYPE_CHECKING:
    from arena.hall.changing import Changed
    from arena.hall.listing import HeroRow

HeroId = Annotated[str, typer.Argument(metavar="ID", help="A hero: the name of a file in configs/heroes/.")]


def hero_app() -> typer.Typer:
    """The verbs as a Typer group. Everything heavy is loaded inside the verbs, for a quick `realm --help`."""
    app = typer.Typer(no_args_is_help=True, help="Heroes: the models that train, one at a time.")
    app.command("list")(list_heroes)
    app.command("use")(use)
    app.command("summon")(summon)
    return app


def list_heroes(ctx: typer.Context) -> None:
    """Show all heroes, who of them trains, and their archived models."""
    from dataclasses import asdict

    from arena.hall.listing import list_hall

    rows = list_hall(ctx.obj.paths)
    ctx.obj.tell({"heroes": [asdict(row) for row in rows]}, "\n".join(line for row in rows for line in _lines(row)))


def use(
    ctx: typer.Context,
    hero: HeroId,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, even with an archived model.")] = False,
    archive: Annotated[str | None, typer.Option(help="Bring this archived model back, not the latest.")] = None,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Queue what the present model has not finished and sealed.")
    ] = False,
) -> None:
    """Let another hero train; the realm must be down. The present model goes into archive/, whole.

    A hero who has trained before comes back as he was.
    """
    from dataclasses import asdict
    from datetime import UTC, datetime
    from functools import partial

    from arena.hall.archives import list_archives
    from arena.hall.changing import change_hero, step_of
    from arena.hall.open_quests import clear_open_quests
    from arena.hall.standing import standing_still
    from core.errors import Conflict

    paths = ctx.obj.paths
    if os.environ.get("REALM_HERO") not in (None, "", hero):
        raise Conflict(
            f"REALM_HERO is {os.environ['REALM_HERO']!r}, and wins over configs/realm.yaml.", hint="Unset it."
        )
    now = datetime.now(UTC)
    clear = partial(clear_open_quests, paths, requeue=requeue, now=now)
    with standing_still(paths, f"hero use {hero}"):
        changed = change_hero(paths, hero, now=now, clear=clear, fresh=fresh, archive=archive)
        archives = [each for each in list_archives(paths) if each.hero == hero]
        others = [
            f"archive/{each.name} (step {each.step}) comes back with `realm hero use {hero} --archive {each.name}`."
            for each in archives
        ]
    if changed is None:
        step = step_of(paths.current_model)
        lines = [f"{hero} trains already" + (f", from step {step}." if step else ", and has learned nothing yet.")]
        lines += [f"To begin anew: `realm hero use {hero} --fresh`."] * bool(step)
        body = {"changed": False, "hero": hero, "step": step, "archives": [each.name for each in archives]}
        ctx.obj.tell(body, "\n".join(lines + others))
        return
    if changed.archived is None and changed.restored is None and changed.step > 0:
        others = ["Only the setting named another hero; the model in current_model/ is his.", *others]
    else:
        others = []
    ctx.obj.tell({"changed": True, **asdict(changed)}, "\n".join([_told(changed), *others]))


def summon(
    ctx: typer.Context,
    hero: Annotated[str, typer.Argument(metavar="ID", help="Id of the new hero.")],
    source: Annotated[
        str | None, typer.Option("--from", help="A model directory or a hub id; without it, a new seedling.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Name shown to people.")] = None,
    lora: Annotated[
        bool, typer.Option("--lora", help="Train an adapter beside the frozen model, in a part of the memory.")
    ] = False,
) -> None:
    """Make a new hero; a model of the hub is downloaded."""
    from dataclasses import asdict

    from arena.hall.new_hero import summon_hero

    paths = ctx.obj.paths
    paths.create()
    show = not ctx.obj.as_json and sys.stderr.isatty()
    made = summon_hero(paths, hero, source=source, title=title, show=show, lora=lora)
    size = f", {made.parameters:,} parameters" if made.parameters else ""
    lines = [f"{made.title} is in {made.file} ({made.base_model}{size})."]
    lines.append(f"Profile {made.profile}: {made.why_profile}.")
    lines += [f"He trains {made.lora}; `lora` in his file is fixed once he has trained."] * bool(made.lora)
    lines.append(f"`realm hero use {made.id}` lets him train.")
    ctx.obj.tell(asdict(made), "\n".join(lines))


def _lines(row: HeroRow) -> list[str]:
    from arena.disk.gauge import megabytes

    mark = "*" if row.in_use else " "
    size = f"{row.parameters:,} parameters" if row.parameters else "size not known yet"
    if row.lora:
        size += f", {row.lora}" + (f", {row.trained:,} trained" if row.trained else "")
    if row.memory_bytes:
        size += f", training takes up to {megabytes(row.memory_bytes)}"
    told = f"{row.title}, {row.base_model}, {size}" if row.title else " ".join(str(row.problem).split())
    lines = [f"{mark} {row.id}: {told}" + (f", step {row.step}" if row.step is not None else "")]
    for archive in row.archives:
        step = "unknown" if archive.step is None else archive.step
        lines.append(f"    archive/{archive.name} (step {step})")
    return lines


def _told(changed: Changed) -> str:
    if changed.restored:
        lines = [f"{changed.title} trains again, from step {changed.step} (archive/{changed.restored})."]
    elif changed.step:
        lines = [f"{changed.title} trains, from step {changed.step}."]
    else:
        lines = [f"{changed.title} trains from now on, from the beginning."]
    if changed.archived:
        lines.append(f"The model before lies in archive/{changed.archived}, whole.")
    lines += [
        f"{name} is {'the hero’s own' if value is None else value} now." for name, value in changed.settings.items()
    ]
    if changed.requeued:
        lines += ["Queued again:", *listed(changed.requeued)]
    return "\n".join(lines)
