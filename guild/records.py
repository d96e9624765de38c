"""The guild's tables in `status/saga.db`: generated quests, examinations, answers, levels and achievements.

One place for the state of a curriculum. All of it belongs to one history of a model (`history`, the time of the
journal's first line), so that another hero begins his own, and one who comes back finds his again.
`core/migrations/` makes these tables; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import JSON, Column, Float, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.sqlite import insert

from core.db import Database
from core.errors import Conflict, NotFound
from guild.curriculum.achievements import Achievement
from guild.curriculum.planning import QuestPlan
from guild.curriculum.standing import LevelResult, SkillStanding, Standing, set_level

metadata = MetaData()

HISTORY = String(40)

guild_quests = Table(
    "guild_quests",
    metadata,
    Column("history", HISTORY, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("at", String(40), nullable=False),
    Column("plan", JSON(none_as_null=True), nullable=True),
    Column("standing", JSON(none_as_null=True), nullable=True),
    Column("reason", Text, nullable=True),
    sqlite_with_rowid=False,
)
guild_examinations = Table(
    "guild_examinations",
    metadata,
    Column("history", HISTORY, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("exam_id", String(100), nullable=False),
    Column("quest_id", String(40), nullable=False),
    Column("skill", String(64), nullable=False),
    Column("level", Integer, nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("step", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("correct", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", String(40), nullable=False),
    sqlite_with_rowid=False,
)
guild_answers = Table(
    "guild_answers",
    metadata,
    Column("history", HISTORY, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("expected", Text, nullable=False),
    Column("answer", Text, nullable=True),
    Column("verdict", String(8), nullable=False),
    sqlite_with_rowid=False,
)
guild_levels = Table(
    "guild_levels",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("history", HISTORY, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("at", String(40), nullable=False),
    Column("skill", String(64), nullable=False),
    Column("old_mastered", Integer, nullable=False),
    Column("new_mastered", Integer, nullable=False),
    Column("cause", String(16), nullable=False),
)
guild_achievements = Table(
    "guild_achievements",
    metadata,
    Column("history", HISTORY, primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("at", String(40), nullable=False),
    Column("title", String(100), nullable=False),
    Column("why", Text, nullable=False),
    sqlite_with_rowid=False,
)

Status = Literal["planned", "dropped", "undone", "examined", "void"]
"""Of a generated quest: decided; in the inbox, or somewhere on from there; learned once, and taken back by a rewind;
over, with its examination on record; over without one."""

CLOSED = ("examined", "void")

KEPT_NUMBERS = 10_000
"""Generated quests whose examinations are remembered; the standing is that of all of them."""
KEPT_HISTORIES = 20
"""Models whose curricula are remembered, the newest ones; each checkpoint has a copy of its own."""
NO_QUEST = 0
"""The `number` of achievements that no quest of the guild's was for."""
KEPT_ANSWERS = 300
"""Examinations whose answers can be read."""
TRIM_EVERY = 50
LONGEST_TEXT = 2000
"""Characters of a question or an answer that are kept."""


@dataclass(frozen=True, slots=True)
class GeneratedQuest:
    """One row of the register."""

    number: int
    name: str
    status: Status
    at: str
    plan: QuestPlan
    standing: Standing | None
    """After this quest; None until it and all before it are over."""
    reason: str | None


@dataclass(frozen=True, slots=True)
class Graded:
    """One question of an examination."""

    level: int
    purpose: str
    prompt: str
    expected: str
    answer: str | None
    """As the model wrote it; None where it could not be asked: unknown, not wrong (failure E7)."""
    verdict: Literal["right", "wrong", "unknown"]


@dataclass(frozen=True, slots=True)
class Examination:
    """The answers of one examination, graded."""

    number: int
    exam_id: str
    quest_id: str
    skill: str
    step: int
    """Global step of the weights."""
    seconds: float
    questions: tuple[Graded, ...]

    def results(self) -> list[tuple[str, LevelResult]]:
        """What each part comes to, with its purpose, in the order of the sheet."""
        parts = dict.fromkeys((each.purpose, each.level) for each in self.questions)
        return [(purpose, self._result(purpose, level)) for purpose, level in parts]

    def _result(self, purpose: str, level: int) -> LevelResult:
        verdicts = [each.verdict for each in self.questions if (each.purpose, each.level) == (purpose, level)]
        unknown = verdicts.count("unknown")
        return LevelResult(level, len(verdicts), len(verdicts) - unknown, verdicts.count("right"))


@dataclass(frozen=True, slots=True)
class Rise:
    """Another mastered level."""

    skill: str
    before: SkillStanding
    after: SkillStanding
    cause: Literal["examined", "set", "reset"]


class GuildRecords:
    """The tables for one history of a model. Everything may be written twice and is then there once."""

    def __init__(self, db: Database, history: str) -> None:
        self.db = db
        self.history = history

    # --- the register of generated quests --------------------------------------------------------------------

    def begin(self, standing: Standing, *, now: datetime) -> None:
        """Where this history starts, in the place of a quest `standing.number`; nothing, where it has begun."""
        with self.db.write() as connection:
            if connection.execute(self._quests().limit(1)).first() is None:
                row = self._row(standing.number, "", "void", now, standing=standing.to_json())
                connection.execute(sa.insert(guild_quests), row)
                self._forget_old_histories(connection)

    def has_begun(self) -> bool:
        """Whether the tables know this history."""
        with self.db.read() as connection:
            return connection.execute(self._quests().limit(1)).first() is not None

    def first_standing(self) -> Standing:
        """That of the oldest number that is kept."""
        with self.db.read() as connection:
            query = self._quests().order_by(guild_quests.c.number).limit(1)
            row = connection.execute(query).first()
        return Standing() if row is None else _standing(row) or Standing()

    def standing_after(self, number: int) -> Standing | None:
        """The standing after exactly this quest, or that of the beginning; None while it is not over.

        Of a quest that was lost with a damaged saga, that after the one before.
        """
        with self.db.read() as connection:
            lowest = connection.execute(self._quests().order_by(guild_quests.c.number).limit(1)).first()
            if lowest is None or number <= lowest.number:
                return _standing(lowest) if lowest is not None else None
            upwards_to = self._quests().where(guild_quests.c.number <= number)
            row = connection.execute(upwards_to.order_by(guild_quests.c.number.desc()).limit(1)).first()
        return _standing(row) if row is not None else None

    def newest_standing(self) -> Standing:
        """After the last quest before which all are over."""
        with self.db.read() as connection:
            query = self._quests().where(guild_quests.c.standing.is_not(sa.null()))
            row = connection.execute(query.order_by(guild_quests.c.number.desc()).limit(1)).first()
        return Standing() if row is None else _standing(row) or Standing()

    def last_number(self) -> int:
        """The highest number that was given away; 0 before the first."""
        with self.db.read() as connection:
            query = sa.select(sa.func.max(guild_quests.c.number)).where(guild_quests.c.history == self.history)
            return connection.execute(query).scalar() or 0

    def last_name(self) -> str:
        """The name of the last generated quest; empty before the first."""
        with self.db.read() as connection:
            query = self._quests().order_by(guild_quests.c.number.desc()).limit(1)
            row = connection.execute(query).first()
        return str(row.name) if row is not None else ""

    def quest(self, number: int) -> GeneratedQuest | None:
        """The generated quest of this number, if it is one of the kept ones."""
        with self.db.read() as connection:
            row = connection.execute(self._quests().where(guild_quests.c.number == number)).first()
        return _generated(row) if row is not None and row.plan is not None else None

    def newest(self, limit: int) -> list[GeneratedQuest]:
        """The generated quests of the highest numbers, the highest first."""
        query = self._quests().where(guild_quests.c.plan.is_not(sa.null())).order_by(guild_quests.c.number.desc())
        with self.db.read() as connection:
            return [_generated(row) for row in connection.execute(query.limit(limit))]

    def unfinished(self) -> list[GeneratedQuest]:
        """Every generated quest after the last one with a standing, in order: standings have no gaps."""
        newest = self._quests().with_only_columns(guild_quests.c.number)
        newest = newest.where(guild_quests.c.standing.is_not(sa.null())).order_by(guild_quests.c.number.desc())
        with self.db.read() as connection:
            above = connection.execute(newest.limit(1)).scalar()
            query = self._quests().where(guild_quests.c.number > (-1 if above is None else above))
            return [_generated(row) for row in connection.execute(query.order_by(guild_quests.c.number))]

    def plan(self, plan: QuestPlan, name: str, *, now: datetime) -> None:
        """Give the next number away. Raises `Conflict` when it is not the next: no number is skipped or given twice."""
        if plan.number != (last := self.last_number()) + 1:
            raise Conflict(f"Quest {plan.number} cannot be planned: the last one is {last}.")
        with self.db.write() as connection:
            row = self._row(plan.number, name, "planned", now, plan=plan.to_json())
            connection.execute(sa.insert(guild_quests), row)
            if plan.number % TRIM_EVERY == 0:
                self._trim(connection, plan.number)

    def mark(self, number: int, status: Status, reason: str | None = None) -> None:
        """Note what has become of a quest that is not over."""
        changed = sa.update(guild_quests).where(self._is(number), guild_quests.c.status.not_in(CLOSED))
        with self.db.write() as connection:
            connection.execute(changed.values(status=status, reason=reason))

    def forget_from(self, number: int) -> None:
        """These quests are made again, from the same numbers."""
        with self.db.write() as connection:
            query = sa.delete(guild_quests)
            connection.execute(query.where(guild_quests.c.history == self.history, guild_quests.c.number >= number))

    # --- examinations ---------------------------------------------------------------------------------------

    def record(self, examination: Examination, *, now: datetime) -> bool:
        """Write an examination down; False when it was on record (failure E13), or its quest is none that is open."""
        own = {"history": self.history, "number": examination.number}
        parts = [
            {
                **own, "place": place, "exam_id": examination.exam_id, "quest_id": examination.quest_id,
                "skill": examination.skill, "purpose": purpose, "step": examination.step,
                "seconds": examination.seconds, "at": _iso(now), **asdict(result),
            }
            for place, (purpose, result) in enumerate(examination.results())
        ]  # fmt: skip
        answers = [{**own, "place": place, **_kept(each)} for place, each in enumerate(examination.questions)]
        with self.db.write() as connection:
            open_quest = sa.update(guild_quests).where(
                self._is(examination.number), guild_quests.c.status.not_in(CLOSED)
            )
            if connection.execute(open_quest.values(status="examined", reason=None)).rowcount == 0:
                return False
            connection.execute(insert(guild_examinations).on_conflict_do_nothing(), parts)
            connection.execute(insert(guild_answers).on_conflict_do_nothing(), answers)
        return True

    def results(self, number: int) -> list[tuple[str, LevelResult]]:
        """What the examination of this number came to, with the purpose of each part; `[]` without one."""
        query = self._examinations().where(guild_examinations.c.number == number).order_by(guild_examinations.c.place)
        with self.db.read() as connection:
            return [
                (row.purpose, LevelResult(row.level, row.total, row.answered, row.correct))
                for row in connection.execute(query)
            ]

    def conclude(
        self,
        number: int,
        standing: Standing,
        *,
        rises: Sequence[Rise] = (),
        achievements: Sequence[Achievement] = (),
        now: datetime,
    ) -> list[Achievement]:
        """The standing after a quest that is over, with what it was worth; returns the achievements that are new."""
        with self.db.write() as connection:
            pending = sa.update(guild_quests).where(self._is(number), guild_quests.c.standing.is_(sa.null()))
            if connection.execute(pending.values(standing=standing.to_json())).rowcount == 0:
                return []
            for rise in rises:
                connection.execute(sa.insert(guild_levels), self._rise(number, rise, now))
            return [each for each in achievements if self._achieve(connection, number, each, now)]

    def achieve(self, deeds: Sequence[tuple[Achievement, datetime]]) -> list[Achievement]:
        """Write down what was earned outside of examinations, with the time it was; returns what is new."""
        with self.db.write() as connection:
            return [each for each, at in deeds if self._achieve(connection, NO_QUEST, each, at)]

    def set_level(
        self, skill: str, level: int, max_level: int, *, cause: Literal["set", "reset"], now: datetime
    ) -> Rise:
        """What a person decides, from the next quest on that is made. Raises `InvalidInput` for no such level."""
        standing = self.newest_standing()
        before = standing.skill(skill, max_level)
        rise = Rise(skill, before, set_level(before, level), cause)
        after = standing.after(standing.number, skill, rise.after)
        with self.db.write() as connection:
            changed = sa.update(guild_quests).where(self._is(standing.number))
            if connection.execute(changed.values(standing=after.to_json())).rowcount == 0:
                raise NotFound("There is no curriculum yet.", hint="It begins with the first start of the trainer.")
            connection.execute(sa.insert(guild_levels), self._rise(standing.number, rise, now))
        return rise

    # --- taking back ------------------------------------------------------------------------------------------

    def take_back(self, step: int) -> int:
        """The model went back to this step: what was examined later did not happen; returns how many were taken back.

        Their quests are open again, and so is each one after the first of them: see `arena.academy.register`. What was
        achieved was achieved: it is neither taken away nor earned a second time.
        """
        later = guild_examinations.c.step > step
        with self.db.write() as connection:
            numbers = sa.select(sa.func.min(guild_examinations.c.number), sa.func.count(sa.distinct(
                guild_examinations.c.number))).where(guild_examinations.c.history == self.history, later)  # fmt: skip
            first, count = connection.execute(numbers).one()
            if first is None:
                return 0
            for table in (guild_examinations, guild_answers, guild_levels):
                gone = (table.c.history == self.history) & (table.c.number >= first)
                connection.execute(sa.delete(table).where(gone))
            reopened = sa.update(guild_quests)
            reopened = reopened.where(guild_quests.c.history == self.history, guild_quests.c.number >= first)
            was_over = sa.case((guild_quests.c.status.in_(CLOSED), "undone"), else_=guild_quests.c.status)
            connection.execute(reopened.values(status=was_over, standing=None, reason=None))
        return int(count)

    # --- reading ----------------------------------------------------------------------------------------------

    def examinations(self, *, limit: int, offset: int = 0, **wanted: str | int | None) -> list[dict[str, Any]]:
        """Parts of examinations, the newest quest first; `skill`, `exam_id`, `purpose` or `level` may be given."""
        query = self._examinations(**wanted)
        order = (guild_examinations.c.number.desc(), guild_examinations.c.place)
        with self.db.read() as connection:
            rows = connection.execute(query.order_by(*order).limit(limit).offset(offset)).mappings()
            return [{key: value for key, value in row.items() if key not in ("history", "place")} for row in rows]

    def count_examinations(self, **wanted: str | int | None) -> int:
        """How many parts `examinations` could list."""
        query = self._examinations(**wanted).with_only_columns(sa.func.count())
        with self.db.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def answers(self, number: int) -> list[dict[str, Any]]:
        """Question by question; `[]` where they are not kept any more."""
        query = sa.select(guild_answers).where(
            guild_answers.c.history == self.history, guild_answers.c.number == number
        )
        with self.db.read() as connection:
            rows = connection.execute(query.order_by(guild_answers.c.place)).mappings()
            return [{key: value for key, value in row.items() if key != "history"} for row in rows]

    def levels(self, skill: str, *, limit: int = 100) -> list[dict[str, Any]]:
        """How the mastered level came about, oldest first."""
        query = sa.select(guild_levels).where(guild_levels.c.history == self.history, guild_levels.c.skill == skill)
        with self.db.read() as connection:
            rows = connection.execute(query.order_by(guild_levels.c.id.desc()).limit(limit)).mappings()
            return [dict(row) for row in rows][::-1]

    def achievements(self) -> list[dict[str, Any]]:
        """All that were earned, oldest first."""
        query = sa.select(guild_achievements).where(guild_achievements.c.history == self.history)
        with self.db.read() as connection:
            rows = connection.execute(query.order_by(guild_achievements.c.at, guild_achievements.c.name)).mappings()
            return [{key: value for key, value in row.items() if key != "history"} for row in rows]

    # --- inside -----------------------------------------------------------------------------------------------

    def _quests(self) -> sa.Select[Any]:
        return sa.select(guild_quests).where(guild_quests.c.history == self.history)

    def _examinations(self, **wanted: str | int | None) -> sa.Select[Any]:
        query = sa.select(guild_examinations).where(guild_examinations.c.history == self.history)
        given = {name: value for name, value in wanted.items() if value is not None}
        return query.where(*(guild_examinations.c[name] == value for name, value in given.items()))

    def _is(self, number: int) -> sa.ColumnElement[bool]:
        return (guild_quests.c.history == self.history) & (guild_quests.c.number == number)

    def _row(self, number: int, name: str, status: Status, now: datetime, **more: Any) -> dict[str, Any]:
        return {"history": self.history, "number": number, "name": name, "status": status, "at": _iso(now), **more}

    def _rise(self, number: int, rise: Rise, now: datetime) -> dict[str, Any]:
        return {
            "history": self.history, "number": number, "at": _iso(now), "skill": rise.skill,
            "old_mastered": rise.before.mastered_level, "new_mastered": rise.after.mastered_level, "cause": rise.cause,
        }  # fmt: skip

    def _achieve(self, connection: sa.Connection, number: int, earned: Achievement, now: datetime) -> bool:
        row = {"history": self.history, "number": number, "at": _iso(now), **earned._asdict()}
        return connection.execute(insert(guild_achievements).on_conflict_do_nothing(), row).rowcount > 0

    def _forget_old_histories(self, connection: sa.Connection) -> None:
        newest = sa.select(guild_quests.c.history).distinct().order_by(guild_quests.c.history.desc())
        kept = connection.execute(newest.limit(KEPT_HISTORIES)).scalars().all()
        for table in metadata.tables.values():
            connection.execute(sa.delete(table).where(table.c.history.not_in([*kept, self.history])))

    def _trim(self, connection: sa.Connection, number: int) -> None:
        budgets = {guild_quests: KEPT_NUMBERS, guild_examinations: KEPT_NUMBERS, guild_answers: KEPT_ANSWERS}
        for table, kept in budgets.items():
            old = (table.c.history == self.history) & (table.c.number < number - kept)
            connection.execute(sa.delete(table).where(old))


def _standing(row: sa.Row[Any]) -> Standing | None:
    return Standing.from_json(row.standing) if row.standing is not None else None


def _generated(row: sa.Row[Any]) -> GeneratedQuest:
    return GeneratedQuest(
        row.number, row.name, row.status, row.at, QuestPlan.from_json(row.plan), _standing(row), row.reason
    )


def _kept(question: Graded) -> dict[str, Any]:
    body = asdict(question)
    for name in ("prompt", "expected", "answer"):
        body[name] = body[name][:LONGEST_TEXT] if body[name] is not None else None
    return body


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
