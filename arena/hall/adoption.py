"""Adopting a checkpoint for the hero who trains: only one that is built like him can take his place."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

from arena.annals.adopting import Adopted, adopt
from arena.hall.errands import appraise_model
from arena.hall.model_look import differences, differences_from_recipe, look_at_model
from arena.hall.open_quests import clear_open_quests
from arena.heroes import SEEDLING, Hero, load_hero, model_folder, resolve_base_model
from arena.journal import JOURNAL_NAME, read_history
from arena.locked_settings import check_locked
from core.errors import Conflict
from core.paths import RealmPaths
from core.settings_reading import load_settings
from vault.adoption import check_source
from vault.checkpoints import CheckpointStore


def adopt_for_hero(paths: RealmPaths, folder: Path, *, step: int | None, requeue: bool, now: datetime) -> Adopted:
    """Check, copy and make it the present checkpoint.

    The caller holds the locks. Raises `Conflict` for a model of another architecture or vocabulary than the hero's.
    """
    settings = load_settings(paths.config_file)
    hero = load_hero(paths, settings.hero)
    base_model = resolve_base_model(hero, settings, paths)
    check_locked(read_history(paths.current_model / JOURNAL_NAME), hero, settings, base_model)
    if hero.lora is not None:
        raise Conflict(
            f"{hero.title} trains a LoRA adapter beside {base_model}: no other model can take its place.",
            hint=f"`realm hero summon ID --from {folder}` makes a hero of its own of a model.",
        )
    source = check_source(folder, CheckpointStore(paths.current_model))
    if problems := _differences(paths, hero, base_model, source):
        raise Conflict(
            f"{source} cannot go on as {hero.title}: {'; '.join(problems)}.",
            hint=f"`realm hero summon ID --from {source}` makes a hero of its own of it.",
        )
    if not requeue:
        # Refused now, and not after a large model was copied.
        clear_open_quests(paths, requeue=False, now=now)
    return adopt(
        paths, source, hero=hero.id, base_model=base_model, step=step, appraise=partial(appraise_model, paths),
        clear=partial(clear_open_quests, paths, requeue=requeue, now=now), now=now,
    )  # fmt: skip


def _differences(paths: RealmPaths, hero: Hero, base_model: str, source: Path) -> list[str]:
    """Compared with the present checkpoint, else the base model or its recipe; with nothing where that is not here."""
    model = look_at_model(source)
    present = CheckpointStore(paths.current_model).resolve("latest")
    if present is not None:
        return differences(model, look_at_model(present.path))
    if base_model == SEEDLING:
        return differences_from_recipe(model, hero.recipe or {})
    base = model_folder(base_model, paths.models)
    return differences(model, look_at_model(base)) if base.is_dir() else []
