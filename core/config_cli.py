"""The CLI noun `config`: what the settings are, where they come from, and whether they are valid."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def config_app() -> typer.Typer:
    """`show`, `get`, `check`, `schema`."""
    app = typer.Typer(no_args_is_help=True, help="Settings: configs/realm.yaml and REALM_* environment.")
    app.command("show")(show)
    app.command("get")(get)
    app.command("check")(check)
    app.command("schema")(schema)
    return app


def show(ctx: typer.Context) -> None:
    """Show all settings as they are in force."""
    import yaml

    values = _values(ctx)
    ctx.obj.tell(values, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())


def get(ctx: typer.Context, name: Annotated[str, typer.Argument(help="Such as hyperparams.learning_rate.")]) -> None:
    """Show one setting."""
    import difflib

    from core.errors import NotFound
    from core.settings import setting_names

    value: Any = _values(ctx)
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            close = difflib.get_close_matches(name, list(setting_names()), n=1)
            raise NotFound(f"There is no setting {name!r}.", hint=f"Did you mean {close[0]}?" if close else None)
        value = value[part]
    ctx.obj.tell({name: value}, json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value)


def check(ctx: typer.Context) -> None:
    """Check the settings; all errors are told at once, exit code 1."""
    _values(ctx)
    file = str(ctx.obj.paths.config_file)
    ctx.obj.tell({"valid": True, "file": file}, f"{file} is valid")


def schema(ctx: typer.Context) -> None:
    """Print the JSON schema of configs/realm.yaml, with the help of every setting."""
    from core.settings import Settings

    typer.echo(json.dumps(Settings.model_json_schema(), indent=2))


def _values(ctx: typer.Context) -> dict[str, Any]:
    from core.settings import load_settings

    return load_settings(ctx.obj.paths.config_file).model_dump(mode="json")
