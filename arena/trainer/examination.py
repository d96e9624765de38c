"""Examinations: the resident model answers the sheet of a quest that is over, before the next step is made (ADR 0022).

The weights of that moment come again in every replay, so an examination that a stop or a kill has cut off is taken by
the next trainer, and says the same. The answers are durable before the daemon hears of them. Neither weights nor random
state nor journal know of any of this (law 3).

A trainer that dies while the model is asked may have died of it (memory, a fault in the model's code), and nobody can
tell that from a kill by a person: each such death counts as one try. The second try asks one prompt at a time, whose
answers may differ from those of a batch as far as the rounding of sums does; after two deaths the answers are unknown
(E7), as training is worth more than one examination. A clean stop takes its try back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import TypeVar

from arena.examinations import Examinations
from arena.journal import ClaimEntry
from arena.protocol import Examined, ExamSheet, Trouble
from arena.rendering import Renderer
from arena.supervision.position_file import Phase
from arena.trainer.generation import MOST_ROWS, Manner
from arena.trainer.logits_processors import build_logits_processors
from arena.trainer.situation import LOOK_SECONDS, Situation
from arena.trainer.stream.patient_reading import read_patiently
from arena.trainer.stream.quest_taking import ClaimClock
from core.crash_points import crash_point
from core.errors import InvalidInput, first_line
from guild.profiles import get_profile

logger = logging.getLogger(__name__)

Answers = list[str | None]
T = TypeVar("T")

MOST_TRIES = 2
"""Deaths of trainers that one examination may cost."""


class Examiner:
    """One per child; see the module docstring."""

    def __init__(
        self, situation: Situation, renderer_for: Callable[[str], Renderer], clock: ClaimClock, kept: Examinations
    ) -> None:
        self._situation = situation
        self._renderer_for = renderer_for
        self._clock = clock
        """That of every renderer."""
        self._kept = kept

    def examine_when_due(self) -> bool:
        """Between two quests: have every sheet answered whose quest is over; False when there is none.

        A stop cuts it off.
        """
        due = self._due()
        for claim, sheet in due:
            if not self._examine(claim, sheet):
                break
        return bool(due)

    def _due(self) -> list[tuple[ClaimEntry, ExamSheet]]:
        """In the order of the quests."""
        history, sheets = self._situation.journal.history, self._situation.sheets
        over = {
            ordinal: sheet
            for quest_id, sheet in sheets.items()
            if (ordinal := history.ordinal_of(quest_id)) is not None and ordinal < self._situation.cursor.ordinal
        }
        return [(history.claims[ordinal], over[ordinal]) for ordinal in sorted(over)]

    def _examine(self, claim: ClaimEntry, sheet: ExamSheet) -> bool:
        """False when a stop came before the answers were durable: they are still due then."""
        situation, step = self._situation, self._situation.arms.global_step
        situation.note(Phase.WAITING)
        kept = self._find(claim, sheet)
        if kept is None:
            began = time.monotonic()
            try:
                answers = self._ask_unless_fatal(claim, sheet)
            except _CutOff:
                return False
            crash_point("exam.answered")
            kept = Examined(
                exam_id=sheet.exam_id, quest_id=claim.quest_id, step=step, answers=answers,
                seconds=time.monotonic() - began,
            )  # fmt: skip
            if self._write(partial(self._kept.keep, kept), sheet) is None:
                return False
            crash_point("exam.kept")
        situation.link.send(kept)
        del situation.sheets[claim.quest_id]
        return True

    def _find(self, claim: ClaimEntry, sheet: ExamSheet) -> Examined | None:
        """Answers to this very sheet: whoever wrote them, or the daemon, was killed before they were on record."""
        try:
            kept = self._kept.find(sheet.exam_id)
        except OSError:
            return None
        if kept is None or (kept.quest_id, len(kept.answers)) != (claim.quest_id, len(sheet.questions)):
            return None
        # Since a rewind, the quest may have ended with other weights.
        at_end = self._weights_are_those_of_the_end(claim)
        return kept if not at_end or kept.step == self._situation.arms.global_step else None

    def _ask_unless_fatal(self, claim: ClaimEntry, sheet: ExamSheet) -> Answers:
        unknown: Answers = [None] * len(sheet.questions)
        if not self._weights_are_those_of_the_end(claim):
            self._tell(f"{sheet.exam_id} was not taken when {claim.name} was over, and others were learned since")
            return unknown
        number = self._write(partial(self._kept.begin_try, sheet.exam_id), sheet)
        if not number:
            raise _CutOff
        if number > MOST_TRIES:
            self._tell(f"{sheet.exam_id} is given up: the trainer has died in it {MOST_TRIES} times")
            return unknown
        try:
            answers = self._ask(claim, sheet, MOST_ROWS if number == 1 else 1)
        except _CutOff:
            self._take_back_try(sheet)
            raise
        self._take_back_try(sheet)
        return answers

    def _take_back_try(self, sheet: ExamSheet) -> None:
        """The trainer has outlived it."""
        with suppress(OSError):  # it costs a try at most
            self._kept.take_back_try(sheet.exam_id)

    def _ask(self, claim: ClaimEntry, sheet: ExamSheet, most_rows: int) -> Answers:
        try:
            answers = self._answers(claim, sheet, most_rows)
        except Exception as error:  # whatever the model's code raises, its answers are unknown and training goes on
            logger.exception("an examination failed", extra={"event": "examination_failed"})
            self._tell(f"{sheet.exam_id} could not be taken: {first_line(error)}")
            return [None] * len(sheet.questions)
        if None in answers:
            self._tell(f"Of the questions of {sheet.exam_id}, {answers.count(None)} could not be answered")
        return answers

    def _weights_are_those_of_the_end(self, claim: ClaimEntry) -> bool:
        steps_of, (here, quest_step) = self._situation.journal.history.steps_of, self._situation.here
        return not quest_step and not any(map(steps_of, range(claim.ordinal + 1, here)))

    def _answers(self, claim: ClaimEntry, sheet: ExamSheet, most_rows: int) -> Answers:
        situation, settings = self._situation, claim.settings
        # A template may print the time: that at which its rows were taught.
        self._clock.now = datetime.fromisoformat(claim.at)
        # No quest is to blame for what this dies of, least of all the next one, where the position stands already.
        load = partial(self._renderer_for, settings.profile)
        renderer = read_patiently(situation, load, claim.quest_id, phase=Phase.WAITING)
        if renderer is None:
            raise _CutOff
        profile = get_profile(settings.profile)
        prompts = [_prompt(renderer, question, settings.system_prompt) for question in sheet.questions]
        manner = Manner(
            stop_ids=renderer.stop_ids, max_new_tokens=sheet.max_new_tokens, max_length=settings.max_length,
            processors=partial(build_logits_processors, profile, renderer), between=self._look_up, most_rows=most_rows,
        )  # fmt: skip
        written = situation.arms.answers(prompts, manner, settings.arithmetic)
        return [None if tokens is None else renderer.text_of(tokens) for tokens in written]

    def _look_up(self) -> None:
        """Between two tokens: obey, as between two steps."""
        situation, orders = self._situation, self._situation.orders
        situation.position.beat()
        orders.look()
        while orders.stop_reason is None and orders.pause_reason is not None:
            situation.tell("paused", reason=orders.pause_reason)
            orders.wait(LOOK_SECONDS)
        if orders.stop_reason is not None:
            raise _CutOff
        situation.tell("evaluating")

    def _write(self, write: Callable[[], T], sheet: ExamSheet) -> T | None:
        """What `write` returns; a disk that refuses is waited for, warm. None when a stop came first."""
        situation, told = self._situation, False
        while True:
            try:
                return write()
            except OSError as error:
                reason = f"the answers of {sheet.exam_id} cannot be written: {error.strerror or error}"
            if not told:
                situation.link.send(Trouble(what="examination_not_kept", message=f"Training waits: {reason}"))
                told = True
            situation.tell("paused", reason=f"disk: {reason}")
            situation.orders.wait(LOOK_SECONDS)
            if situation.orders.stop_reason is not None:
                return None

    def _tell(self, message: str) -> None:
        """Unknown is not wrong (failure E7), and people should know of it."""
        self._situation.link.send(Trouble(what="examination_incomplete", message=f"{message}."))


class _CutOff(BaseException):
    """A stop came while the model was answering. No error of the model's code."""


def _prompt(renderer: Renderer, question: str, system_prompt: str | None) -> list[int]:
    """Empty for a question that cannot be asked."""
    try:
        return renderer.prompt_ids([{"role": "user", "content": question}], system_prompt)
    except InvalidInput as error:
        logger.warning("a question cannot be asked: %s", error, extra={"event": "question_left_out"})
        return []
