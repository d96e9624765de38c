"""What must not change once the hero has trained."""

from __future__ import annotations

import pytest

from arena.heroes import load_hero
from arena.journal import ClaimEntry, Genesis, History
from arena.locked_settings import check_locked
from core.errors import Conflict
from core.paths import CHECKOUT, RealmPaths
from core.settings import Hyperparams, Settings
from tests.arena.trainer.tiny_hero import settings

AT = "2026-11-21T09:30:00+00:00"
HERO = load_hero(RealmPaths(CHECKOUT), "seedling")


def history(*, hero: str = "seedling", base_model: str = "seedling", max_length: int | None = None) -> History:
    found = History()
    found.add(Genesis(seq=1, at=AT, hero=hero, base_model=base_model, weights=""))
    if max_length is not None:
        found.add(
            ClaimEntry(
                seq=2, at=AT, ordinal=1, quest_id="q", name="q.jsonl", content_hash="", schema_id="chat_sft_v1",
                rows=1, settings=settings(max_length=max_length),
            )
        )  # fmt: skip
    return found


def test_a_hero_that_never_trained_may_change_everything() -> None:
    check_locked(History(), HERO, Settings(hyperparams=Hyperparams(max_length=128)), "anything")


def test_the_same_settings_pass_and_a_base_directory_may_have_moved() -> None:
    check_locked(history(max_length=HERO.hyperparams.max_length), HERO, Settings(), "seedling")
    check_locked(history(base_model="/old/models/qwen"), HERO, Settings(), "/new/models/qwen")


@pytest.mark.parametrize(
    ("before", "now", "name"),
    [
        (history(hero="dio"), Settings(), "hero"),
        (history(base_model="/models/other"), Settings(), "model_name"),
        (history(max_length=1024), Settings(hyperparams=Hyperparams(max_length=512)), "hyperparams.max_length"),
    ],
)
def test_a_change_is_refused_by_name(before: History, now: Settings, name: str) -> None:
    with pytest.raises(Conflict, match=f"^{name} is") as refused:
        check_locked(before, HERO, now, "seedling")
    assert f"Set {name} back" in str(refused.value.hint)
    # Two verbs that lead out of it: to the hero that is wished for, or to a new model of this one.
    way_out = "`realm hero use seedling`" if name == "hero" else "`realm hero use seedling --fresh`"
    assert way_out in str(refused.value.hint)
