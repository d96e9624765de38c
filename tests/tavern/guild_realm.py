"""A realm whose school is real: skills, examinations, levels and achievements as the guild's pages ask for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from arena.academy.guild_desk import GuildDesk
from arena.academy.routes import curriculum_routes, curriculum_wishes, guild_routes
from arena.deeds.keeper import DeedKeeper
from arena.deeds.routes import deed_routes
from arena.deeds.wall import DeedWall
from arena.protocol import Examined
from arena.quests import Quest
from arena.routes import health_endpoint
from arena.telling.data_health import DataHealth
from core.lineage_tracker import LineageTracker
from core.saga import Event
from guild.curriculum.planning import QuestPlan
from guild.quests.making import questions_of
from tests.arena.academy.pupil import Class
from tests.arena.quest_makers import NOW
from tests.tavern.scripted_realm import ScriptedRealm
from watchtower.routes import lineage_endpoint

Says = Callable[[int, str], str | None]
"""What the hero answers: by the level and the right answer; None where it could not be asked."""


class Pupil(Class):
    """Answers as `says` tells it."""

    says: Says = staticmethod(lambda level, right: right)

    def answered(self, quest: Quest, knows: Callable[[int], bool]) -> Examined:
        params = {key: value for key, value in quest.record.lineage["params"].items() if key != "history"}
        plan = QuestPlan.from_json(params)
        answers = [self.says(problem.level, problem.answer) for problem in questions_of(plan)]
        return Examined(exam_id=plan.exam_id, quest_id=quest.quest_id, step=self.step, answers=answers, seconds=0.4)


class GuildRealm:
    """The tavern on one port, and the school behind it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        quick = {"min_evals_for_progression": 1}
        self.pupil = Pupil(folder / "school", **{"curriculum": quick, **settings})
        school, paths = self.pupil.school, self.pupil.paths
        desk = GuildDesk(paths, school, self.pupil.board)
        self.keeper = DeedKeeper(self.pupil.saga, self.pupil.report, lambda: school.register)
        rooms = [
            *curriculum_routes(school),
            *curriculum_wishes(school),
            *guild_routes(desk),
            *deed_routes(DeedWall(school, self.keeper, desk.shown)),
            health_endpoint(DataHealth(paths).view),
            lineage_endpoint(paths.data_lineage),
        ]
        self.tavern = ScriptedRealm(folder / "tavern", rooms=rooms)
        self.pupil.saga.subscribe(self._pass_on)

    async def start(self) -> GuildRealm:
        await self.pupil.school.open()
        await self.tavern.start()
        return self

    async def stop(self) -> None:
        await self.tavern.stop()
        self.pupil.close()

    async def live_on(self, quests: int, says: Says = lambda level, right: right) -> None:
        """So many quests, each examined."""
        self.pupil.says = says
        await self.pupil.live_on(quests)

    def judge(self, maker: str, *, passed: int, refused: int, why: str) -> None:
        """The gates have looked at files of this maker."""
        counts = LineageTracker(self.pupil.paths.data_lineage)
        for number in range(passed + refused):
            counts.count(maker, {"content_warden": "1.1.0"}, passed=number < passed, errors=[why], now=NOW)
        counts.write()

    @property
    def url(self) -> str:
        return self.tavern.site.url

    def _pass_on(self, event: Event) -> None:
        self.tavern.saga.append(event.kind, event.message, now=NOW, data=event.data)
