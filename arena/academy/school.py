"""Keeps the game going by itself: makes the next quest when the board runs low, and hears of what was learned.

Quest n is made once the examination of quest n - depth is on record, from the curriculum as it stood right after that
one. When the board was found low, how fast the machine is and what was killed decide when it is made, never what it is:
a run repeats from its seed (DESIGN laws 3 and 4). What goes wrong here is told once and stops nothing else (B19, C25).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from arena.academy.correcting import correct_when_due, told_of
from arena.academy.making import MAKE_ROWS, drop_made, name_of, part_of, place_of
from arena.academy.register import Register, open_register, threshold_of
from arena.academy.telling import accuracy_now, curriculum_brief, curriculum_view, hero_stats, write_views
from arena.academy.whereabouts import find
from arena.blockade import Blockade
from arena.command.live_settings import LiveSettings
from arena.protocol import ExamSheet
from arena.quest_board import QuestBoard
from arena.quests import QuestRecord
from arena.telling.live_report import LiveReport
from core.crash_points import crash_point
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from core.saga import Saga
from core.scribe import ScribeBug
from core.settings import Settings
from core.tasks import beat, comes_within, rest
from guild.curriculum.planning import Wishes, choose_skill, plan_quest
from guild.dojo.sources import canonical_skill_id, source_of
from guild.quests.making import holds_out, lineage_of, number_in
from guild.records import CLOSED, GeneratedQuest

logger = logging.getLogger(__name__)

HUNG_SECONDS = 900.0
"""A job of the scribe may take 600 s."""
LOOK_SECONDS = 5.0
"""Without any news it is looked at where the quests are, while some are on their way."""
SETTINGS_SECONDS = 15.0
"""While the guild makes nothing, it is looked so often whether it is to: a look at one file."""
RETRY_SECONDS = 10.0
LONGEST_RETRY_SECONDS = 600.0
"""The pause after a failure doubles up to that."""
MOST_ON_THEIR_WAY = 9
"""Beside the one that is learned, `auto_generate.min_queue_depth` may be 8."""
REFUSALS = 3
"""So many made quests that the gates refuse, one after the other, are enough to try no more for a while."""
AT_REST_SECONDS = 15.0
"""Where the trainer has been idle for so long, an examination that is missing is not coming any more."""


class RowMaker(Protocol):
    """What the school needs of `core.scribe.Scribe`."""

    async def run(self, target: str, kwargs: dict[str, Any], timeout: float | None = None) -> Any:
        """Call `package.module:function(**kwargs)` in another process."""
        ...


Tell = Callable[..., Awaitable[None]]


class School:
    """One per daemon."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        board: QuestBoard,
        scribe: RowMaker,
        saga: Saga,
        settings: LiveSettings,
        report: LiveReport,
        tell: Tell,
        held: Callable[[], str | None] = lambda: None,
        retry_seconds: float = RETRY_SECONDS,
        files: Files = DISK,
    ) -> None:
        """`held` tells why nothing may be written for now, if so."""
        self._paths = paths
        self._board = board
        self._scribe = scribe
        self._saga = saga
        self._settings = settings
        self._report = report
        self._tell = tell
        self._is_held = held
        self._files = files
        self._news = asyncio.Event()
        self._working = asyncio.Lock()
        self._register: Register | None = None
        self._sheets: dict[int, tuple[str, ExamSheet]] = {}
        self._on_their_way = False
        """Whether quests are made and not over; else nobody asks the disk about them."""
        self._copy: dict[str, Any] | None = None
        self.brief: dict[str, Any] | None = None
        """The curriculum in short, for the page; None before it was looked at."""
        self._made_at = float("-inf")
        self._probed: tuple[Settings | None, int] = (None, 0)
        """After refusals: the settings with which one more quest is tried, and the last number before it."""
        self._blockade = Blockade(saga, "school")
        self._first_retry_seconds = self._retry_seconds = retry_seconds

    # --- what the daemon asks -----------------------------------------------------------------------------------

    def note_news(self) -> None:
        """Something was examined, or the board has changed."""
        self._news.set()

    async def open(self) -> None:
        """Take up the curriculum of the present model, before its trainer begins."""
        try:
            await asyncio.to_thread(self._open)
        except Exception as error:  # training goes on whatever is wrong here; the task tries again and tells of it
            logger.warning("the curriculum is not at hand: %s", error, exc_info=True, extra={"event": "school_closed"})
        self.note_news()

    def examination_after(self, quest: QuestRecord) -> ExamSheet | None:
        """What the trainer asks when this quest is over; None for one whose examination is on record, or has none."""
        if self._register is None:
            return None
        number = number_in(quest.lineage, self._register.history)
        known = self._sheets.get(number) if number is not None else None
        # A retry bears the number of the quest that it was, and is examined as that only while it stands for it.
        return known[1] if known is not None and quest.original_name == known[0] else None

    def copy(self) -> dict[str, Any] | None:
        """The curriculum for the next checkpoints."""
        return self._copy

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold the school up."""
        return [self._blockade]

    @property
    def next_quest_at(self) -> datetime | None:
        """When the pause after the last quest that was made is over; None where it is."""
        left = self._made_at + self._settings.current.auto_generate.cooldown_sec - time.monotonic()
        # To the second: told again and again, it should be the same each time.
        return (datetime.now(UTC) + timedelta(seconds=left)).replace(microsecond=0) if left > 0 else None

    @property
    def makes_quests(self) -> bool:
        """Whether quests are made without anybody's doing."""
        return self._settings.current.auto_generate.enabled

    @property
    def register(self) -> Register | None:
        """That of the present model; None before its journal has begun."""
        return self._register

    @property
    def settings(self) -> Settings:
        """Those in force."""
        return self._settings.current

    @property
    def halted(self) -> str | None:
        """Why no quests are made, where something is in the way; None where nothing is."""
        return self._is_held() or self._blockade.message

    @property
    def cooldown_left(self) -> float:
        """Seconds in which no quest is made because one was made just now."""
        return max(0.0, self._made_at + self.settings.auto_generate.cooldown_sec - time.monotonic())

    async def view(self) -> dict[str, Any]:
        """The body of `GET /api/curriculum`."""
        return await asyncio.to_thread(self._view)

    async def examinations(
        self, *, limit: int, offset: int = 0, skill: str | None = None, level: int | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Parts of the newest examinations, and how many there are in all."""
        register = self._register
        if register is None:
            return [], 0
        wanted = {"skill": canonical_skill_id(skill) if skill is not None else None, "level": level}
        parts = await asyncio.to_thread(register.records.examinations, limit=limit, offset=offset, **wanted)
        return parts, await asyncio.to_thread(register.records.count_examinations, **wanted)

    async def answers(self, exam_id: str) -> dict[str, Any]:
        """One examination, question by question; raises `NotFound`."""
        return await asyncio.to_thread(self._need().answers, exam_id)

    async def set_level(self, skill: str, level: int) -> dict[str, Any]:
        """What a person decides; raises `NotFound` and `InvalidInput`."""
        async with self._working:
            told = await asyncio.to_thread(self._need().set_level, skill, level, now=datetime.now(UTC))
            await asyncio.to_thread(self._refresh)
            await asyncio.to_thread(self._write_views)
        self.note_news()
        return told

    # --- the task ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns."""
        while True:
            pause = await self.look_once()
            rest()
            await comes_within(pause, self._news)
            self._news.clear()
            beat(HUNG_SECONDS)

    async def look_once(self) -> float:
        """Look once; after how many seconds to look again without any news."""
        try:
            async with self._working:
                await self._look()
        except (RealmError, OSError) as error:
            return await self._fail(str(error))
        except ScribeBug as error:
            return await self._fail(f"the rows of a quest could not be made: {error}")
        except Exception as error:  # a bug in the rules of a skill must end neither this task nor the realm (B19)
            logger.exception("the school failed", extra={"event": "school_failed"})
            return await self._fail(f"{type(error).__name__}: {error}")
        self._retry_seconds = self._first_retry_seconds
        await self._blockade.lift("The guild makes quests and examines again")
        at_work = self._on_their_way or self._settings.current.auto_generate.enabled
        return LOOK_SECONDS if at_work and self._register is not None else SETTINGS_SECONDS

    async def _fail(self, reason: str) -> float:
        await self._blockade.raise_up(f"The guild makes no quests for now: {reason}")
        pause, self._retry_seconds = self._retry_seconds, min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)
        # News come with every quest that people drop, and a skill that is broken is not asked each time.
        await asyncio.sleep(min(pause, LOOK_SECONDS))
        return max(0.0, pause - LOOK_SECONDS)

    async def _look(self) -> None:
        if self._register is None:  # a new hero: his journal begins with the first start of the trainer
            await asyncio.to_thread(self._open)
        settings = await asyncio.to_thread(self._settings.newest, time.monotonic())
        register = self._register
        if register is None or not (settings.auto_generate.enabled or self._on_their_way):
            return
        now = datetime.now(UTC)
        idle_seconds = (now - self._report.since).total_seconds() if self._report.state == "idle" else 0.0
        look = functools.partial(
            register.look, min_evals=settings.curriculum.min_evals_for_progression,
            target=settings.curriculum.target_accuracy, at_rest=idle_seconds >= AT_REST_SECONDS, now=now,
        )  # fmt: skip
        changed = await asyncio.to_thread(look)
        if changed:
            await asyncio.to_thread(self._refresh)
            await asyncio.to_thread(self._write_views)  # whatever holds up what follows, they tell what is on record
            await self._correct(register, settings, now)
        if settings.auto_generate.enabled and self._is_held() is None:
            made = False
            while await self._make_next(register, settings):
                made = True
            if made:
                await asyncio.to_thread(self._write_views)

    async def _correct(self, register: Register, settings: Settings, now: datetime) -> None:
        """Make a quest from the mistakes of the newest examinations, where that is wanted and due."""
        wanted = settings.self_correction
        if not wanted.enabled or self._is_held() is not None:
            return
        runs = await asyncio.to_thread(
            correct_when_due, register, settings, interval=wanted.generation_interval, drop=wanted.auto_queue, now=now,
            files=self._files,
        )  # fmt: skip
        for run in runs:
            await self._tell("mistakes_corrected", told_of(run), now, file=run["file"])

    # --- making quests ------------------------------------------------------------------------------------------

    async def _make_next(self, register: Register, settings: Settings) -> bool:
        """Make a quest if one is due; whether there may be more to make."""
        pending = await asyncio.to_thread(self._pending, register)
        if pending is None:
            if not await asyncio.to_thread(self._is_due, register, settings):
                return False
            pending = await asyncio.to_thread(self._plan_next, register, settings)
            if pending is None:
                return False
            crash_point("school.planned")
        place = place_of(self._paths, pending.name, settings.auto_generate.priority)
        part = part_of(place, pending.number)
        rest()  # the scribe has a time limit of its own
        try:
            await self._scribe.run(MAKE_ROWS, {"plan": pending.plan.to_json(), "path": str(part)})
        except Conflict as error:  # planned before the skill got its present version
            await asyncio.to_thread(register.records.mark, pending.number, "void", str(error))
            return True
        except (RealmError, OSError, ScribeBug):
            await asyncio.to_thread(register.plan_anew, pending.number)
            raise
        finally:
            beat(HUNG_SECONDS)
        crash_point("school.written")
        await asyncio.to_thread(self._refresh)  # whoever claims the quest must find its sheet
        lineage = lineage_of(pending.plan, register.history, made_at=pending.at)
        await asyncio.to_thread(drop_made, part, place, lineage, files=self._files)
        crash_point("school.dropped")
        await asyncio.to_thread(register.records.mark, pending.number, "dropped")
        self._made_at = time.monotonic()
        message = (
            f"The guild writes {pending.name}: level {pending.plan.training_level} of {pending.plan.skill.upper()}"
        )
        await self._tell("quest_generated", message, datetime.now(UTC), number=pending.number)
        return True

    def _pending(self, register: Register) -> GeneratedQuest | None:
        """A quest whose number is given away and that was not dropped: a kill or a failure came between."""
        for quest in register.records.unfinished():
            if quest.status == "planned":
                if find(self._board, quest, register.history).where == "gone":
                    return quest
                register.records.mark(quest.number, "dropped")
        return None

    def _is_due(self, register: Register, settings: Settings) -> bool:
        wanted = settings.auto_generate
        if time.monotonic() - self._made_at < wanted.cooldown_sec:
            return False
        self._check_gates(register, settings)
        unfinished = register.records.unfinished()
        if register.records.standing_after(register.records.last_number() - wanted.min_queue_depth) is None:
            return False  # as many are on their way as may be
        dropped = [quest for quest in unfinished if quest.status == "dropped"]
        coming = sum(find(self._board, quest, register.history).where == "inbox" for quest in dropped)
        return int(self._board.counts()["total_queued"]) + coming <= wanted.threshold

    def _check_gates(self, register: Register, settings: Settings) -> None:
        """Raise `Unavailable` where what is made is refused time and again, until somebody changes the settings."""
        last = register.records.last_number()
        newest = [each for each in register.records.newest(REFUSALS + MOST_ON_THEIR_WAY) if each.status in CLOSED]
        refused = [each for each in newest[:REFUSALS] if each.status == "void" and _was_refused(each)]
        if len(refused) < REFUSALS:
            return
        if self._probed[0] is not settings:
            self._probed = (settings, last)
        if last > self._probed[1]:
            raise Unavailable(
                f"The gates have refused the last {REFUSALS} quests that it made; the newest: {refused[0].reason}",
                hint="Change the setting that is in the way, or start the realm again.",
            )

    def _plan_next(self, register: Register, settings: Settings) -> GeneratedQuest | None:
        records, now = register.records, datetime.now(UTC)
        number = records.last_number() + 1
        standing = records.standing_after(number - settings.auto_generate.min_queue_depth - 1)
        if standing is None:
            return None
        weights = {canonical_skill_id(name): weight for name, weight in settings.curriculum.skills.items()}
        skill = register.skill(choose_skill(weights, number))
        if skill.source != "builtin":
            raise Unavailable(
                f"Skill {skill.id} has its problems from {skill.api_url}; what a server gives cannot be made again.",
                hint="Name skills with `source: builtin` in `curriculum.skills`; quests of others can be dropped.",
            )
        source = source_of(skill.id)
        plan = plan_quest(
            number=number, skill=skill.id, version=source.version, standing=standing.skill(skill.id, skill.max_level),
            threshold=threshold_of(skill, settings.curriculum.target_accuracy), wishes=_wishes(settings),
            holds_out=functools.partial(holds_out, source),
        )  # fmt: skip
        records.plan(plan, name_of(plan, records.last_name(), now), now=now)
        return records.quest(number)

    # --- inside -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._register = open_register(self._paths, self._saga, self._board, now=datetime.now(UTC), files=self._files)
        self._refresh()
        if self._on_their_way or self._settings.current.auto_generate.enabled:
            self._write_views()

    def _refresh(self) -> None:
        """What the event loop must have at hand without asking the disk."""
        register = self._register
        known = dict(self._sheets.values())
        self._sheets = register.sheets(known) if register is not None else {}
        self._on_their_way = register is not None and bool(register.records.unfinished())
        has_begun = register is not None and register.records.last_number() > 0
        self._copy = register.copy() if register is not None and has_begun else None
        self.brief = curriculum_brief(register, self._settings.current)
        self._report.accuracy = accuracy_now(register) if register is not None else None

    def _view(self) -> dict[str, Any]:
        view = curriculum_view(self._register, self._settings.current, now=datetime.now(UTC))
        return {**view, "hero": hero_stats(self._report)}

    def _write_views(self) -> None:
        if self._register is not None:
            write_views(self._paths, self._register, self._view(), files=self._files)

    def _need(self) -> Register:
        if self._register is None:
            raise NotFound("There is no curriculum yet.", hint="It begins with the first start of the trainer.")
        return self._register


def _wishes(settings: Settings) -> Wishes:
    asks = settings.examination.where != "off"
    return Wishes(
        seed=settings.curriculum.seed,
        count=settings.auto_generate.count,
        rehearsal=settings.curriculum.rehearsal,
        problems=settings.examination.problems if asks else 0,
        rehearsal_problems=settings.examination.rehearsal_problems,
        max_new_tokens=settings.examination.max_new_tokens,
    )


def _was_refused(quest: GeneratedQuest) -> bool:
    return (quest.reason or "").startswith(("rejected:", "refused:"))
