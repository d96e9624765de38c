"""The CLI noun `config`: what the settings are, whether they are valid, and changing them with a way back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from core.paths import RealmPaths

FullCheck = Callable[[RealmPaths, Mapping[str, Any], Path], object]
"""Checks all that a start checks, with this settings file and some settings replaced (nested dicts); raises a
`RealmError`. Given by the composition, as heroes, models and locks lie above core."""

READ_AT_CLAIM = ("hyperparams.", "profile.")
"""Sections that a running realm reads again at every claim; precision is fixed when its trainer starts."""

SettingName = Annotated[str, typer.Argument(metavar="NAME", help="Such as hyperparams.learning_rate.")]


def config_app(full_check: FullCheck) -> typer.Typer:
    """`show`, `get`, `set`, `undo`, `check`, `schema`."""
    app = typer.Typer(no_args_is_help=True, help="Settings: configs/realm.yaml and REALM_* environment.")

    def check(ctx: typer.Context) -> None:
        """Check settings, hero, profile, model and locks; all errors are told at once, exit code 1."""
        file = ctx.obj.paths.config_file
        full_check(ctx.obj.paths, {}, file)
        text = f"{file} is valid" if file.exists() else f"There is no {file}: all settings are at their defaults."
        ctx.obj.tell({"valid": True, "file": str(file), "exists": file.exists()}, text)

    def set_value(
        ctx: typer.Context,
        name: SettingName,
        value: Annotated[str, typer.Argument(metavar="VALUE", help="As YAML reads it: 0.001, true, null, text.")],
    ) -> None:
        """Change one setting in configs/realm.yaml; comments stay, and `config undo` takes it back."""
        _set(ctx, full_check, name, value)

    def undo(ctx: typer.Context) -> None:
        """Take the last change of configs/realm.yaml by program back, but for the hero; once more does it again."""
        _undo(ctx, full_check)

    app.command("show")(show)
    app.command("get")(get)
    # -1 is a value here, not an option.
    app.command("set", context_settings={"ignore_unknown_options": True})(set_value)
    app.command("undo")(undo)
    app.command("check")(check)
    app.command("schema")(schema)
    return app


def show(ctx: typer.Context) -> None:
    """Show all settings as they are in force."""
    import yaml

    values = _values(ctx)
    ctx.obj.tell(values, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())


def get(ctx: typer.Context, name: SettingName) -> None:
    """Show one setting."""
    from core.settings_reading import check_setting_name

    check_setting_name(name, sections=True)
    value: Any = _values(ctx)
    for part in name.split("."):
        value = value[part]
    ctx.obj.tell({name: value}, json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value)


def schema(ctx: typer.Context) -> None:
    """Print the JSON schema of configs/realm.yaml, with the help of every setting."""
    from core.setting_docs import describe
    from core.settings import Settings

    describe(Settings)
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2))


def _values(ctx: typer.Context) -> dict[str, Any]:
    from core.settings_reading import load_settings

    return load_settings(ctx.obj.paths.config_file).model_dump(mode="json")


def _set(ctx: typer.Context, full_check: FullCheck, name: str, text: str) -> None:
    from core.settings_reading import check_setting_name, environment_variable, read_yaml
    from core.shell.config_file import change_settings

    check_setting_name(name)
    if ctx.obj.paths.config_file.exists():
        read_yaml(ctx.obj.paths.config_file)  # what is no YAML at all is told of with its name and line
    value = _parse(name, text)
    remaining = _check_change(ctx.obj.paths, full_check, name, value)
    backup = change_settings(ctx.obj.paths.config_file, {name: value})
    told = "null" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    variable = environment_variable(name)
    overruled = variable in os.environ
    lines = [f"{name} is {told} in {ctx.obj.paths.config_file}", _when_in_force(ctx.obj.paths, name)]
    if overruled:
        lines.append(f"Not in force here: the environment variable {variable} wins over the file.")
    if remaining:
        lines += ["What is still wrong with the settings:", *(f"  {problem}" for problem in remaining)]
    body = {
        "name": name,
        "value": value,
        "backup": str(backup) if backup else None,
        "overruled_by_environment": overruled,
        "still_wrong": remaining,
    }
    ctx.obj.tell(body, "\n".join(lines))


def _check_change(paths: RealmPaths, full_check: FullCheck, name: str, value: Any) -> list[str]:
    """What is wrong with the settings beside the new value, and was before; raises `InvalidInput` for the new value."""
    from core.errors import InvalidInput
    from core.shell.change_check import blamed, problems

    nested: Any = value
    for part in reversed(name.split(".")):
        nested = {part: nested}
    before = problems(lambda: full_check(paths, {}, paths.config_file))
    after = problems(lambda: full_check(paths, nested, paths.config_file))
    if to_blame := blamed(before, after, [name]):
        raise InvalidInput(f"{name} stays as it is:\n  " + "\n  ".join(to_blame), errors=to_blame)
    return after


def _undo(ctx: typer.Context, full_check: FullCheck) -> None:
    from core.shell.config_file import undo_settings

    paths = ctx.obj.paths
    _refuse_to_change_hero(paths)
    changed = undo_settings(paths.config_file, check=lambda backup: full_check(paths, {}, backup))
    body = {"file": str(paths.config_file), "changed": changed}
    ctx.obj.tell(body, "\n".join([f"{paths.config_file} is as it was before the last change:", *changed]))


def _refuse_to_change_hero(paths: RealmPaths) -> None:
    """`hero use` moves models along with the setting: undoing the setting alone leaves a hero without his own."""
    from core.errors import Conflict
    from core.settings import Settings
    from core.settings_reading import read_yaml
    from core.shell.config_file import BACKUP_SUFFIX

    file = paths.config_file.resolve()
    backup = file.with_name(file.name + BACKUP_SUFFIX)
    if not (file.exists() and backup.exists()):
        return
    present, before = (read_yaml(each).get("hero") or Settings().hero for each in (file, backup))
    if present != before:
        raise Conflict(
            f"The last change made {present} the hero, and may have moved a model.",
            hint=f"`realm hero use {before}` goes back and brings the model along.",
        )


def _parse(name: str, text: str) -> Any:
    import yaml

    from core.errors import InvalidInput

    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidInput(f"{name}: {text!r} is no YAML value.", hint="Put text with signs into quotes.") from error
    # YAML 1.1 takes 1e-4 for text; the model turns it into the number that was meant, so the file may hold it as one.
    if isinstance(value, str):
        try:
            return float(value) if "e" in value.lower() else value
        except ValueError:
            return value
    return value


def _when_in_force(paths: RealmPaths, name: str) -> str:
    from core.instance import living_realm

    if living_realm(paths.lock) is None:
        return "It is in force from the next start on."
    if name.startswith(READ_AT_CLAIM) and name != "hyperparams.fp_precision":
        return "The running realm takes it with the next quest."
    return "The running realm takes it at its next start: `realm down`, then `realm up`."
