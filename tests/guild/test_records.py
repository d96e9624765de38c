"""The guild's tables: numbers without gaps, budgets, one curriculum for each history, and older databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.db import Database
from core.errors import Conflict, NotFound
from core.saga import MIGRATIONS
from guild import records as module
from guild.curriculum.planning import QuestPlan
from guild.curriculum.standing import SkillStanding, Standing
from guild.records import Examination, Graded, GuildRecords
from tests.guild.curriculum.test_planning import plan

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "saga.db", MIGRATIONS)
    yield database
    database.close()


def finished(records: GuildRecords, planned: QuestPlan, step: int) -> None:
    records.plan(planned, f"{planned.number}.jsonl", now=NOW)
    question = Graded(1, "level", "What is 1?", "1", "1", "right")
    exam = Examination(planned.number, planned.exam_id, "q", "bin", step, 0.1, (question,))
    assert records.record(exam, now=NOW)
    assert not records.record(exam, now=NOW)
    records.conclude(planned.number, Standing(planned.number), now=NOW)


def test_no_number_is_left_out_or_given_twice(db: Database) -> None:
    records = GuildRecords(db, "a")
    records.begin(Standing(), now=NOW)
    records.begin(Standing(7), now=NOW)
    assert records.last_number() == 0
    with pytest.raises(Conflict, match="the last one is 0"):
        records.plan(plan(2), "2.jsonl", now=NOW)
    finished(records, plan(1), 5)
    with pytest.raises(Conflict):
        records.plan(plan(1), "1.jsonl", now=NOW)
    assert records.quest(1) == records.newest(5)[0]
    assert records.unfinished() == []


def test_old_numbers_answers_and_histories_go(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 9: neither months of quests nor many heroes fill the disk; the standing stays."""
    monkeypatch.setattr(module, "KEPT_NUMBERS", 20)
    monkeypatch.setattr(module, "KEPT_ANSWERS", 5)
    monkeypatch.setattr(module, "KEPT_HISTORIES", 2)
    records = GuildRecords(db, "a")
    records.begin(Standing(), now=NOW)
    for number in range(1, module.TRIM_EVERY + 1):
        finished(records, plan(number), number)
    assert len(records.examinations(limit=100)) == 21
    assert records.answers(40) == []
    assert [each["verdict"] for each in records.answers(50)] == ["right"]
    assert records.newest_standing().number == module.TRIM_EVERY
    for history in ("b", "c"):
        GuildRecords(db, history).begin(Standing(), now=NOW)
    assert records.newest(10) == []
    assert GuildRecords(db, "c").newest_standing() == Standing()


def test_a_level_can_only_be_set_in_a_history_that_has_begun(db: Database) -> None:
    records = GuildRecords(db, "a")
    with pytest.raises(NotFound, match="no curriculum"):
        records.set_level("bin", 2, 30, cause="set", now=NOW)
    records.begin(Standing(), now=NOW)
    assert records.set_level("bin", 2, 30, cause="set", now=NOW).after.mastered_level == 2
    assert records.newest_standing().skills["bin"].training_level == 3
    assert records.levels("bin")[0]["cause"] == "set"
    other = GuildRecords(db, "b")
    other.begin(Standing(0, {"bin": SkillStanding(30, 9)}), now=NOW)
    assert records.newest_standing().skills["bin"].mastered_level == 2


def test_a_database_of_before_the_guild_is_brought_up_to_date(tmp_path: Path) -> None:
    old = tmp_path / "migrations"
    (old / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/0001_events_and_metrics.py"):
        (old / name).write_text((MIGRATIONS / name).read_text())
    Database(tmp_path / "old.db", old).close()
    database = Database(tmp_path / "old.db", MIGRATIONS)
    GuildRecords(database, "a").begin(Standing(), now=NOW)
    database.close()


def test_a_lost_number_holds_up_nobody_and_the_present_history_stays(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be saved of a damaged saga is passed over."""
    monkeypatch.setattr(module, "KEPT_HISTORIES", 1)
    GuildRecords(db, "b").begin(Standing(), now=NOW)
    records = GuildRecords(db, "a")
    assert not records.has_begun()
    records.begin(Standing(), now=NOW)
    assert records.has_begun(), "older than the only one that is kept, and present"
    finished(records, plan(1), 5)
    records.plan(plan(2), "2.jsonl", now=NOW)
    records.plan(plan(3), "3.jsonl", now=NOW)
    with db.write() as connection:
        connection.execute(module.guild_quests.delete().where(module.guild_quests.c.number == 2))
    assert records.standing_after(2) == records.standing_after(1) == Standing(1)
    assert records.standing_after(3) is None
    assert [quest.number for quest in records.unfinished()] == [3]
