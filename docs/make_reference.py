"""Writes `docs/reference/{settings,cli,http}.md` from the code: `python -m docs.make_reference [FOLDER]`.

`tests/test_docs.py` compares the committed pages with a fresh run. What the code does not say, the purpose of each
HTTP route, stands in `ROUTES` below; a route without an entry, or an entry without a route, is an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, TypeGuard

import typer
from aiohttp import web
from pydantic import BaseModel

from core.http_events import EventHub
from core.paths import RealmPaths
from core.settings import RESERVED_ENVIRONMENT, Settings
from realm import _make_sites, app

NOTE = "<!-- Made by docs/make_reference.py from the code; change that, not this file. -->\n\n"
OUTPUT = Path(__file__).resolve().parent / "reference"

ROUTES = {
    "every": {
        "GET /health": "Whether the site is healthy, with version and state; 503 when it is not.",
        "GET /healthz": "Whether the process answers.",
        "GET /readyz": "The same as `/health`.",
    },
    "tavern": {
        "GET /": "The page; also at `/game` and `/game.html`.",
        "GET /game": "The page.",
        "GET /game.html": "The page.",
        "GET /static": "Scripts and styles of the page.",
        "GET /api/game": "Everything the page shows, as one JSON object; unknown values are null.",
        "GET /api/events/stream": (
            "Server-sent events. Durable events carry an id and are replayed after `Last-Event-ID` (or "
            "`?last_event_id=`); `progress` frames carry none and are not."
        ),
        "POST /api/daemon/control": "The same as `POST /api/training/control` on the vault's port.",
    },
    "vault": {
        "GET /api/ledger": "Checkpoints, newest first; `limit`, `offset`, `skill`.",
        "GET /api/ledger/summary": "Number, losses and size of all checkpoints.",
        "GET /api/ledger/best": "The best checkpoint by `metric` (`train_loss`); `lower` is `true` or `false`.",
        "GET /api/ledger/{step}": "One checkpoint: a step, a directory name, `checkpoint_STEP`, `latest` or `best`.",
        "GET /api/training/status": "The body of `status/training_status.json`; `unknown` once it is out of date.",
        "GET /api/training/queue": "How many quests wait, and the next ten of each priority.",
        "POST /api/training/control": (
            '`{"action": "pause", "reason": "…"}`; actions are `pause`, `resume`, `stop`, `skip`, `save`. '
            "The answer comes when the wish lies in `control/`."
        ),
        "POST /api/training/quests/{action}": (
            '`{"quest": "id or file name"}`; actions are `retry`, `remove` and `move`, which wants `priority` too.'
        ),
    },
    "watchtower": {
        "GET /": "An index of this port.",
        "GET /api/vision": "The battle as the scrying pool shows it, and its disturbances.",
    },
}


def settings_page() -> str:
    """Every setting with its type, default, environment variable and help."""
    parts = [
        NOTE + "# Settings\n\nSettings stand in `configs/realm.yaml` of the base directory. The environment wins over "
        "the file: the variable is the path in capitals, `__` between the parts. Unknown keys are errors. "
        "`realm config show` tells what is in force, `realm config check` what is wrong. `null` under `hyperparams` "
        "and `profile` takes the hero's value (`configs/heroes/*.yaml`).\n",
        *_settings_of(Settings, ""),
        "\n## Other environment variables\n\nThese begin with `REALM_` and are no settings: "
        + ", ".join(f"`{name}`" for name in sorted(RESERVED_ENVIRONMENT))
        + ".\n",
    ]
    return "".join(parts)


def _settings_of(model: type[BaseModel], prefix: str) -> Iterator[str]:
    schema = model.model_json_schema()
    plain = [name for name, field in model.model_fields.items() if not _is_section(field.annotation)]
    if plain:
        yield f"\n## {prefix.rstrip('.') or 'Top level'}\n\n"
        yield "| setting | values | default | environment | meaning |\n|---|---|---|---|---|\n"
    for name in plain:
        field = model.model_fields[name]
        path = f"{prefix}{name}"
        values = _values_of(schema["properties"][name])
        default = json.dumps(field.default, ensure_ascii=False)
        variable = f"REALM_{path.upper().replace('.', '__')}"
        yield f"| `{path}` | {values} | `{default}` | `{variable}` | {_cell(field.description or '')} |\n"
    for name, field in model.model_fields.items():
        kind = field.annotation
        if _is_section(kind):
            yield from _settings_of(kind, f"{prefix}{name}.")


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _values_of(schema: dict[str, Any]) -> str:
    """A JSON schema of one value as a few words."""
    if "anyOf" in schema:
        return " or ".join(_values_of(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    words = {"integer": "whole number", "number": "number", "string": "text", "null": "null", "boolean": "true, false"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return " ".join([words[schema["type"]], ", ".join(limits)]).strip()


def cli_page() -> str:
    """Every verb with its arguments and options."""
    intro = (
        "# Command line\n\n`realm` stands for `.venv/bin/realm` or `.venv/bin/python realm.py`. `--base-dir` and "
        "`--json` may stand anywhere on the line. Exit codes: 0 ok, 1 expected failure, 2 wrong usage, 3 a bug, "
        "130 interrupted (not for `up` and `play`).\n"
    )
    return NOTE + intro + "".join(_verbs(typer.main.get_command(app), "realm"))


def _verbs(command: Any, path: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    options = [param for param in command.params if param.name != "help"]
    if options or not children:
        usage = " ".join([path, *(_argument(param) for param in options if param.param_type_name == "argument")])
        yield f"\n## `{usage}`\n\n{' '.join((command.help or '').split())}\n"
        if options:
            yield "\n" + "".join(f"- `{_spelling(param)}`{_hint(param)}\n" for param in options)
    for name, child in children.items():
        yield from _verbs(child, f"{path} {name}")


def _argument(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _spelling(param: Any) -> str:
    if param.param_type_name == "argument":
        return _argument(param)
    names = ", ".join(param.opts) + "".join(f" / {name}" for name in param.secondary_opts)
    return names if param.is_flag else f"{names} {param.name.upper()}"


def _hint(param: Any) -> str:
    notes = ["required"] if param.required and param.param_type_name == "option" else []
    if param.default not in (None, False):
        notes.append(f"default `{param.default}`")
    return (f" ({', '.join(notes)})" if notes else "") + (f": {param.help}" if param.help else "")


def http_page() -> str:
    """Every route of every site."""
    intro = (
        "# HTTP\n\nAll sites listen on loopback only. With `--ports auto` the ports are free ones; "
        "`status/services.json` tells which. Answers are JSON without NaN or Infinity. Errors have the shape "
        '`{"error": code, "message": sentence, "details": …}`. A `Host` that is not loopback is refused with 403, '
        "and so is a `POST` from a page of another origin. Bodies may have 1 MiB.\n"
    )
    ports = Settings().services
    parts = [NOTE + intro, _table("Every site", "every", set(ROUTES["every"]))]
    for name, routes in _site_routes().items():
        own = routes - set(ROUTES["every"])
        if own != set(ROUTES[name]):
            sys.exit(f"ROUTES of docs/make_reference.py and the {name} differ: {sorted(own ^ set(ROUTES[name]))}")
        parts.append(_table(f"{name.capitalize()}, port {getattr(ports, name)}", name, own))
    return "".join(parts)


def _table(title: str, site: str, routes: set[str]) -> str:
    rows = [f"| `{route}` | {_cell(text)} |\n" for route, text in ROUTES[site].items() if route in routes]
    return f"\n## {title}\n\n| route | answer |\n|---|---|\n{''.join(rows)}"


def _site_routes() -> dict[str, set[str]]:
    """What the sites of a control process answer, read off the applications that `realm` makes."""
    with TemporaryDirectory() as folder:
        daemon: Any = SimpleNamespace(paths=RealmPaths(Path(folder)), snapshot=None, ledger=None, report=None)
        hub: Any = SimpleNamespace(serve=EventHub.serve, close=None)
        # The inside of a site is nobody else's business, but these pages must show what is really served.
        return {site.name: set(_routes_of(site._app)) for site in _make_sites(daemon, hub, Settings())}


def _routes_of(application: web.Application) -> Iterator[str]:
    for route in application.router.routes():
        if route.method != "HEAD" and route.resource is not None:
            yield f"{route.method} {route.resource.canonical}"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def main() -> None:
    """Write the three pages into the folder given, or over the committed ones."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in (("settings", settings_page), ("cli", cli_page), ("http", http_page)):
        (folder / f"{name}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
