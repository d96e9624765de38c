"""The school: which quest is made when, what becomes of examinations, and what a failure stops (nothing else)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from arena.academy.making import name_of
from arena.academy.register import CURRICULUM_FILE
from arena.academy.taking_back import take_back
from arena.lanes.undoing import LaneUndoing
from arena.protocol import Examined
from core.errors import InvalidInput, NotFound
from core.files import DISK
from core.paths import CHECKOUT
from core.scribe import ScribeBug
from core.settings import Settings
from guild.curriculum.planning import QuestPlan
from guild.records import GuildRecords, guild_quests
from tests.arena.academy.conftest import Founder
from tests.arena.academy.pupil import SETTINGS, Class, InlineScribe
from tests.guild.curriculum.test_planning import plan


def knows_all(level: int) -> bool:
    return True


# --- which quest when ---------------------------------------------------------------------------------------------


async def test_quests_wait_for_the_examination_that_they_are_made_from(found_class: Founder) -> None:
    """B20: how many wait is counted where they wait, so that the board is not filled for ever."""
    pupil = found_class()
    await pupil.school.open()
    await pupil.school.look_once()
    assert len(pupil.made()) == 2, "one more than the threshold"
    await pupil.school.look_once()
    assert len(pupil.made()) == 2, "what is still in the inbox counts"
    pupil.take_in()
    first = pupil.claim()
    await pupil.school.look_once()
    assert len(pupil.made()) == 3
    pupil.take_in()
    second_is_next = pupil.board.next_waiting()
    await pupil.school.look_once()
    assert len(pupil.made()) == 3, "three are on their way, and none is examined"
    pupil.finish(first, knows_all)
    await pupil.school.look_once()
    assert pupil.made() == ["train_BIN_level1_40"] * 3, "two wait"
    assert pupil.claim().quest_id == (second_is_next.quest_id if second_is_next else None)
    await pupil.school.look_once()
    assert len(pupil.made()) == 4


async def test_levels_rise_and_few_quests_of_the_old_level_are_left(found_class: Founder) -> None:
    """C20: after a level-up, quests of the old level kept training it; here there are two of them at most."""
    pupil = found_class(curriculum={"min_evals_for_progression": 1})
    await pupil.live_on(4)
    assert pupil.made()[:5] == [*["train_BIN_level1_40"] * 3, *["train_BIN_level2_40"] * 2]
    assert pupil.mastered() == 2
    state = json.loads(pupil.paths.curriculum_state.read_text())
    bin_state = state["skills"]["bin"]
    assert (bin_state["current_level"], bin_state["training_level"], bin_state["accuracy"]) == (2, 3, None)
    assert [each["training_level"] for each in bin_state["accuracy_history"]] == [1, 1, 1, 2]
    assert [each["new_mastered"] for each in bin_state["progression_history"]] == [1, 2]
    assert {"first_examination", "bin_level_1", "bin_flawless"} <= {each["name"] for each in state["achievements"]}
    ledger = json.loads(pupil.paths.evaluation_ledger.read_text())["evaluations"]
    assert {"level", "static", "again"} == {each["validation_type"] for each in ledger}
    assert len({(each["exam_id"], each["key"]) for each in ledger}) == len(ledger)


async def test_an_unlucky_pupil_stays_and_the_accuracy_is_the_measured_one(found_class: Founder) -> None:
    """E17: the accuracy of the page is that of the newest examination, and null before there is one."""
    pupil = found_class()
    await pupil.school.open()
    assert pupil.report.accuracy is None
    await pupil.live_on(2, knows=lambda level: False)
    assert pupil.mastered() == 0
    assert pupil.report.accuracy == 0.0
    view = await pupil.school.view()
    assert view["skills"]["bin"]["zone"] == "stretch"
    assert view["hero"]["accuracy"] == 0.0


async def test_the_sequence_is_a_function_of_the_seed_however_quests_come_and_go(found_class: Founder) -> None:
    """Law 3: a slow machine, on which much is looked at late, learns the same as a quick one."""
    quick, slow = (found_class(name, curriculum={"min_evals_for_progression": 1}) for name in ("quick", "slow"))
    other = found_class("other", curriculum={"seed": 43})
    await quick.live_on(5)
    await slow.school.open()
    for _ in range(5):
        await slow.school.look_once()
        slow.take_in()
        await slow.school.look_once()
        quest = slow.claim()
        await slow.school.look_once()
        slow.take_in()
        slow.finish(quest, knows_all)
    await slow.school.look_once()
    await other.live_on(1)
    common = quick.contents().keys() & slow.contents().keys()
    assert len(common) >= 5
    assert all(quick.contents()[number] == slow.contents()[number] for number in common)
    assert quick.contents()[1] != other.contents()[1]


async def test_what_people_drop_counts_as_waiting_and_nothing_is_made_while_it_is_switched_off(
    found_class: Founder,
) -> None:
    pupil = found_class(auto_generate={"enabled": False})
    await pupil.school.open()
    await pupil.school.look_once()
    assert pupil.made() == []
    assert pupil.school.copy() is None, "checkpoints of others stay as they were"
    assert not pupil.paths.curriculum_state.exists()


def test_no_two_quests_have_one_name_whatever_the_clock_says(found_class: Founder) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    first = name_of(plan(1), "", now)
    second = name_of(plan(2), first, now)
    third = name_of(plan(3), second, datetime(2025, 1, 1, tzinfo=UTC))
    assert first.startswith("train_BIN_level1_200_2026")
    assert first < second < third


# --- examinations -------------------------------------------------------------------------------------------------


async def test_an_examination_is_on_record_once_however_often_it_is_told(found_class: Founder) -> None:
    """E13, E16: a replayed quest is examined again; its answers are counted once, and the file is removed."""
    pupil = found_class()
    await pupil.school.open()
    await pupil.school.look_once()
    pupil.take_in()
    quest = pupil.claim()
    answers = pupil.answered(quest, knows_all)
    pupil.finish(quest, knows_all)
    await pupil.school.look_once()
    assert pupil.answers.all() == []
    pupil.answers.keep(answers)
    await pupil.school.look_once()
    assert pupil.answers.all() == []
    assert len(pupil.events("examined")) == 1
    found = await pupil.school.answers("bin-1")
    assert [each["verdict"] for each in found["answers"]] == ["right"] * 9
    assert found["parts"][0]["step"] == 5
    assert (await pupil.school.view())["skills"]["bin"]["total_evals"] == 1


async def test_what_was_not_answered_is_unknown_and_told_as_that(found_class: Founder) -> None:
    """E7: no answer is no wrong answer."""
    pupil = found_class()
    await pupil.school.open()
    await pupil.school.look_once()
    pupil.take_in()
    quest = pupil.claim()
    told = pupil.answered(quest, knows_all)
    pupil.finish(quest, knows_all, tell=False)
    silent = Examined(
        exam_id=told.exam_id, quest_id=told.quest_id, step=5, answers=[None] * len(told.answers), seconds=0.0
    )  # fmt: skip
    pupil.answers.keep(silent)
    await pupil.school.look_once()
    skill = (await pupil.school.view())["skills"]["bin"]
    assert (skill["accuracy"], skill["eval_count"], skill["total_evals"]) == (None, 0, 1)
    assert skill["accuracy_history"][0]["accuracy"] is None
    assert pupil.events("examined") == ["BIN is examined: level 1, 0 of 4 right, 4 not answered"]


async def test_answers_of_nobody_s_examination_are_dropped(found_class: Founder) -> None:
    pupil = found_class()
    pupil.answers.keep(Examined(exam_id="sy-7", quest_id="q", step=1, answers=["x"], seconds=0.0))
    await pupil.live_on(1)
    assert pupil.answers.all() == []
    with pytest.raises(NotFound, match="sy-7"):
        await pupil.school.answers("sy-7")


async def test_a_quest_that_goes_without_an_examination_holds_up_nobody(found_class: Founder) -> None:
    """E16: removed by hand, or never examined: the number is closed, and the next quests are made."""
    pupil = found_class(curriculum={"min_evals_for_progression": 1})
    await pupil.school.open()
    await pupil.school.look_once()
    removed, _ = pupil.take_in()
    pupil.board.remove(removed.quest_id)
    pupil.finish(pupil.claim(), knows_all, tell=False)
    for _ in range(2):
        await pupil.school.look_once()
        pupil.take_in()
        pupil.finish(pupil.claim(), knows_all)
    await pupil.school.look_once()
    assert pupil.mastered() == 1
    assert len(pupil.made()) >= 5


# --- failures -----------------------------------------------------------------------------------------------------


async def test_a_broken_skill_file_is_told_once_and_mended_without_a_restart(found_class: Founder) -> None:
    """B19, C25: a generator that fails is no crash loop, and says once what is wrong."""
    pupil = found_class()
    broken = pupil.paths.configs / "skills" / "bin.yaml"
    broken.parent.mkdir()
    broken.write_text("id: bin\nname: 3\n")
    await pupil.school.open()
    for _ in range(3):
        await pupil.school.look_once()
    assert len(pupil.events("school_blocked")) == 1
    assert "bin.yaml" in pupil.events("school_blocked")[0]
    broken.unlink()
    await pupil.school.look_once()
    assert len(pupil.events("school_goes_on")) == 1
    assert len(pupil.made()) == 2


async def test_a_bug_in_the_rules_of_a_skill_ends_nothing(
    found_class: Founder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B19: `name 'emit' is not defined`, every thirty seconds."""
    pupil = found_class()
    await pupil.school.open()

    def forgotten(*args: object, **kwargs: object) -> None:
        raise NameError("name 'emit' is not defined")

    with monkeypatch.context() as patched:
        patched.setattr("arena.academy.school.plan_quest", forgotten)
        for _ in range(2):
            await pupil.school.look_once()
    assert pupil.events("school_blocked") == [
        "The guild makes no quests for now: NameError: name 'emit' is not defined"
    ]  # fmt: skip
    await pupil.school.look_once()
    assert len(pupil.made()) == 2


async def test_quests_that_the_gates_refuse_time_and_again_are_not_made_for_ever(found_class: Founder) -> None:
    """C8, C25: such as with a max_length that is too small for all rows of a level."""
    pupil = found_class()
    await pupil.school.open()
    for _ in range(10):
        await pupil.school.look_once()
        pupil.reject()
    assert len(pupil.made()) < 10
    (told,) = pupil.events("school_blocked")
    assert "too long" in told
    made = len(pupil.made())
    pupil.live.current = pupil.settings.model_copy(update={"save_steps": 7})
    await pupil.school.look_once()
    assert len(pupil.made()) == made + 1, "other settings are worth a try"


async def test_skills_of_a_server_are_told_to_be_none_that_can_be_made_again(found_class: Founder) -> None:
    """C24, C25: host and port may stand in the settings, and are not needed."""
    pupil = found_class(auto_generate={"enabled": True, "host": "localhost", "port": 8090})
    own = pupil.paths.configs / "skills"
    own.mkdir()
    shipped = (
        (CHECKOUT / "configs" / "skills" / "bin.yaml")
        .read_text(encoding="utf-8")
        .replace("source: builtin", "source: api")
    )
    (own / "bin.yaml").write_text(shipped)
    await pupil.school.open()
    await pupil.school.look_once()
    assert "has its problems from http://localhost:8090" in pupil.events("school_blocked")[0]


# --- what people decide, and what a history loses -------------------------------------------------------------------


async def test_a_level_set_by_hand_holds_for_quests_made_from_then_on(found_class: Founder) -> None:
    """E8: what is answered is what was done."""
    pupil = found_class()
    await pupil.live_on(1)
    told = await pupil.school.set_level("BINARY", 3)
    assert (told["skill"], told["mastered_level"], told["training_level"], told["was_mastered"]) == ("bin", 3, 4, 0)
    await pupil.live_on(3)
    assert pupil.made()[-1] == "train_BIN_level4_40"
    assert pupil.mastered() == 3
    with pytest.raises(InvalidInput, match="no level 31"):
        await pupil.school.set_level("bin", 31)
    with pytest.raises(NotFound):
        await pupil.school.set_level("chess", 1)
    assert (await pupil.school.set_level("bin", 0))["mastered_level"] == 0


async def test_an_adopted_model_goes_on_from_its_checkpoint(
    found_class: Founder,
) -> None:
    pupil = found_class(curriculum={"min_evals_for_progression": 1})
    await pupil.live_on(2)
    copy = pupil.school.copy()
    assert copy is not None
    other = found_class("other", genesis_at="2026-11-22T08:00:00+00:00")
    checkpoint = other.paths.current_model / "checkpoint-25-20261122-0800"
    checkpoint.mkdir()
    (checkpoint / CURRICULUM_FILE).write_text(json.dumps(copy))
    (other.paths.current_model / "HEAD").write_text(checkpoint.name + "\n")
    await other.live_on(1)
    assert other.mastered() == 1
    assert other.made()[0] == "train_BIN_level2_40"


async def test_a_rewind_takes_the_curriculum_back_and_the_same_quests_are_made_again(found_class: Founder) -> None:
    """DESIGN 3: the skill levels are those of the weights; quest 3 is the same the second time."""
    quick = {"min_evals_for_progression": 1}
    pupil = found_class(curriculum=quick)
    await pupil.live_on(4)
    before, names = pupil.contents(), pupil.made()
    assert pupil.mastered() == 2
    pupil.answers.keep(Examined(exam_id="bin-5", quest_id="q", step=25, answers=[], seconds=0.0))
    undoing = LaneUndoing(pupil.paths)
    for quest in pupil.board.quests("awaiting_seal"):
        number = quest.record.lineage["params"]["number"]
        if number > 2:
            undoing.set_aside(quest.quest_id, rows_learned=0, reason="rewound", now=datetime.now(UTC))
    assert take_back(pupil.paths, pupil.saga, 10, DISK) == 2
    assert take_back(pupil.paths, pupil.saga, 10, DISK) == 0
    assert pupil.answers.all() == []
    pupil.close()

    again = Class(pupil.paths.base, curriculum=quick)
    try:
        await again.live_on(2)
        assert again.made()[len(names) :][:2] == names[2:4]
        redone = {number: text for number, text in again.contents().items() if number in before}
        assert all(before[number] == text for number, text in redone.items())
        assert {3, 4} <= redone.keys()
        assert again.mastered() == 2
    finally:
        again.close()


async def test_a_saga_that_is_damaged_while_the_realm_runs_does_not_end_the_curriculum(found_class: Founder) -> None:
    """The saga was set aside and begun anew, or lost some of its rows."""
    pupil = found_class()
    await pupil.live_on(2)
    last = pupil.records().last_number()
    with pupil.saga.db.write() as connection:
        connection.execute(guild_quests.delete().where(guild_quests.c.number == last - 1))
    await pupil.live_on(3)
    assert pupil.records().last_number() > last + 1, "a lost number holds up nobody"
    with pupil.saga.db.write() as connection:
        connection.execute(guild_quests.delete())
    await pupil.school.look_once()
    await pupil.school.look_once()
    assert pupil.records().newest(1)


class Failing(InlineScribe):
    """Makes no quest of more than 40 rows."""

    async def run(self, target: str, kwargs: dict[str, Any], timeout: float | None = None) -> Any:
        if QuestPlan.from_json(kwargs["plan"]).count > 40:
            raise ScribeBug("out of memory")
        return await super().run(target, kwargs, timeout)


async def test_a_plan_that_cannot_be_carried_out_is_made_anew_from_changed_settings(found_class: Founder) -> None:
    """C25: too many rows were asked for; the number stays the next one."""
    pupil = found_class(scribe=Failing(), auto_generate={"enabled": True, "count": 41})
    await pupil.school.open()
    await pupil.school.look_once()
    assert "out of memory" in pupil.events("school_blocked")[0]
    assert pupil.records().last_number() == 0
    pupil.settings = Settings.model_validate(SETTINGS)
    pupil.paths.config_file.write_text("changed: true\n")
    await pupil.school.look_once()
    assert pupil.made() == ["train_BIN_level1_40"] * 2
    assert [quest.number for quest in pupil.records().unfinished()] == [1, 2]


async def test_no_bug_of_the_curriculum_keeps_the_trainer_from_starting(
    found_class: Founder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B19: the supervisor opens the school, and must not hear of it; a quest has its sheet before it is dropped."""
    pupil = found_class()

    def forgotten(*args: object, **kwargs: object) -> None:
        raise NameError("name 'emit' is not defined")

    with monkeypatch.context() as patched:
        patched.setattr("arena.academy.school.open_register", forgotten)
        await pupil.school.open()
    with monkeypatch.context() as patched:
        patched.setattr(GuildRecords, "mark", forgotten)
        await pupil.school.look_once()
    [quest] = pupil.take_in()
    assert pupil.school.examination_after(quest.record) is not None
    with monkeypatch.context() as patched:
        patched.setattr("arena.academy.register.sheet_of", forgotten)
        fresh = found_class()
        await fresh.school.open()
    assert fresh.school.examination_after(quest.record) is None


async def test_a_later_quest_without_an_examination_closes_no_earlier_one(found_class: Founder) -> None:
    """E16: what was refused was never learned, so that the examination before it may still come."""
    pupil = found_class()
    await pupil.school.open()
    await pupil.school.look_once()
    _, second = pupil.take_in()
    pupil.finish(pupil.claim(), knows_all, tell=False)
    pupil.board.remove(second.quest_id)
    for _ in range(2):
        await pupil.school.look_once()
    statuses = [quest.status for quest in pupil.records().unfinished()]
    assert statuses[:2] == ["dropped", "void"]


async def test_views_tell_what_is_on_record_while_nothing_can_be_made(found_class: Founder) -> None:
    """Law 7: `status/curriculum_state.json` is not older than the records."""
    pupil = found_class()
    await pupil.school.open()
    await pupil.school.look_once()
    pupil.take_in()
    pupil.finish(pupil.claim(), knows_all)
    pupil.settings = Settings.model_validate({**SETTINGS, "curriculum": {"skills": {"nobody": 1.0}}})
    pupil.paths.config_file.write_text("changed: true\n")
    await pupil.school.look_once()
    assert len(pupil.events("school_blocked")) == 1
    state = json.loads(pupil.paths.curriculum_state.read_text())
    assert state["skills"]["bin"]["accuracy_history"]
