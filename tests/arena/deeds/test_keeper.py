"""Achievements of the battle: each is earned by what it says, once in a life, and survives restarts and rewinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from arena.academy.taking_back import take_back
from arena.deeds.catalog import COUNTED, HAPPENED
from arena.deeds.keeper import DeedKeeper
from arena.deeds.wall import DeedWall, SkillShown
from core.files import DISK
from core.saga import News
from tests.arena.academy.pupil import BEGUN, Class

LATER = datetime.fromisoformat(BEGUN) + timedelta(days=8)


class Life:
    """A hero with a journal, and what is told of him."""

    def __init__(self, base: Path) -> None:
        self.pupil = Class(base)
        self.now = datetime.fromisoformat(BEGUN) + timedelta(hours=1)
        self.keeper = self.new_keeper()

    def new_keeper(self) -> DeedKeeper:
        """As after a restart: nothing is known but what is on record."""
        report, school = self.pupil.report, self.pupil.school
        return DeedKeeper(self.pupil.saga, report, lambda: school.register, clock=lambda: self.now)

    def tell(self, kind: str, message: str = "it happened", **data: Any) -> None:
        self.pupil.saga.tell([News(kind, message, data or None)], now=self.now)

    def earned(self) -> dict[str, str]:
        """What it was earned by, by name."""
        return {row["name"]: row["why"] for row in self.pupil.records().achievements()}

    def announced(self) -> list[str]:
        return [message.partition(":")[0] for message in self.pupil.events("achievement")]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[], Life]]:
    lives: list[Life] = []

    def make() -> Life:
        lives.append(Life(tmp_path / "realm"))
        return lives[-1]

    yield make
    for life in lives:
        life.pupil.close()


async def test_counts_are_earned_when_they_reach_their_goal(begin: Callable[[], Life]) -> None:
    life = begin()
    await life.pupil.school.open()
    await life.keeper.look_once()
    assert life.earned() == {}
    life.pupil.report.quests_completed, life.pupil.report.step = 10, 999
    await life.keeper.look_once()
    assert life.earned().keys() == {"quests_1", "quests_10"}
    life.pupil.report.step = 1000
    life.now = LATER
    await life.keeper.look_once()
    assert life.earned().keys() == {"quests_1", "quests_10", "steps_1000", "days_7"}
    assert life.earned()["days_7"] == "The hero has served for 8 days."


async def test_a_deed_is_of_the_event_and_of_its_time(begin: Callable[[], Life]) -> None:
    """What happened while nobody watched counts too, with the time when it happened."""
    life = begin()
    await life.pupil.school.open()
    life.tell("checkpoint_saved", "Checkpoint checkpoint-5 is saved", step=5)
    saved_at, life.now = life.now, LATER
    await life.keeper.look_once()
    assert life.earned()["first_checkpoint"] == "Checkpoint checkpoint-5 is saved"
    at = next(row["at"] for row in life.pupil.records().achievements() if row["name"] == "first_checkpoint")
    assert at == saved_at.astimezone(UTC).isoformat()


async def test_risen_takes_a_death_and_a_checkpoint_to_go_on_from(begin: Callable[[], Life]) -> None:
    life = begin()
    await life.pupil.school.open()
    life.tell("trainer_ready", checkpoint="checkpoint-5")
    life.tell("trainer_died", "killed by SIGKILL")
    life.tell("trainer_ready", checkpoint=None)
    life.tell("trainer_ready", checkpoint="checkpoint-9")
    await life.keeper.look_once()
    assert "risen" not in life.earned()
    life.tell("trainer_died", "killed by SIGKILL")
    await life.keeper.look_once()
    life.tell("trainer_ready", "awake from checkpoint-12", checkpoint="checkpoint-12")
    await life.keeper.look_once()
    assert life.earned()["risen"] == "awake from checkpoint-12"


async def test_of_sealed_quests_size_and_loss_count(begin: Callable[[], Life]) -> None:
    life = begin()
    await life.pupil.school.open()
    life.tell("quest_sealed", quest_id="q", rows=999, loss_last=0.2, longest_row=None)
    await life.keeper.look_once()
    assert life.earned() == {}
    message = "sums.jsonl is sealed: a checkpoint covers all it taught"
    life.tell("quest_sealed", message, quest_id="q", rows=1000, loss_last=0.1, longest_row=1024)
    await life.keeper.look_once()
    assert life.earned() == {
        "rows_1000": "A quest of 1,000 rows is learned.",
        "sharp_blade": "sums.jsonl ended with a loss of 0.1000.",
        "tokens_1000": "A row of 1,024 tokens is learned.",
    }


async def test_what_is_earned_is_earned_once_across_restarts_and_rewinds(begin: Callable[[], Life]) -> None:
    """F17: nobody is told twice of the same, and a rewind does not undo a deed."""
    life = begin()
    await life.pupil.live_on(2)
    life.pupil.report.quests_completed = 1
    life.tell("went_back")
    await life.keeper.look_once()
    before, told = life.earned(), life.announced()
    assert {"quests_1", "healed", "first_examination"} <= before.keys()
    life.pupil.answers.begin_try("bin-9")
    assert take_back(life.pupil.paths, life.pupil.saga, 0, DISK) > 0
    assert life.pupil.answers.begin_try("bin-9") == 1, "tries of weights that are left behind do not count"
    assert life.earned() == before
    life.keeper = life.new_keeper()
    await life.keeper.look_once()
    await life.keeper.look_once()
    assert (life.earned(), life.announced()) == (before, told)


async def test_events_of_an_earlier_hero_are_not_his(begin: Callable[[], Life]) -> None:
    life = begin()
    await life.pupil.school.open()
    life.now = datetime.fromisoformat(BEGUN) - timedelta(days=1)
    life.tell("rewound")
    life.now = LATER
    await life.keeper.look_once()
    assert "rewound" not in life.earned()


async def test_the_wall_shows_all_with_what_is_known_of_their_progress(begin: Callable[[], Life]) -> None:
    """Unknown is null, never 0."""
    life = begin()
    skills = {"bin": SkillShown("BIN", 30, frozenset({1, 2, 9}))}
    wall = DeedWall(life.pupil.school, life.keeper, lambda: skills)
    shown = {badge["name"]: badge for badge in (await wall.view())["achievements"]}
    assert shown["days_7"]["progress"] == {"done": None, "goal": 7}
    assert shown["steps_1000"]["progress"] == {"done": None, "goal": 1000}
    assert shown["bin_level_5"]["progress"] == {"done": 2, "goal": 5}
    assert shown["risen"]["progress"] is None
    await life.pupil.live_on(1)
    life.pupil.report.quests_completed = 3
    await life.keeper.look_once()
    view = await wall.view()
    shown = {badge["name"]: badge for badge in view["achievements"]}
    assert shown["quests_1"]["why"] == "3 quests are learned."
    assert shown["first_examination"]["number"] == 1
    assert shown["quests_1"]["number"] is None
    assert view["earned"] == sum(badge["at"] is not None for badge in shown.values())
    assert view["total"] == len(view["achievements"]) == len(shown)
    assert {deed.name for deed in (*COUNTED, *HAPPENED)} <= shown.keys()
