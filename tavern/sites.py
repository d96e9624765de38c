"""The sites of a realm: which routes answer on which port."""

from __future__ import annotations

import time
from collections.abc import Callable

from arena.academy.routes import curriculum_routes, curriculum_wishes, guild_routes
from arena.armory.routes import armory_routes
from arena.daemon import Daemon
from arena.deeds.routes import deed_routes
from arena.hall.routes import checkpoint_desk_routes
from arena.ravens.routes import raven_routes
from arena.reading_room.routes import quest_routes
from arena.routes import health_endpoint, training_routes
from arena.rowbook.desk import RowDesk
from arena.rowbook.routes import rowbook_routes
from arena.telling.data_health import DataHealth
from arena.telling.routes import telling_routes
from core.http.access import Access
from core.http.events import EventHub
from core.http.metrics import Meters
from core.http.site import Routes, Site, make_app
from core.http.standard import health_fields
from core.http.tokens import ensure_token
from core.settings import Settings
from core.version import realm_version
from tavern.pages import SHELL
from tavern.routes import LOGIN, tavern_routes
from vault.front_routes import vault_routes
from vault.keeper import VaultKeeper
from vault.page_routes import vault_page_routes
from vault.routes import treasury_routes
from vault.shelf import Shelf
from watchtower.routes import lineage_endpoint, watchtower_routes
from watchtower.scrying_pool import ScryingPool
from watchtower.storage_routes import storage_routes


def make_sites(
    daemon: Daemon,
    keeper: VaultKeeper,
    hub: EventHub,
    settings: Settings,
    overdue: Callable[[float], list[str]] = lambda now: [],
) -> list[Site]:
    """The applications of all ports; they are unhealthy while loops are `overdue` (`TaskCrew.overdue`)."""
    services = settings.services
    token = None if services.is_local else ensure_token(daemon.paths.token_file)
    access = Access(token, services.allowed_hosts)
    # The arena's numbers stand beside its routes, and so do those of the process that it runs in.
    readings = {"tavern": hub.readings(), "vault": daemon.readings()}
    sites: list[Site] = []
    routes: dict[str, Routes] = {
        "tavern": [
            *tavern_routes(daemon.crier.snapshot, hub, daemon.reception.desk, lambda: sites),
            *_rooms_for_the_page(daemon, keeper),
        ],
        "vault": [
            *vault_routes(daemon.paths, keeper, daemon.ledger, settings.vault.roots),
            *treasury_routes(daemon.treasury),
            *training_routes(daemon.reception.desk),
            *curriculum_wishes(daemon.school),
        ],
        "watchtower": [
            *watchtower_routes(ScryingPool(daemon.paths), daemon.paths.data_lineage),
            *storage_routes(daemon.paths.storage_status),
            *curriculum_routes(daemon.school),
        ],
    }
    ports = {"tavern": services.tavern, "vault": services.vault, "watchtower": services.watchtower}
    for name, own_routes in routes.items():
        site_app = make_app(
            own_routes,
            service={"vault": "vault_keeper"}.get(name, name),
            health=lambda: health_fields(realm_version(), daemon.report.state, overdue(time.monotonic())),
            access=access,
            login=LOGIN if name == "tavern" else None,
            own_ports=lambda: [site.port for site in sites],
            closing=[hub.close, daemon.reception.reading_room.close] if name == "tavern" else [],
            meters=Meters(readings.get(name, []), version=realm_version(), with_process=name == "vault"),
            docs_port=lambda: sites[0].port,
            missing_page=SHELL if name == "tavern" else None,
            version=realm_version(),
        )
        sites.append(Site(site_app, services.host, 0 if services.ports == "auto" else ports[name], name))
    return sites


def _rooms_for_the_page(daemon: Daemon, keeper: VaultKeeper) -> Routes:
    """What the page asks beside its snapshot: the browser may talk to the tavern's port only."""
    shelf = Shelf(keeper, daemon.ledger, daemon.treasury, daemon.reception.base_model_card)
    return [
        *curriculum_routes(daemon.school),
        *curriculum_wishes(daemon.school),
        *quest_routes(daemon.reception.reading_room, daemon.reception.desk),
        *telling_routes(daemon.reception.charts, daemon.reception.tales, daemon.outlook.now),
        *armory_routes(daemon.reception.armory),
        *raven_routes(daemon.reception.post),
        *vault_page_routes(daemon.paths, keeper, daemon.ledger, daemon.treasury, shelf),
        *checkpoint_desk_routes(daemon.reception.checkpoint_desk),
        *guild_routes(daemon.reception.guild_desk),
        *deed_routes(daemon.reception.deed_wall),
        *rowbook_routes(RowDesk(daemon.board, daemon.reception.ask_scribe)),
        health_endpoint(DataHealth(daemon.paths).view),
        lineage_endpoint(daemon.paths.data_lineage),
        *storage_routes(daemon.paths.storage_status),
    ]
