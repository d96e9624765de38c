"""The CLI noun `skill`: what can be learned, its problems, and its API. `ctx.obj` is `core.cli.Choices`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import aligned

if TYPE_CHECKING:
    from guild.dojo.problem import Problem
    from guild.skills.types import SkillConfig

SkillId = Annotated[str, typer.Argument(metavar="ID", help="A skill: the name of a file in configs/skills/.")]


def _listens(address: str | None) -> str | None:
    from core.setting_types import listen_address

    try:
        return None if address is None else listen_address(address)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def skill_app() -> typer.Typer:
    """The verbs as a Typer group; the modules they need are imported when one of them runs."""
    app = typer.Typer(no_args_is_help=True, help="Skills: what can be learned, level by level.")
    app.command("list")(list_skills)
    app.command("sample")(sample)
    app.command("check")(check)
    app.command("serve")(serve)
    return app


def list_skills(ctx: typer.Context) -> None:
    """Show all skills; a broken file is told of beside the sound ones."""
    from guild.skills.registry import SkillRegistry

    skills, broken = SkillRegistry(ctx.obj.paths).survey()
    lines = [_line(skill) for skill in skills.values()]
    lines += [f"! {' '.join(problem.split())}" for problem in broken.values()]
    rows = [
        {
            "id": skill.id, "name": skill.name, "icon": skill.icon, "color": skill.color,
            "short_name": skill.short_name, "max_level": skill.max_level, "source": skill.source,
            "api_url": skill.api_url, "description": skill.description,
        }
        for skill in skills.values()
    ]  # fmt: skip
    problems = {str(file): problem for file, problem in broken.items()}
    ctx.obj.tell({"skills": rows, "broken": problems}, "\n".join(lines) or "There are no skills.")


def check(ctx: typer.Context) -> None:
    """Check every file in configs/skills/; each fault is told with file and field, exit code 1."""
    from core.errors import InvalidInput
    from guild.skills.registry import SkillRegistry

    registry = SkillRegistry(ctx.obj.paths)
    skills, broken = registry.survey()
    if broken:
        problems = {str(file): problem for file, problem in broken.items()}
        raise InvalidInput("\n".join(problems.values()), valid=sorted(skills), broken=problems)
    files = {skill_id: str(file) for skill_id, file in registry.files().items()}
    ctx.obj.tell({"valid": sorted(skills), "broken": {}}, f"All skills are valid.\n{aligned(files)}")


def sample(
    ctx: typer.Context,
    skill_id: SkillId,
    level: Annotated[int, typer.Option(min=1, help="The level.")] = 1,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="How many; of static ones, at most.")] = 5,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same problems; else any.")] = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="Of the share that is never taught.")] = False,
    static: Annotated[
        bool, typer.Option("--static", help="The static evaluation problems, the same for ever; held out too.")
    ] = False,
) -> None:
    """Show problems of a skill with their answers."""
    from guild.skills.registry import SkillRegistry

    skill = SkillRegistry(ctx.obj.paths).get(skill_id)
    if skill.source == "builtin":
        problems = _problems(skill, level, count, seed, held_out=held_out, static=static)
        rows = [{"messages": each.messages(), "metadata": dict(each.metadata)} for each in problems]
    else:
        rows = _from_api(skill, level, count, seed, held_out=held_out or static)
    ctx.obj.tell({"skill": skill.id, "level": level, "samples": rows}, "\n".join(_shown(row) for row in rows))


def serve(
    ctx: typer.Context,
    skill_id: SkillId,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Else that of its file; 0 takes any.")] = None,
    host: Annotated[
        str | None,
        typer.Option(callback=_listens, help="Address to listen on; any but loopback wants the token."),
    ] = None,
) -> None:
    """Serve the API of a built-in skill, until Ctrl-C or a signal ends it."""
    import asyncio

    from core.logs import log_to_terminal
    from guild.server import serve
    from guild.skills.registry import SkillRegistry

    log_to_terminal()
    asyncio.run(serve(SkillRegistry(ctx.obj.paths).get(skill_id), ctx.obj.paths, host, port))


def _problems(
    skill: SkillConfig, level: int, count: int, seed: int | None, *, held_out: bool, static: bool
) -> list[Problem]:
    import secrets

    from guild.dojo.sources import source_of
    from guild.dojo.static import static_problems

    skill.check_wish(level, count)
    source = source_of(skill.id)
    if static:
        return static_problems(source, level, skill.eval.samples_per_level)[:count]
    return source.problems(level, count, seed=secrets.randbits(32) if seed is None else seed, held_out=held_out)


def _from_api(skill: SkillConfig, level: int, count: int, seed: int | None, *, held_out: bool) -> list[dict[str, Any]]:
    from core.errors import InvalidInput
    from guild.skills.loader import trainer_of

    if held_out:
        raise InvalidInput(f"Skill {skill.id} is not built in: its API alone knows what it holds out.")
    batch = trainer_of(skill).sample(level, count, seed)
    return [{"messages": each.messages, "metadata": each.metadata} for each in batch.samples]


def _shown(row: dict[str, Any]) -> str:
    """A short problem on a line with its answer, a long one above it."""
    texts = [message["content"] for message in row["messages"]]
    return "  ->  ".join(texts) if not any("\n" in text for text in texts) else "\n\n".join([*texts, "---"])


def _line(skill: SkillConfig) -> str:
    where = "built in" if skill.source == "builtin" else skill.api_url
    return f"{skill.icon} {skill.id}: {skill.name}, {skill.max_level} levels, {where}"
