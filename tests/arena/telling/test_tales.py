"""The battle log: every event has a category and a sign, and is found by words, category and page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from arena.telling.tales import CATEGORIES, TaleTeller, category_of, icon_of, tale_of
from core.paths import CHECKOUT
from core.saga import Event, News, Saga
from tests.arena.quest_makers import NOW

CALLS = re.compile(
    r"""(?:News|Trouble|Blockade|tell|append|_tell|_said)\((?:\w+, |what=)?f?["']([a-z]+(?:_[a-z]+)*)["']"""
)


def told_kinds() -> set[str]:
    """Kinds of events that the code names."""
    found: set[str] = set()
    for room in ("arena", "core", "vault"):
        for file in (CHECKOUT / room).rglob("*.py"):
            found |= set(CALLS.findall(file.read_text(encoding="utf-8")))
    return found


def test_every_kind_has_a_category_and_a_sign() -> None:
    """F18: placeholders were shown literally."""
    kinds = told_kinds()
    assert {"quest_sealed", "trainer_died", "checkpoint_saved", "paused"} <= kinds
    for kind in kinds:
        assert category_of(kind) in CATEGORIES
        assert not icon_of(kind).isascii()


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        ("quest_started", "battle"), ("quest_learned", "battle"), ("quest_accepted", "quests"),
        ("quest_rejected", "trouble"), ("inbox_blocked", "trouble"), ("inbox_goes_on", "quests"),
        ("level_mastered", "guild"), ("checkpoint_saved", "vault"), ("checkpoint_rotten", "trouble"),
        ("disk_ok", "vault"), ("disk_full", "trouble"), ("spike", "trouble"), ("hero_level_up", "battle"),
        ("realm_up", "realm"), ("something_new", "realm"),
    ],
)  # fmt: skip
def test_the_category_follows_from_the_kind(kind: str, category: str) -> None:
    assert category_of(kind) == category


def test_a_tale_has_the_fields_of_the_specification() -> None:
    """Spec 4.1, `/saga`; time and date are those of this machine."""
    tale = tale_of(Event(7, "2026-11-21T09:30:05+00:00", "quest_sealed", "x is sealed", {"quest_id": "q"}))
    assert {"time", "date", "icon", "message", "type", "category", "display", "data"} <= set(tale)
    assert tale["display"] == f"{tale['time']} 🔒 x is sealed"
    assert (tale["id"], tale["type"], tale["data"]) == (7, "quest_sealed", {"quest_id": "q"})


async def test_pages_filters_and_counts(saga: Saga) -> None:
    news = [News("disk_full" if number % 5 == 0 else "quest_sealed", f"tale {number}") for number in range(50)]
    saga.append_all(news, now=NOW)
    teller = TaleTeller(saga)
    first = await teller.tales(limit=20, before=None, category=None, words="")
    second = await teller.tales(limit=40, before=first["next_before"], category=None, words="")
    assert [tale["id"] for tale in first["tales"] + second["tales"]] == list(range(50, 0, -1))
    assert (first["count"], first["next_before"], second["next_before"]) == (20, 31, None)
    troubles = await teller.tales(limit=100, before=None, category="trouble", words="TALE 4")
    assert [tale["message"] for tale in troubles["tales"]] == ["tale 45", "tale 40"]
    assert (await teller.tales(limit=9, before=None, category="guild", words=""))["tales"] == []
    stats = await teller.stats()
    assert (stats["total"], stats["newest_id"]) == (50, 50)
    assert (stats["by_category"]["trouble"], stats["by_category"]["quests"]) == (10, 40)
    assert sum(stats["by_category"].values()) == 50


@pytest.mark.parametrize("name", ["arena/telling/tales.py"])
def test_icons_are_no_halves_of_one(name: str) -> None:
    """A sign that ends in a selector for colours must have it, or phones draw it in black and white."""
    text = (Path(CHECKOUT) / name).read_text(encoding="utf-8")
    for sign in ("⚔", "⚠", "⏸", "▶", "⏭"):
        assert len(re.findall(sign, text)) == len(re.findall(sign + "\ufe0f", text))
