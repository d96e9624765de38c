"""No torch outside the trainer, whatever is imported; `test_first_battle` looks at the living processes."""

from __future__ import annotations

import subprocess
import sys

from core.paths import CHECKOUT

HEAVY = ("torch", "transformers", "accelerate", "datasets")


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
