"""The API of one skill as a process of its own: `realm skill serve bin --port 8090` (seed 003).

It holds no lock and writes nothing but a token where one is wanted: a realm may be up in the same base directory.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from core.ending import Ending
from core.http.access import Access
from core.http.site import Site, make_app
from core.http.tokens import ensure_token
from core.paths import RealmPaths
from core.setting_types import is_loopback
from core.settings_reading import load_settings
from core.version import realm_version
from guild.routes import skill_routes
from guild.skills.loader import BuiltinTrainer
from guild.skills.types import SkillConfig

logger = logging.getLogger(__name__)


async def serve(skill: SkillConfig, paths: RealmPaths, host: str | None = None, port: int | None = None) -> None:
    """Listen until SIGTERM, SIGINT or SIGHUP; the port is that of the skill's `api.url` where none is given.

    Raises `InvalidInput` for a skill that is not built in, and `Conflict` naming the holder of a port that is taken.
    """
    site = skill_site(skill, paths, host or "127.0.0.1", api_port(skill) if port is None else port)
    ending = Ending(lambda said: None)
    ending.listen()
    await site.start()
    try:
        logger.info("skill %s: %s", skill.id, site.url, extra={"event": "skill_open", "url": site.url})
        await ending.wait(None)
        logger.info("ending: %s", ending.reason, extra={"event": "skill_ending"})
    finally:
        await site.stop()


def skill_site(skill: SkillConfig, paths: RealmPaths, host: str, port: int) -> Site:
    """The site of a skill, not started; beyond loopback it wants the token of the base directory."""
    token = None if is_loopback(host) else ensure_token(paths.token_file)
    app = make_app(
        skill_routes(BuiltinTrainer(skill)),
        service=f"skill_{skill.id}",
        # `ok` is what clients of skills wait for (spec 1.17).
        health=lambda: {"status": "ok", "version": realm_version()},
        access=Access(token, load_settings(paths.config_file).services.allowed_hosts),
        own_ports=lambda: [site.port],
        version=realm_version(),
    )
    site = Site(app, host, port, f"skill {skill.id}")
    return site


def api_port(skill: SkillConfig) -> int:
    """The port that the skill's file names."""
    parts = urlsplit(skill.api_url)
    return parts.port or {"http": 80, "https": 443}[parts.scheme]
