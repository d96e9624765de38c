"""Makes whatever a base directory lacks: its folders, its settings with a hero, and sample quests to try it out."""

from __future__ import annotations

from arena.doorstep.quest_drop import drop_quest
from arena.heroes import Hero, load_hero
from arena.quest_board import QuestBoard
from core.files import DISK
from core.paths import CHECKOUT, RealmPaths
from core.settings_reading import load_settings


def furnish(paths: RealmPaths, hero: str) -> Hero:
    """Make what is missing; returns the realm's hero, which is `hero` only where none was chosen before."""
    paths.create()
    if not paths.config_file.exists():
        text = (CHECKOUT / "configs" / "realm.yaml").read_text(encoding="utf-8")
        DISK.write_atomic(paths.config_file, _with_hero(text, hero).encode(), durable=True)
    return load_hero(paths, load_settings(paths.config_file).hero)


def drop_samples(paths: RealmPaths) -> None:
    """Give an idle playground something to learn; quests that are still open are finished first."""
    counts = QuestBoard(paths).counts()
    if counts["total_queued"] or counts["processing"] or any(paths.inbox.rglob("*.jsonl")):
        return
    for sample in sorted((CHECKOUT / "examples" / "quests").glob("*.jsonl")):
        drop_quest(paths, sample)


def _with_hero(text: str, hero: str) -> str:
    lines = [f"hero: {hero}" if line.lstrip("# ").startswith("hero:") else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"
