"""The realm: the `Realm` facade, the `realm` command, and the only place that composes rooms into processes."""

from __future__ import annotations

import sys

if __name__ == "__main__" or sys.argv[0].endswith("/realm"):
    # Run as a command, not imported as a module: before anything else is loaded.
    try:
        from core.house import enter
    except ImportError:
        sys.exit(f"Another package 'core' hides the one beside {__file__}: unset PYTHONPATH.")
    enter(sys.argv[1:])

import faulthandler
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from core.cli import Choices, run, tell_version
from core.house import verb_of
from core.paths import RealmPaths, resolve_base_dir
from core.version import realm_version

if TYPE_CHECKING:
    from arena.command.battle_control import BattleControl
    from arena.daemon import Daemon
    from arena.hall.vault_room import Vault
    from arena.quest_board import QuestBoard
    from arena.start_check import Setup
    from core.ending import Ending
    from core.http.events import EventHub
    from core.saga import Saga
    from core.scribe import Scribe
    from core.settings import Settings
    from core.shell.terminal import Terminal
    from core.systemd.sd_notify import Notifier
    from vault.keeper import VaultKeeper
    from vault.retention import Pin
    from watchtower.scrying_pool import ScryingPool

STOP_SECONDS = {"trainer": 700.0, "loops": 15.0, "sites": 10.0, "scribe": 10.0, "address book": 5.0, "saga": 10.0}
"""The stages of the end in their order, and what each may take; `core.ending.LONGEST_STOP_SECONDS` covers them all."""

Ports = Literal["fixed", "auto"]
"""What `services.ports` may be."""


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
        from arena.command.battle_control import BattleControl

        return BattleControl(self._paths.control)


class Watchtower:
    """Where the realm is watched: `pool.gaze()`."""

    def __init__(self, paths: RealmPaths) -> None:
        self._paths = paths

    @cached_property
    def pool(self) -> ScryingPool:
        from watchtower.scrying_pool import ScryingPool

        return ScryingPool(self._paths)


class Realm:
    """One realm, seen from Python (seed 003, `Realm(base_dir)`); rooms are opened when they are first used."""

    def __init__(self, base_dir: str | Path | None = None) -> None:
        self.paths = RealmPaths(resolve_base_dir(base_dir))
        self.arena = Arena(self.paths)
        self.watchtower = Watchtower(self.paths)

    @cached_property
    def vault(self) -> Vault:
        from arena.hall.vault_room import Vault

        return Vault(self.paths)

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


def open_tavern(port: int = 8888, base_dir: str | Path | None = None) -> str:
    """The address of the realm's Tavern, shown in the browser where there is a screen (seed 003).

    When no realm runs in `base_dir`, one is started in the background with its Tavern on `port`; else the running
    one's address counts, whatever `port` says. Raises `RealmError` when it does not come up.
    """
    from core.services import service_url
    from core.shell.background import start_realm
    from core.shell.browser import show_page

    paths = RealmPaths(resolve_base_dir(base_dir))
    url = service_url(paths, "tavern")
    if url is None:
        found = start_realm(paths, wait_seconds=60.0, env={**os.environ, "REALM_SERVICES__TAVERN": str(port)})
        url = str(found["services"]["tavern"])
    show_page(url)
    return url


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
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=tell_version, help="Tell the version and exit.")
    ] = False,
) -> None:
    ctx.obj = Choices(paths=RealmPaths(resolve_base_dir(base_dir)), as_json=json)


@app.command()
def up(
    ctx: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="In the background; returns once it answers.")] = False,
    ports: Annotated[Ports | None, typer.Option(help="auto takes any free ports.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print what happens in the realm.")] = False,
    wait: Annotated[float, typer.Option(min=0.0, help="With -d: seconds until it must answer.")] = 60.0,
) -> None:
    """Start the realm; Ctrl-C saves and ends it."""
    from core.shell.background import how_it_goes_on, start_realm

    paths = ctx.obj.paths
    if not detach:
        _reign(paths, ports, quiet=quiet)
        return
    found = start_realm(paths, ports=ports, wait_seconds=wait)
    ctx.obj.tell(found, how_it_goes_on(paths, found))


@app.command()
def play(
    ctx: typer.Context,
    ports: Annotated[Ports, typer.Option(help="auto takes any free ports.")] = "auto",
) -> None:
    """Try it out: in playground/ the guild makes quests for the seedling by itself; Ctrl-C saves and ends it."""
    from arena.furnishing import PLAYGROUND, furnish

    paths = RealmPaths(ctx.obj.paths.base / "playground")
    furnish(paths, "seedling", PLAYGROUND)
    _reign(paths, ports, quiet=False)


def _reign(paths: RealmPaths, ports: str | None, *, quiet: bool) -> None:
    import asyncio
    import gc

    # What a start loads stays: it is not looked through for garbage, neither now nor later (`_reign_locked`).
    gc.disable()
    from core.http.loading import load_aiohttp

    load_aiohttp()
    from core.shell.terminal import Terminal
    from core.systemd.sd_notify import Notifier

    # Before there is any child that could inherit the variables.
    notifier = Notifier.from_environment()
    terminal = Terminal()
    overrides = {"services": {"ports": ports}} if ports else {}
    try:
        asyncio.run(reign(paths, overrides, notifier, terminal, quiet=quiet))
    finally:
        gc.enable()
        # asyncio leaves Python's own handler behind, which raises; the realm has ended already.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        terminal.close()


def _add_rooms() -> None:
    from arena.verbs.adopt import adopt
    from arena.verbs.control import add_control_verbs
    from arena.verbs.curriculum import curriculum_app
    from arena.verbs.discriminate import discriminate
    from arena.verbs.export import export
    from arena.verbs.hero import hero_app
    from arena.verbs.init import init
    from arena.verbs.inspect_verb import inspect
    from arena.verbs.prove_resume import prove_resume
    from arena.verbs.quest import quest_app
    from arena.verbs.rewind import rewind
    from arena.verbs.train import train
    from arena.verbs.validate import validate
    from core.verbs.config import config_app
    from core.verbs.down import down
    from core.verbs.events import events
    from core.verbs.install_service import install_service
    from core.verbs.logs import logs
    from guild.skill_cli import skill_app
    from tavern.serve_cli import tavern
    from vault.chronicle_cli import add_chronicle_verbs
    from vault.cli import ledger_app
    from vault.join_cli import join
    from vault.serve_cli import serve_app
    from vault.treasury_cli import vault_app
    from watchtower.doctor_cli import doctor
    from watchtower.status_cli import status

    for verb in (init, down, status, doctor):
        app.command()(verb)
    add_control_verbs(app)
    app.add_typer(quest_app(), name="quest")
    for file_verb in (validate, inspect, train, export):
        app.command()(file_verb)
    ledger = ledger_app()
    # The journal is the arena's, and the vault does not know the arena.
    ledger.command("adopt")(adopt)
    add_chronicle_verbs(ledger, lambda paths: Realm(paths.base).vault.chronicle)
    app.add_typer(ledger, name="ledger")
    app.add_typer(vault_app(_pins_of, _standing_still), name="vault")
    for history_verb in (rewind, prove_resume):
        app.command()(history_verb)
    serve = serve_app()
    # The pages are the tavern's, and the vault does not know the tavern.
    serve.command("tavern")(tavern)
    app.add_typer(serve, name="serve")
    app.add_typer(hero_app(), name="hero")
    skill = skill_app()
    # Inbox and quest board are the arena's, and the guild does not know the arena.
    skill.command("discriminate")(discriminate)
    app.add_typer(skill, name="skill")
    app.add_typer(curriculum_app(), name="curriculum")
    app.add_typer(config_app(_check_all), name="config")
    for other_verb in (events, logs, join, install_service):
        app.command()(other_verb)


def _pins_of(paths: RealmPaths) -> Mapping[Path, Pin]:
    from arena.hall.vault_room import pins_of

    return pins_of(paths)


def _standing_still(paths: RealmPaths, doing: str) -> AbstractContextManager[None]:
    from arena.hall.standing import standing_still

    return standing_still(paths, doing)


def _check_all(paths: RealmPaths, overrides: Mapping[str, Any], config_file: Path) -> object:
    from arena.start_check import read_setup

    return read_setup(paths, overrides, config_file=config_file)


# --- the control process -----------------------------------------------------------------------------------------


async def reign(
    paths: RealmPaths, overrides: Mapping[str, Any], notifier: Notifier, terminal: Terminal, *, quiet: bool
) -> None:
    """Run the control process until it is told to end: daemon loops and the sites on 8888, 8767 and 8081.

    Raises `Conflict` when another one holds the base directory or a port, and `InvalidInput` naming everything that
    is wrong with the settings; nothing has been started then.
    """
    from arena.disk.headroom import make_way
    from arena.hall.standing import finish_what_was_begun
    from arena.start_check import read_setup
    from core.instance import REALM_UP, InstanceLock
    from core.logs import configure_logging

    paths.create()
    lock = InstanceLock(paths.lock)
    lock.acquire({"what": REALM_UP, "version": realm_version(), "base_dir": str(paths.base)})
    try:
        make_way(paths.current_model)
        finish_what_was_begun(paths)
        setup = read_setup(paths, overrides)
        configure_logging(paths.logs, "realm", max_bytes_total=setup.settings.budgets.log_megabytes << 20)
        # Whoever ends a hung process with SIGABRT, as systemd's watchdog does, gets to see where it hung.
        faulthandler.enable()
        await _reign_locked(paths, setup, overrides, notifier, terminal, quiet=quiet)
    finally:
        notifier.close()
        lock.release()


async def _reign_locked(
    paths: RealmPaths,
    setup: Setup,
    overrides: Mapping[str, Any],
    notifier: Notifier,
    terminal: Terminal,
    *,
    quiet: bool,
) -> None:
    import asyncio
    import gc

    from core.announcing import announce, tell_of_cut_off
    from core.http.events import EventHub
    from core.http.opening import open_sites
    from core.saga import News, open_saga
    from core.scribe import Scribe
    from core.services import remove_services
    from core.systemd.herald import Herald
    from core.tasks import StagedStop, TaskCrew
    from tavern.sites import make_sites

    ending = _listen(paths, terminal)
    opened = ExitStack()
    saga = opened.enter_context(open_saga(paths, setup.settings.budgets))
    tell_of_cut_off(paths, saga, now=datetime.now(UTC))
    hub, scribe = EventHub(saga), Scribe()
    daemon = make_daemon(paths, setup, overrides, saga, scribe, hub)
    keeper = opened.enter_context(open_keeper(daemon, scribe, setup.settings))
    vault_loops = loops_of_vault(daemon, keeper, saga)
    crew = TaskCrew()
    sites = make_sites(daemon, keeper, hub, setup.settings, crew.overdue)
    herald = Herald(notifier, headline=lambda: daemon.report.headline, overdue=crew.overdue)
    works: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: daemon.stop(ending.reason),
        lambda: crew.stop(10.0),
        lambda: asyncio.gather(*(site.stop() for site in sites)),
        scribe.close,
        lambda: asyncio.to_thread(remove_services, paths),
        lambda: asyncio.to_thread(opened.close),
    )
    stop = StagedStop(list(zip(STOP_SECONDS, works, STOP_SECONDS.values(), strict=True)))
    try:
        if notifier.listening:
            crew.start("herald", herald.run)
        await daemon.bring_in_order()
        await open_sites(sites)
        await daemon.start(crew)
        for name, loop in vault_loops.items():
            crew.start(name, loop)
        announce(paths, sites, saga, terminal, crew, quiet=quiet, now=datetime.now(UTC))
        herald.ready()
        gc.freeze()
        gc.enable()
        await ending.wait(paths.stop_file)
        herald.stopping(ending.reason)
        saga.tell([News("realm_down", f"The realm ends: {ending.reason}")], now=datetime.now(UTC))
    finally:
        keeper.ending.set()  # while the trainer still saves, nothing is carried any more
        await stop.run()


def _listen(paths: RealmPaths, terminal: Terminal) -> Ending:
    from core.ending import Ending

    ending = Ending(terminal.say)
    ending.listen()
    # One that was left over would end this realm at once.
    paths.stop_file.unlink(missing_ok=True)
    return ending


def make_daemon(
    paths: RealmPaths, setup: Setup, overrides: Mapping[str, Any], saga: Saga, scribe: Scribe, hub: EventHub
) -> Daemon:
    from arena.daemon import Daemon
    from arena.start_check import read_setup
    from core.checkpoint_ledger import CheckpointLedger

    return Daemon(
        paths=paths,
        settings=setup.settings,
        hero=setup.hero,
        base_model=setup.base_model,
        saga=saga,
        ledger=CheckpointLedger.of(paths),
        scribe=scribe,
        read_settings=lambda: read_setup(paths, overrides).settings,
        overrides=overrides,
        on_progress=hub.publish_progress,
        version=realm_version(),
    )


@contextmanager
def open_keeper(daemon: Daemon, scribe: Scribe, settings: Settings) -> Iterator[VaultKeeper]:
    """The keeper of the daemon's vault, told of whatever comes and goes there until the end of the block.

    To be called in the event loop. A catalog that cannot be opened is no reason not to train: the rounds try again.
    """
    from vault.catalog.catalog import Catalog
    from vault.keeper import VaultKeeper

    paths = daemon.paths
    with Catalog.opened_in_time(paths.catalog_db, paths.base) as catalog:
        roots = [Path(root) for root in settings.vault.roots]
        keeper = VaultKeeper(paths.base, catalog=catalog, ledger=daemon.ledger, heavy=scribe.caller(), roots=roots)
        daemon.ledger.on_change = keeper.note_checkpoints
        daemon.treasury.on_gone = keeper.note_gone
        daemon.treasury.last_copies.whole.heavy = keeper.heavy
        yield keeper


def loops_of_vault(daemon: Daemon, keeper: VaultKeeper, saga: Saga) -> dict[str, Callable[[], Awaitable[object]]]:
    """What keeps the catalog, the zones and the storage status true, by the names of their tasks."""
    from vault.rounds import CatalogRounds, news_of
    from vault.storage_watch import StorageWatch
    from vault.zone_witnesses import ZoneWitnesses
    from vault.zones import Zones

    keeper.on_carried = lambda moved: saga.tell([news_of(moved)], now=datetime.now(UTC))
    zones = Zones.of(keeper.paths)
    daemon.treasury.last_copies.others = ZoneWitnesses(keeper.paths, zones)
    rounds = CatalogRounds(keeper, zones, lambda news, now: saga.tell(news, now=now))

    def tidy(stronghold: str, now: datetime) -> None:
        # Loaded on use, which is after the first page.
        from vault.archivist import Archivist

        Archivist(keeper, heavy=keeper.heavy).tidy(stronghold, now)

    storage = StorageWatch(keeper.paths, daemon.treasury.settings, tidy)
    return {"catalog": rounds.run, "zones": rounds.run_zones, "storage": storage.run}


# Who waits for the first page needs no other verb.
if not (__name__ == "__main__" or sys.argv[0].endswith("/realm")) or verb_of(sys.argv[1:]) != "up":
    _add_rooms()


def main() -> None:
    """Entry point of the `realm` command."""
    from core.house import leave

    leave(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
