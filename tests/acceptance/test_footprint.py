"""No torch outside the trainer, whatever is imported; `test_first_battle` looks at the living processes."""

from __future__ import annotations

import subprocess
import sys

from core.paths import CHECKOUT

HEAVY = ("torch", "transformers", "accelerate", "datasets")
SELDOM_NEEDED = ("ruamel.yaml", "alembic", "httpx", "psutil", "tokenizers", "jinja2", "rich")
"""What a start without anything to finish must not wait for."""


def test_importing_every_room_loads_no_torch() -> None:
    """Law 5: torch lives only in child processes."""
    script = (
        "import sys, realm, core, vault, guild, arena, watchtower, tavern\n"
        "import arena.daemon, arena.alone.one_off, arena.doorstep.intake\n"
        "import tavern.routes, watchtower.routes, vault.routes\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_start_loads_nothing_that_is_seldom_needed() -> None:
    """What writes settings came along with what finishes a change of heroes, although there was none to finish."""
    script = (
        "import sys, realm\n"
        "import arena.daemon, arena.start_check, arena.hall.standing, core.announcing, core.http.opening\n"
        "import tavern.routes, watchtower.routes, vault.routes\n"
        f"print([name for name in {SELDOM_NEEDED!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
