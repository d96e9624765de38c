"""Writes `docs/reference/{settings,cli,http,metrics}.md` from the code: `python -m docs.make_reference [FOLDER]`.

`tests/test_docs.py` compares the committed pages with a fresh run. HTTP and metrics are read off the sites that `realm`
composes; a route that is no declared endpoint is an error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from aiohttp.web import Application, StaticResource
from pydantic import BaseModel

from arena.daemon import Daemon
from arena.start_check import read_setup
from core.hosts import HostRegistry
from core.http.endpoints import Endpoint
from core.http.events import EventHub
from core.http.limits import MAX_BODY_BYTES
from core.http.metrics import Described
from core.http.site import ENDPOINTS, METERS, Site, make_app
from core.http.standard import EVERY_SITE
from core.paths import RealmPaths
from core.saga import open_saga
from core.scribe import Scribe
from core.setting_docs import describe
from core.settings import Settings
from core.settings_reading import RESERVED_ENVIRONMENT, environment_variable, is_section
from guild.server import api_port, skill_site
from guild.skills import get_skill
from realm import app, make_daemon, open_keeper
from tavern.sites import make_sites
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.branch_officer import CATALOG, PORT
from vault.catalog.catalog import Catalog

NOTE = "<!-- Made by docs/make_reference.py from the code; change that, not this file. -->\n\n"
OUTPUT = Path(__file__).resolve().parent / "reference"


def settings_page() -> str:
    """Every setting with its type, default, environment variable and help."""
    describe(Settings)
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
    plain = [name for name, field in model.model_fields.items() if not is_section(field.annotation)]
    if plain:
        yield f"\n## {prefix.rstrip('.') or 'Top level'}\n\n"
        yield "| setting | values | default | environment | meaning |\n|---|---|---|---|---|\n"
    for name in plain:
        field = model.model_fields[name]
        path = f"{prefix}{name}"
        values = _values_of(schema["properties"][name])
        default = json.dumps(field.default, ensure_ascii=False)
        variable = environment_variable(path)
        yield f"| `{path}` | {values} | `{default}` | `{variable}` | {_cell(field.description or '')} |\n"
    for name, field in model.model_fields.items():
        kind = field.annotation
        if is_section(kind):
            yield from _settings_of(kind, f"{prefix}{name}.")


def _values_of(schema: dict[str, Any]) -> str:
    """A JSON schema of one value as a few words."""
    if "anyOf" in schema:
        return " or ".join(_values_of(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_values_of(schema['items'])}"
    if schema.get("type") == "object":
        return f"names, each with: {_values_of(schema['additionalProperties'])}"
    words = {"integer": "whole number", "number": "number", "string": "text", "null": "null", "boolean": "true, false"}
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # Whole numbers to their last digit.
    limits = [
        f"{sign} {limit if isinstance(limit := schema[key], int) else f'{limit:g}'}"
        for key, sign in bounds.items()
        if key in schema
    ]
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


def http_page(sites: Sequence[Site], others: Sequence[Site]) -> str:
    """Every endpoint of a realm's sites and of services beside it, from the declarations that routes are made of."""
    intro = (
        "# HTTP\n\nThe same, with all fields of what goes in and out, is at `/docs` of the tavern, and as an OpenAPI "
        "3.1 document at `/openapi.json` of every site. With `--ports auto` the ports are free ones; "
        "`status/services.json` tells which. Answers are JSON without NaN or Infinity. Errors have the shape "
        '`{"error": code, "message": sentence, "details": …}`. A `Host` that is not ours is refused with 403, '
        f"and so is a `POST` from a page of another origin. Bodies may have {MAX_BODY_BYTES >> 20} MiB.\n"
    )
    ports = Settings().services
    everywhere = [endpoint for endpoint in sites[0].app[ENDPOINTS] if endpoint.tag == EVERY_SITE]
    parts = [NOTE + intro, _table("Every site", everywhere)]
    for site in (*sites, *others):
        _check_all_told(site)
        own = [endpoint for endpoint in site.app[ENDPOINTS] if endpoint.tag != EVERY_SITE]
        parts.append(_table(f"{site.name.capitalize()}, port {getattr(ports, site.name, site.port)}", own))
    return "".join(parts)


def _table(title: str, endpoints: Sequence[Endpoint]) -> str:
    rows = [
        f"| `{endpoint.method} {endpoint.path}` | {_names(endpoint)} | {_cell(endpoint.summary)} |\n"
        for endpoint in endpoints
    ]
    return f"\n## {title}\n\n| route | takes | answer |\n|---|---|---|\n{''.join(rows)}"


def _names(endpoint: Endpoint) -> str:
    """The fields of query and body; one that has to be there is marked."""
    models = [model for place, model in endpoint.inputs.items() if place != "path"]
    fields = [(name, field.is_required()) for model in models for name, field in model.model_fields.items()]
    return ", ".join(f"`{name}`" + ("*" if required else "") for name, required in fields)


def _check_all_told(site: Site) -> None:
    """End with an error when the site serves what no endpoint declares; its folder of files is no endpoint."""
    served = {
        f"{route.method} {route.resource.canonical}"
        for route in site.app.router.routes()
        if route.method != "HEAD" and route.resource is not None and not isinstance(route.resource, StaticResource)
    }
    told = {f"{endpoint.method} {endpoint.path}" for endpoint in site.app[ENDPOINTS]}
    if served != told:
        sys.exit(f"These routes of the {site.name} are no endpoints: {sorted(served ^ told)}")


def metrics_page(sites: Sequence[Site]) -> str:
    """Every metric of every site, once."""
    intro = (
        "# Metrics\n\n`/metrics` of a site, in Prometheus' text format, holds the site's own requests and what the "
        "rooms behind it know. No series is told by two sites, so scrape all three; the vault alone tells how training "
        "goes. A value that is unknown is left out, never told as 0. Counters of a session begin at 0 with each start "
        "of the realm; `realm_quests_learned_total` and `realm_saga_events_total` go on. The vault also has the "
        "`process_*` metrics of Prometheus' own client, which are those of the control process.\n\n"
        "```yaml\nscrape_configs:\n  - job_name: realm\n    static_configs:\n"
        f"      - targets: [{', '.join(f'localhost:{getattr(Settings().services, site.name)}' for site in sites)}]\n"
        "    # Beyond loopback:\n    # authorization: {credentials_file: /path/to/.realm.token}\n```\n\n"
    )
    told: dict[Described, list[str]] = {}
    for site in sites:
        for metric in site.app[METERS].described():
            told.setdefault(metric, []).append(site.name)
    rows = [
        f"| `{metric.name}` | {'each' if len(names) > 1 else names[0]} | {metric.kind} | "
        f"{', '.join(f'`{label}`' for label in metric.labels)} | {_cell(metric.help)} |\n"
        for metric, names in told.items()
    ]
    return NOTE + intro + "| metric | site | type | labels | meaning |\n|---|---|---|---|---|\n" + "".join(rows)


@contextmanager
def idle_realm(folder: Path) -> Iterator[tuple[Daemon, list[Site]]]:
    """A realm in `folder`, composed as `realm up` does it but not started: no loops, no trainer, no open port."""
    paths = RealmPaths(folder)
    paths.create()
    setup = read_setup(paths, {"services": {"ports": "auto"}})
    with open_saga(paths, setup.settings.budgets) as saga:
        hub = EventHub(saga)
        scribe = Scribe()
        daemon = make_daemon(paths, setup, {}, saga, scribe, hub)
        with open_keeper(daemon, scribe, setup.settings) as keeper:
            sites = make_sites(daemon, keeper, hub, setup.settings)

            async def dismiss(app: Application) -> None:
                await scribe.close()

            # Asked for the bytes of assets, a site that was started has put the scribe to work.
            sites[0].app.on_cleanup.append(dismiss)
            yield daemon, sites


@contextmanager
def idle_officer(folder: Path) -> Iterator[Site]:
    """The site of a branch officer that looks after `folder`, not started; it knows no other host."""
    registry = HostRegistry({}, RealmPaths(folder).hosts_file)
    with Catalog.opened(folder / CATALOG, folder) as catalog:
        officer = BranchOfficer("nas", folder, catalog, lambda: registry, lambda: None)
        app = make_app(branch_routes(officer), service="branch_officer", health=lambda: {"zone_id": "nas"})
        yield Site(app, "127.0.0.1", PORT, "branch officer")


def idle_skill(folder: Path) -> Site:
    """The API of a skill, not started; that of every built-in skill has the same endpoints."""
    skill = get_skill("bin", folder)
    return skill_site(skill, RealmPaths(folder), "127.0.0.1", api_port(skill))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


async def _site_pages() -> dict[str, str]:
    with (
        TemporaryDirectory() as folder,
        TemporaryDirectory() as zone,
        idle_realm(Path(folder)) as (_, sites),
        idle_officer(Path(zone)) as officer,
    ):
        return {"http": http_page(sites, [officer, idle_skill(Path(zone))]), "metrics": metrics_page(sites)}


def main() -> None:
    """Write the pages into the folder given, or over the committed ones."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"settings": settings_page(), "cli": cli_page(), **asyncio.run(_site_pages())}
    for name, page in pages.items():
        (folder / f"{name}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
