"""The guild's records as the academy uses them: everything here blocks on the disk and runs in a thread.

A quest is `planned` (its number is given away), then `dropped`, then over: with its examination on record, or `void`.
Whatever is killed whenever, no number is given twice or left out: what a quest is follows from its plan, and whether it
was dropped, from where it lies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from arena.academy.grading import graded, number_of, sheet_of
from arena.academy.making import place_of
from arena.academy.whereabouts import Place, fate_of, find
from arena.examinations import Examinations
from arena.journal import JOURNAL_NAME, read_history
from arena.protocol import Examined, ExamSheet
from arena.quest_board import QuestBoard
from arena.quests import sidecar_of
from core.errors import InvalidInput, NotFound, RealmError
from core.files import DISK, Files, read_json
from core.paths import PRIORITIES, RealmPaths
from core.saga import News, Saga
from guild.curriculum.achievements import earned
from guild.curriculum.standing import LevelResult, Rules, Standing, examined
from guild.dojo.sources import canonical_skill_id
from guild.records import CLOSED, Examination, GeneratedQuest, GuildRecords, Rise
from guild.skills.shelf import SkillShelf
from guild.skills.types import SkillConfig
from vault.checkpoints import CheckpointStore

logger = logging.getLogger(__name__)

EXAMINATIONS = "examinations"
"""Folder of `current_model/` where answers wait to be recorded."""
CURRICULUM_FILE = "curriculum.json"
"""In each checkpoint: what the daemon said last."""
NUMBERS_LEFT_OUT = 16
"""More than can be on their way at once: where the saga was lost, quests of such numbers may still wait."""


class Register:
    """The records of the model that is present; open it anew for another one."""

    def __init__(self, paths: RealmPaths, saga: Saga, board: QuestBoard, records: GuildRecords, files: Files) -> None:
        self.paths = paths
        self.records = records
        self._skills = SkillShelf(paths)
        self._saga = saga
        self._board = board
        self._files = files
        self._answers = Examinations(paths.current_model / EXAMINATIONS, files)

    @property
    def history(self) -> str:
        return self.records.history

    def skill(self, name: str) -> SkillConfig:
        """A skill; raises as `SkillShelf.get` does."""
        return self._skills.get(name)

    # --- examinations ---------------------------------------------------------------------------------------

    def look(self, *, min_evals: int, target: float | None, at_rest: bool, now: datetime) -> bool:
        """Record what has come, and see to what has not; whether anything has changed."""
        if not self.records.has_begun():  # a damaged saga was set aside while we run, and this one is new
            self.records.begin(_left_behind(self.paths), now=now)
        unfinished = self.records.unfinished()
        # Before the files are read: an examination comes before whatever tells that none can come any more.
        places = {
            each.number: find(self._board, each, self.history) for each in unfinished if each.status not in CLOSED
        }
        changed = self._record_all(now)
        changed |= self._settle(self.records.unfinished(), places, at_rest=at_rest)
        return self._conclude_all(min_evals, target, now) or changed

    def _record_all(self, now: datetime) -> bool:
        changed = False
        for answers in self._answers.all():
            number = number_of(answers.exam_id)
            quest = self.records.quest(number) if number is not None else None
            if quest is None or quest.plan.exam_id != answers.exam_id:
                text = "the answers of %s belong to no quest that the guild knows of; they are dropped"
                logger.warning(text, answers.exam_id, extra={"event": "examination_unknown"})
            elif quest.status not in CLOSED:
                changed |= self._record(quest, answers, now)
            self._answers.forget(answers.exam_id)
        return changed

    def _record(self, quest: GeneratedQuest, answers: Examined, now: datetime) -> bool:
        try:
            examination = graded(quest.plan, answers)
        except RealmError as error:  # asked by another version of the skill: nobody can say what is right
            self.records.mark(quest.number, "void", str(error))
            return True
        is_new = self.records.record(examination, now=now)
        if is_new:
            self._saga.tell([_news_of(examination)], now=now)
        return is_new

    def _settle(self, unfinished: list[GeneratedQuest], places: Mapping[int, Place], *, at_rest: bool) -> bool:
        """Close what nobody will examine, and take back what a rewind took back."""
        later = {each.number: each.status for each in unfinished}
        changed = False
        for quest in unfinished:
            if quest.number not in places or quest.status in (*CLOSED, "planned"):
                continue
            fate = fate_of(quest, places, later, at_rest=at_rest)
            if fate.what == "again" and self._make_again(quest.number, places):
                return True
            if fate.what != "open":
                reason = fate.reason or "it was taken back, and later ones were learned"
                self.records.mark(quest.number, "void", reason)
                logger.info("quest %s is over: %s", quest.number, reason, extra={"event": "generated_quest_void"})
                changed = True
            elif quest.status == "undone":
                self.records.mark(quest.number, "dropped")
        return changed

    def _make_again(self, number: int, places: Mapping[int, Place]) -> bool:
        """Take this quest and all after it off the board, to be made anew; False where a later one is learned."""
        behind = {later: place for later, place in places.items() if later > number}
        if any(place.where in ("trainer", "over") for place in behind.values()):
            return False
        for later, place in behind.items():
            if place.where == "waiting" and place.quest is not None:
                self._board.remove(place.quest.quest_id)
            elif place.where == "inbox":
                self._clear_inbox(later)
        self.records.forget_from(number)
        return True

    def plan_anew(self, number: int) -> None:
        """Forget a plan that could not be carried out: the next try is planned from the settings of then.

        The last number only, and before its quest is dropped: no number is left out or given twice.
        """
        if number == self.records.last_number():
            self._clear_inbox(number)  # of a sidecar without its quest
            self.records.forget_from(number)

    def _clear_inbox(self, number: int) -> None:
        quest = self.records.quest(number)
        for place in [place_of(self.paths, quest.name, priority) for priority in PRIORITIES] if quest else []:
            for path in (place, sidecar_of(place)):
                if path.exists():
                    self._files.unlink(path)

    # --- what follows ---------------------------------------------------------------------------------------

    def _conclude_all(self, min_evals: int, target: float | None, now: datetime) -> bool:
        """The standing after each quest before which all are over, in the order of their numbers (failure E3)."""
        changed = False
        for quest in self.records.unfinished():
            if quest.status not in CLOSED:
                break
            # Where a damaged saga lost the beginning too, it begins anew.
            before = self.records.standing_after(quest.number - 1) or self.records.newest_standing()
            self._conclude(quest, before, min_evals, target, now)
            changed = True
        return changed

    def _conclude(
        self, quest: GeneratedQuest, before: Standing, min_evals: int, target: float | None, now: datetime
    ) -> None:
        # Static problems are the same each time: they show a trend, and level nobody.
        parts = self.records.results(quest.number)
        results = [result for purpose, result in parts if purpose != "static"]
        if not results:
            self.records.conclude(quest.number, before.after(quest.number), now=now)
            return
        skill = self.skill(quest.plan.skill)
        threshold = threshold_of(skill, target)
        old = before.skill(skill.id, skill.max_level)
        new = examined(old, results, Rules(threshold, min_evals))
        rises = [Rise(skill.id, old, new, "examined")] if new.mastered_level > old.mastered_level else []
        worth = earned(skill.id, old, new, results, threshold)
        standing = before.after(quest.number, skill.id, new)
        fresh = self.records.conclude(quest.number, standing, rises=rises, achievements=worth, now=now)
        news = [_news_of_rise(skill, rise) for rise in rises]
        news += [News("achievement", f"{each.title}: {each.why}", {"name": each.name}) for each in fresh]
        if news:
            self._saga.tell(news, now=now)

    # --- for people -----------------------------------------------------------------------------------------

    def answers(self, exam_id: str) -> dict[str, Any]:
        """One examination, question by question; raises `NotFound`."""
        parts = self.records.examinations(limit=10, exam_id=exam_id)
        if not parts:
            raise NotFound(f"There is no examination {exam_id!r}.", hint="`realm curriculum record` lists the newest.")
        number = parts[0]["number"]
        return {"exam_id": exam_id, "parts": parts, "answers": self.records.answers(number)}

    def set_level(self, name: str, level: int, *, now: datetime) -> dict[str, Any]:
        """The hero counts as having mastered this level of a skill, 0 for none; raises `NotFound`, `InvalidInput`."""
        skill = self.skill(canonical_skill_id(name))
        rise = self.records.set_level(
            skill.id, level, skill.max_level, cause="set" if level else "reset", now=now
        )  # fmt: skip
        message = f"{skill.rpg_name}: the mastered level is {level} by decision; it was {rise.before.mastered_level}"
        self._saga.tell([News("level_set", message, {"skill": skill.id, "mastered_level": level})], now=now)
        return {
            "skill": skill.id,
            "mastered_level": level,
            "training_level": rise.after.training_level,
            "was_mastered": rise.before.mastered_level,
            "message": message,
        }

    # --- for the trainer ------------------------------------------------------------------------------------

    def sheets(self, known: Mapping[str, ExamSheet]) -> dict[int, tuple[str, ExamSheet]]:
        """Name and sheet of each quest whose examination is still to come, by number; `known` ones are by name."""
        found: dict[int, tuple[str, ExamSheet]] = {}
        for quest in self.records.unfinished():
            if quest.status in CLOSED:
                continue
            try:
                sheet = known.get(quest.name) or sheet_of(quest.plan)
            except Exception as error:  # noqa: BLE001 - another version of the skill, or a bug in it: closed without
                text = "nobody can be examined after quest %s: %s"
                logger.warning(text, quest.number, error, extra={"event": "no_sheet"})
                continue
            if sheet is not None:
                found[quest.number] = (quest.name, sheet)
        return found

    def copy(self) -> dict[str, object]:
        """What goes into each checkpoint: enough to go on from where there is no saga any more."""
        return {"last_number": self.records.last_number(), **self.records.newest_standing().to_json()}


def open_register(
    paths: RealmPaths, saga: Saga, board: QuestBoard, *, now: datetime, files: Files = DISK
) -> Register | None:
    """The register of the present model; None before its journal has begun.

    A history that the saga does not know begins with what its checkpoint says: it was adopted, or the saga was lost.
    """
    genesis = read_history(paths.current_model / JOURNAL_NAME).genesis
    if genesis is None:
        return None
    records = GuildRecords(saga.db, genesis.at)
    records.begin(_left_behind(paths), now=now)
    return Register(paths, saga, board, records, files)


def look_into(paths: RealmPaths, saga: Saga) -> Register | None:
    """The register for somebody who only reads it; None before the journal has begun."""
    genesis = read_history(paths.current_model / JOURNAL_NAME).genesis
    if genesis is None:
        return None
    return Register(paths, saga, QuestBoard(paths), GuildRecords(saga.db, genesis.at), DISK)


def _left_behind(paths: RealmPaths) -> Standing:
    """What the present checkpoint tells of the curriculum; nothing where it says nothing that can be used."""
    store = CheckpointStore(paths.current_model)
    present = store.resolve(store.head() or "")
    raw = read_json(present.path / CURRICULUM_FILE) if present is not None else None
    if not isinstance(raw, dict):
        return Standing()
    try:
        standing = Standing.from_json(raw)
        last = max(standing.number, int(raw.get("last_number") or 0))
    except (InvalidInput, TypeError, ValueError) as error:
        logger.warning("%s is not used: %s", CURRICULUM_FILE, error, extra={"event": "curriculum_damaged"})
        return Standing()
    return standing.after(last + NUMBERS_LEFT_OUT if last else 0)


def threshold_of(skill: SkillConfig, target: float | None) -> Callable[[int], float]:
    """The part of right answers that a level of the skill asks for; `target` wins over the skill's file."""
    return skill.get_threshold if target is None else lambda level: target


def _news_of(examination: Examination) -> News:
    parts = [_told(purpose, result) for purpose, result in examination.results() if purpose != "static"]
    message = f"{examination.skill.upper()} is examined: {'; '.join(parts)}"
    return News("examined", message, {"exam_id": examination.exam_id, "step": examination.step})


def _told(purpose: str, result: LevelResult) -> str:
    again = " again" if purpose == "again" else ""
    unknown = result.total - result.answered
    open_ones = f", {unknown} not answered" if unknown else ""
    return f"level {result.level}{again}, {result.correct} of {result.total} right{open_ones}"


def _news_of_rise(skill: SkillConfig, rise: Rise) -> News:
    level = rise.after.mastered_level
    message = f"{skill.rpg_name}: level {level} of {skill.max_level} is mastered"
    return News("level_mastered", message, {"skill": skill.id, "mastered_level": level})
