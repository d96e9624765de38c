"""No torch outside the trainer, whatever is imported; `test_first_battle` looks at the living processes."""

from __future__ import annotations

import subprocess
import sys

from core.paths import CHECKOUT

HEAVY = ("torch", "transformers", "accelerate", "datasets")
SELDOM_NEEDED = ("ruamel.yaml", "alembic", "httpx", "psutil", "tokenizers", "jinja2", "rich")
"""What a start without anything to finish must not wait for."""


def loaded_by(*imports: str, of: tuple[str, ...]) -> list[str]:
    """Which of these packages a fresh interpreter has after the imports."""
    script = "\n".join(["import sys", *imports, f"print(*[name for name in {of!r} if name in sys.modules])"])
    found = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_importing_every_room_loads_no_torch() -> None:
    """Law 5: torch lives only in child processes."""
    rooms = "import realm, core, vault, guild, arena, watchtower, tavern"
    parts = "import arena.daemon, arena.alone.one_off, arena.doorstep.intake"
    sites = "import tavern.routes, watchtower.routes, vault.routes"
    assert loaded_by(rooms, parts, sites, of=HEAVY) == []


def test_a_start_loads_nothing_that_is_seldom_needed() -> None:
    """What writes settings came along with what finishes a change of heroes, although there was none to finish."""
    control = "import realm, arena.daemon, arena.start_check, arena.hall.standing, core.announcing, core.http.opening"
    sites = "import tavern.routes, watchtower.routes, vault.routes"
    assert loaded_by(control, sites, of=SELDOM_NEEDED) == []
