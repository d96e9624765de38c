"""Makes whatever a base directory lacks: its folders, and its settings with a hero."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from arena.heroes import Hero, load_hero
from core.files import DISK
from core.paths import CHECKOUT, RealmPaths
from core.settings_reading import load_settings

PLAYGROUND: Mapping[str, Any] = MappingProxyType(
    {
        # The game plays itself: the guild makes the quests.
        "auto_generate.enabled": True,
        # Small quests, so that it is examined often: a level that is known takes three examinations to be mastered, and
        # then two quests that were made before.
        "auto_generate.count": 512,
        # And the game repeats: measured by the clock, or taken from the machine, the order of sums differs.
        "trainer.micro_batch_tokens": 2048,
        # Two threads of so small a model are no faster than one, and wait for each other where a browser runs as well.
        "trainer.threads": 1,
        # Its rows are short and of nearly one length: side by side there is little to fill up.
        "trainer.packing": "never",
        # A quest a second is made and learned: what nobody looks at again must not fill a laptop.
        "save_minutes": 2.0,
        "budgets.completed_megabytes": 256,
        "budgets.token_cache_megabytes": 64,
    }
)
"""Settings that a playground begins with."""


def furnish(paths: RealmPaths, hero: str, settings: Mapping[str, Any] | None = None) -> Hero:
    """Make what is missing; returns the realm's hero, which is `hero` only where none was chosen before.

    `settings` by dotted names are those of a file that is made here; one that is there stays as it is.
    """
    paths.create()
    if not paths.config_file.exists():
        text = _with_hero((CHECKOUT / "configs" / "realm.yaml").read_text(encoding="utf-8"), hero)
        if settings:
            # ruamel.yaml takes a tenth of a second, and `realm init` does without.
            from core.shell.config_file import with_settings

            text = with_settings(text, settings)
        DISK.write_atomic(paths.config_file, text.encode(), durable=True)
    return load_hero(paths, load_settings(paths.config_file).hero)


def _with_hero(text: str, hero: str) -> str:
    lines = [f"hero: {hero}" if line.lstrip("# ").startswith("hero:") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"
