"""The realm: the `Realm` facade, the `realm` command, and the only place that composes rooms into processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import Choices, run
from core.paths import CHECKOUT, RealmPaths, resolve_base_dir

if TYPE_CHECKING:
    from arena.battle_control import BattleControl
    from arena.daemon import Daemon
    from arena.heroes import Hero
    from arena.quest_board import QuestBoard
    from core.checkpoint_ledger import CheckpointLedger
    from core.errors import RealmError
    from core.http import Site
    from core.http_events import EventHub
    from core.saga import Saga
    from core.scribe import Scribe
    from core.settings import Settings
    from watchtower.scrying_pool import ScryingPool

__version__ = "0.1.0"

PLAYGROUND = "playground"


class Arena:
    """Where quests are fought: `board` and `control`."""

    def __init__(self, paths: RealmPaths) -> None:
        self._paths = paths

    @cached_property
    def board(self) -> QuestBoard:
        from arena.quest_board import QuestBoard

        return QuestBoard(self._paths)

    @cached_property
    def control(self) -> BattleControl:
        from arena.battle_control import BattleControl

        return BattleControl(self._paths.control)


class Watchtower:
    """Where the realm is watched: `pool.gaze()`."""

    def __init__(self, paths: RealmPaths) -> None:
        self._paths = paths

    @cached_property
    def pool(self) -> ScryingPool:
        from watchtower.scrying_pool import ScryingPool

        return ScryingPool(self._paths)


class Vault:
    """What exists: `ledger`."""

    def __init__(self, paths: RealmPaths) -> None:
        self._paths = paths

    @cached_property
    def ledger(self) -> CheckpointLedger:
        from core.checkpoint_ledger import CheckpointLedger

        return CheckpointLedger.of(self._paths)


class Realm:
    """One realm, seen from Python (seed 003, `Realm(base_dir)`); rooms are opened when they are first used."""

    def __init__(self, base_dir: str | Path | None = None) -> None:
        self.paths = RealmPaths(resolve_base_dir(base_dir))
        self.arena = Arena(self.paths)
        self.watchtower = Watchtower(self.paths)
        self.vault = Vault(self.paths)

    @property
    def status(self) -> dict[str, Any]:
        """Battle state and progress, as the scrying pool shows them, and the ledger's summary."""
        vision = self.watchtower.pool.gaze()
        return {
            "base_dir": str(self.paths.base),
            "arena": {
                "battle_state": vision.battle_state,
                "current_round": vision.current_round,
                "total_rounds": vision.total_rounds,
            },
            "vault": self.vault.ledger.get_summary(),
        }


# --- the command line -------------------------------------------------------------------------------------------

app = typer.Typer(
    name="realm",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: rich would take longer to load than everything else together.
    rich_markup_mode=None,
    help="Drop a JSONL file into inbox/, it is learned. Global options may stand anywhere on the line.",
)


@app.callback()
def choose(
    ctx: typer.Context,
    base_dir: Annotated[Path | None, typer.Option(help="Data of the realm; else REALM_BASE_DIR, else here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    ctx.obj = Choices(paths=RealmPaths(resolve_base_dir(base_dir)), as_json=json)


@app.command()
def init(
    ctx: typer.Context,
    hero: Annotated[str, typer.Option(help="Who trains: a file in configs/heroes/.")] = "seedling",
) -> None:
    """Make the data directories and configs/realm.yaml; what exists stays as it is."""
    paths = ctx.obj.paths
    chosen = _furnish(paths, hero)
    text = f"The realm in {paths.base} is ready; its hero is {chosen.title}. Start it with `realm up`."
    ctx.obj.tell({"base_dir": str(paths.base), "hero": chosen.id}, text)


def _furnish(paths: RealmPaths, hero: str) -> Hero:
    """Make whatever a base directory lacks; returns its hero, which is `hero` only where none was chosen before."""
    from arena.heroes import load_hero
    from core.files import DISK
    from core.settings import load_settings

    paths.create()
    if not paths.config_file.exists():
        text = (CHECKOUT / "configs" / "realm.yaml").read_text(encoding="utf-8")
        DISK.write_atomic(paths.config_file, _with_hero(text, hero).encode(), durable=True)
    return load_hero(paths, load_settings(paths.config_file).hero)


def _with_hero(text: str, hero: str) -> str:
    lines = [f"hero: {hero}" if line.lstrip("# ").startswith("hero:") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


@app.command()
def up(
    ctx: typer.Context,
    ports: Annotated[str | None, typer.Option(help="fixed, or auto for any free ports.")] = None,
) -> None:
    """Start the realm; Ctrl-C saves and ends it."""
    _reign(ctx.obj.paths, ports)


@app.command()
def play(
    ctx: typer.Context,
    ports: Annotated[str, typer.Option(help="auto for any free ports, or fixed.")] = "auto",
) -> None:
    """Try it out: a realm of its own in playground/ with sample quests for the seedling; Ctrl-C saves and ends it."""
    paths = RealmPaths(ctx.obj.paths.base / PLAYGROUND)
    _furnish(paths, "seedling")
    _drop_samples(paths)
    _reign(paths, ports)


def _drop_samples(paths: RealmPaths) -> None:
    """Give an idle playground something to learn; quests that are still open are finished first."""
    from arena.quest_board import QuestBoard
    from arena.quest_drop import drop_quest

    counts = QuestBoard(paths).counts()
    if counts["total_queued"] or counts["processing"] or any(paths.inbox.rglob("*.jsonl")):
        return
    for sample in sorted((CHECKOUT / "examples" / "quests").glob("*.jsonl")):
        drop_quest(paths, sample)


def _reign(paths: RealmPaths, ports: str | None) -> None:
    import asyncio

    from core.settings import load_settings

    overrides = {"services": {"ports": ports}} if ports else {}
    settings = load_settings(paths.config_file, overrides=overrides)
    failure = asyncio.run(reign(paths, settings, overrides))
    if failure is not None:
        raise failure


@app.command()
def down(
    ctx: typer.Context,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the last checkpoint.")] = 660.0,
) -> None:
    """End the realm that runs in this base directory; its trainer saves first."""
    from core.errors import Unavailable
    from core.instance import InstanceLock

    lock = ctx.obj.paths.lock
    holder = InstanceLock.holder(lock)
    if holder is None:
        ctx.obj.tell({"stopped": False}, f"No realm runs in {ctx.obj.paths.base}.")
        return
    os.kill(int(holder["pid"]), signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while InstanceLock.holder(lock) is not None:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"The realm (pid {holder['pid']}) is still saving after {timeout:g} s.",
                hint="Wait on, or look into logs/realm.jsonl.",
            )
        time.sleep(0.1)
    ctx.obj.tell({"stopped": True, "pid": holder["pid"]}, f"The realm (pid {holder['pid']}) has ended.")


def _add_rooms() -> None:
    from arena.control_cli import add_control_verbs
    from arena.quest_cli import quest_app
    from arena.train_cli import train
    from arena.validate_cli import validate
    from core.config_cli import config_app
    from core.events_cli import events
    from vault.cli import ledger_app
    from watchtower.status_cli import status

    app.command()(status)
    add_control_verbs(app)
    app.add_typer(quest_app(), name="quest")
    app.command()(validate)
    app.command()(train)
    app.add_typer(ledger_app(), name="ledger")
    app.add_typer(config_app(), name="config")
    app.command()(events)


# --- the control process -----------------------------------------------------------------------------------------


async def reign(paths: RealmPaths, settings: Settings, overrides: Mapping[str, Any]) -> RealmError | None:
    """Run the control process until it is told to end: daemon loops and the sites on 8888, 8767 and 8081.

    Raises `Conflict` when another one holds the base directory or a port; returns the error of a failed part.
    """
    from core.instance import InstanceLock
    from core.logs import configure_logging

    paths.create()
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": "realm up", "version": __version__, "base_dir": str(paths.base)})
    try:
        configure_logging(paths.logs, "realm", max_bytes_total=settings.budgets.log_megabytes << 20, console=False)
        return await _reign_locked(paths, settings, overrides)
    finally:
        lock.release()


async def _reign_locked(paths: RealmPaths, settings: Settings, overrides: Mapping[str, Any]) -> RealmError | None:
    import asyncio

    from core.db import Database
    from core.ending import Ending
    from core.errors import RealmError
    from core.http_events import EventHub
    from core.saga import MIGRATIONS, Saga
    from core.scribe import Scribe
    from core.services import remove_services
    from core.tasks import StagedStop, TaskCrew

    ending = Ending()
    ending.listen()
    # One that was left over would end this realm at once.
    paths.stop_file.unlink(missing_ok=True)
    db = Database(paths.saga_db, MIGRATIONS)
    saga = Saga(db, settings.budgets)
    hub = EventHub(saga)
    scribe = Scribe()
    daemon = _make_daemon(paths, settings, overrides, saga, scribe, hub)
    sites = _make_sites(daemon, hub, settings)
    crew = TaskCrew()
    stop = StagedStop(
        [
            ("trainer", lambda: daemon.stop(ending.reason), 700.0),
            ("loops", lambda: crew.stop(10.0), 15.0),
            ("sites", lambda: asyncio.gather(*(site.stop() for site in sites)), 10.0),
            ("scribe", scribe.close, 10.0),
            ("address book", lambda: asyncio.to_thread(remove_services, paths), 5.0),
            ("saga", lambda: asyncio.to_thread(db.close), 10.0),
        ]
    )
    try:
        await _open_sites(sites, paths)
        await daemon.start(crew)
        _tell_events(saga)
        saga.append("realm_up", f"The realm is up on {sites[0].url}", now=_utc_now())
        await ending.wait(paths.stop_file, crew)
        saga.append("realm_down", f"The realm ends: {ending.reason}", now=_utc_now())
    finally:
        await stop.run()
    return RealmError(f"The realm ended itself: {ending.reason}") if crew.failed.is_set() else None


def _make_daemon(
    paths: RealmPaths, settings: Settings, overrides: Mapping[str, Any], saga: Saga, scribe: Scribe, hub: EventHub
) -> Daemon:
    from arena.daemon import Daemon
    from arena.heroes import load_hero, resolve_base_model
    from core.checkpoint_ledger import CheckpointLedger
    from core.settings import load_settings

    hero = load_hero(paths, settings.hero)
    return Daemon(
        paths=paths,
        settings=settings,
        hero=hero,
        base_model=resolve_base_model(hero, settings, paths),
        saga=saga,
        ledger=CheckpointLedger.of(paths),
        scribe=scribe,
        read_settings=lambda: load_settings(paths.config_file, overrides=overrides),
        on_progress=hub.publish_progress,
        version=__version__,
    )


def _make_sites(daemon: Daemon, hub: EventHub, settings: Settings) -> list[Site]:
    from arena.routes import training_routes
    from core.http import Site, make_app
    from tavern.routes import tavern_routes
    from vault.routes import ledger_routes
    from watchtower.routes import watchtower_routes
    from watchtower.scrying_pool import ScryingPool

    services = settings.services
    routes = {
        "tavern": tavern_routes(daemon.snapshot, hub, daemon),
        "vault": [*ledger_routes(daemon.ledger), *training_routes(daemon)],
        "watchtower": watchtower_routes(ScryingPool(daemon.paths)),
    }
    ports = {"tavern": services.tavern, "vault": services.vault, "watchtower": services.watchtower}
    sites: list[Site] = []
    for name, own_routes in routes.items():
        site_app = make_app(
            own_routes,
            service={"vault": "vault_keeper"}.get(name, name),
            health=lambda: {"version": __version__, "state": daemon.report.state},
            own_ports=lambda: [site.port for site in sites],
            closing=[hub.close] if name == "tavern" else [],
        )
        sites.append(Site(site_app, services.host, 0 if services.ports == "auto" else ports[name], name))
    return sites


async def _open_sites(sites: list[Site], paths: RealmPaths) -> None:
    from core.services import write_services

    for site in sites:
        await site.start()
    write_services(paths, {site.name: {"url": site.url, "port": site.port, "pid": os.getpid()} for site in sites})
    typer.echo(f"The realm is up. Tavern: {sites[0].url}   Inbox: {paths.inbox}   Ctrl-C saves and ends it.")


def _tell_events(saga: Saga) -> None:
    """Print what happens on the terminal that started the realm."""
    from core.events_cli import event_line

    saga.subscribe(lambda event: typer.echo(event_line(event)))


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _check_house() -> None:
    """Refuse to run when another package took one of our names, or data took the standard library's `queue`.

    `tavern`, `watchtower`, `guild` and `core` are names on PyPI; a `queue/__init__.py` hides the stdlib module.
    """
    for name in ("core", "arena", "guild", "vault", "watchtower", "tavern"):
        spec = find_spec(name)
        if spec is None or spec.origin is None or CHECKOUT not in Path(spec.origin).parents:
            where = spec.origin if spec else "nowhere"
            sys.exit(
                f"The package {name!r} was found at {where}, not below {CHECKOUT}. Run realm.py from its checkout."
            )
    spec = find_spec("queue")
    if spec is None or spec.origin is None or CHECKOUT / "queue" in Path(spec.origin).parents:
        sys.exit(f"{CHECKOUT / 'queue'} holds Python code and hides the standard library's queue. Remove it.")


_add_rooms()


def main() -> None:
    """Entry point of the `realm` command."""
    _check_house()
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
