"""What the pages of guild and skill ask, of a real curriculum; each answer has the shape that its model tells (F11)."""

from __future__ import annotations

from typing import Any

import pytest

from arena.academy.answers import Evaluations, Outlook, SkillCards, SkillData, StaticProblems
from arena.academy.guild_desk import GuildDesk
from core.errors import NotFound
from guild.dojo.binary import BinarySource
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import problem_key
from tests.arena.academy.conftest import Founder
from tests.arena.academy.pupil import Class

QUICK = {"min_evals_for_progression": 1}


def desk_of(pupil: Class) -> GuildDesk:
    return GuildDesk(pupil.paths, pupil.school, pupil.board)


def card_of(cards: dict[str, Any], skill: str) -> dict[str, Any]:
    return next(card for card in cards["skills"] if card["id"] == skill)


async def test_skills_are_an_object_with_a_list_before_and_after_the_first_start(found_class: Founder) -> None:
    """F11: the page once expected a bare list. Nothing is made up of a hero who was never examined (E17)."""
    pupil = found_class(curriculum=QUICK)
    desk = desk_of(pupil)
    before = await desk.cards()
    SkillCards.model_validate(before)
    assert [card["id"] for card in before["skills"]] == ["bin", "sy"]
    assert before["total_mastered"] == 0
    assert (card_of(before, "bin")["accuracy"], card_of(before, "bin")["threshold"]) == (None, 0.8)
    await pupil.live_on(4)
    after = await desk.cards()
    SkillCards.model_validate(after)
    assert (after["total_mastered"], after["active_skill"]) == (2, "bin")
    assert card_of(after, "bin")["training_level"] == 3
    assert card_of(after, "sy")["weight"] is None


async def test_a_broken_skill_file_is_told_and_hides_no_other(found_class: Founder) -> None:
    pupil = found_class()
    folder = pupil.paths.configs / "skills"
    folder.mkdir(parents=True)
    (folder / "odd.yaml").write_text("id: odd\nname: [1\n")
    cards = await desk_of(pupil).cards()
    SkillCards.model_validate(cards)
    assert [each["file"] for each in cards["broken"]] == ["odd.yaml"]
    assert [card["id"] for card in cards["skills"]] == ["bin", "sy"]


async def test_the_ladder_says_what_is_mastered_learned_locked_and_forgotten(found_class: Founder) -> None:
    """E10: mastered and training are two things."""
    pupil = found_class(curriculum=QUICK)
    await pupil.live_on(3)
    await pupil.school.set_level("bin", 5)
    desk = desk_of(pupil)
    data = await desk.skill("binary")
    SkillData.model_validate(data)
    states = [rung["state"] for rung in data["levels"]]
    assert states == ["mastered"] * 5 + ["training"] + ["locked"] * 24
    first, fifth = data["levels"][0], data["levels"][4]
    assert (first["cause"], first["accuracy"], first["forgotten"]) == ("examined", 1.0, False)
    assert (fifth["cause"], fifth["accuracy"], fifth["forgotten"]) == ("set", None, False)
    assert first["about"] == {"bits": 2, "new": ["add"]}
    assert data["state"]["mastered_level"] == 5
    assert data["config"]["rpg_name"] == "Binary Alchemy"


async def test_a_mastered_level_that_falls_is_marked(found_class: Founder) -> None:
    pupil = found_class(curriculum=QUICK)
    await pupil.live_on(2)
    await pupil.live_on(2, knows=lambda level: level > 1)
    data = await desk_of(pupil).skill("bin")
    SkillData.model_validate(data)
    assert [part["level"] for part in data["again"]][:1] == [1]
    assert data["again"][-1]["accuracy"] == data["levels"][0]["accuracy"] == 0.0
    assert data["levels"][0]["forgotten"]
    assert not data["levels"][1]["forgotten"]


async def test_evaluations_come_in_pages_and_by_level(found_class: Founder) -> None:
    pupil = found_class(curriculum=QUICK)
    await pupil.live_on(4)
    desk = desk_of(pupil)
    whole = await desk.evals("bin", None, limit=100, offset=0)
    Evaluations.model_validate(whole)
    paged = [await desk.evals("bin", None, limit=2, offset=offset) for offset in (0, 2)]
    assert [row for page in paged for row in page["evaluations"]] == whole["evaluations"][:4]
    first = await desk.evals("bin", 1, limit=100, offset=0)
    assert {row["level"] for row in first["evaluations"]} == {1}
    with pytest.raises(NotFound, match="no skill"):
        await desk.evals("chess", None, limit=10, offset=0)


async def test_static_problems_are_held_out_and_asked_in_every_examination(found_class: Founder) -> None:
    """E18: what is shown is what is asked, and none of it is ever taught."""
    pupil = found_class()
    desk = desk_of(pupil)
    told = await desk.static_problems("bin", 1)
    StaticProblems.model_validate(told)
    assert all(is_held_out(problem_key("bin", problem["prompt"])) for problem in told["problems"])
    await pupil.live_on(1)
    asked = [each["prompt"] for each in pupil.records().answers(1) if each["purpose"] == "static"]
    assert asked == [problem["prompt"] for problem in told["problems"]]
    with pytest.raises(NotFound, match="no level 31"):
        await desk.static_problems("bin", BinarySource.max_level + 1)


async def test_the_outlook_says_what_the_school_waits_for(found_class: Founder) -> None:
    pupil = found_class(auto_generate={"enabled": True, "count": 40, "min_queue_depth": 1, "cooldown_sec": 0})
    desk = desk_of(pupil)

    async def state() -> str:
        told = await desk.outlook()
        Outlook.model_validate(told)
        return str(told["state"])

    assert await state() == "not_begun"
    await pupil.school.open()
    assert await state() == "making"
    await pupil.school.look_once()
    told = await desk.outlook()
    assert (told["on_their_way"][0]["number"], told["on_their_way"][0]["where"]) == (1, "inbox")
    assert told["state"] in ("enough", "examining")
    pupil.take_in()
    quest = pupil.claim()
    assert (await desk.outlook())["on_their_way"][0]["where"] == "learning"
    pupil.finish(quest, lambda level: True)
    await pupil.school.look_once()
    assert (await desk.outlook())["next"]["number"] == pupil.records().last_number() + 1
    off = found_class("off", auto_generate={"enabled": False})
    await off.school.open()
    assert (await desk_of(off).outlook())["state"] == "off"


async def test_a_school_that_is_switched_on_hears_of_it_without_any_news(found_class: Founder) -> None:
    """Once `auto_generate.enabled` was heeded with the next quest that somebody dropped only."""
    pupil = found_class(auto_generate={"enabled": False})
    await pupil.school.open()
    assert await pupil.school.look_once() < 60
