"""Keeps the next waiting quests proven, so that the gate before training never makes the trainer wait (DESIGN 4).

The verdict is made in a scribe of its own: an inspection of gigabytes in the inbox must not hold up a claim. A proof
counts only in the process that made it and only for the yardstick it was made with; the claim writes it into the
quest's sidecar. Fails closed (law 6, C8): no proof, no claim; a quest at which the gate itself dies is rejected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from arena.blockade import Blockade
from arena.gatekeepers.measures.row_choice import looks_at_every
from arena.gatekeepers.measures.yardstick import Stamp, Yardstick, is_at_hand
from arena.gatekeepers.rejection import describe_verdict, write_rejection
from arena.lanes.reading import stamp_of
from arena.proving.proofs import (
    FAILED_ON_FILE,
    JOB_BYTES,
    BoardView,
    Proof,
    Sample,
    is_to_blame,
    jobs_of,
    proof_in_words,
    verdict_of_error,
)
from arena.quest_board import QuestBoard
from arena.quests import NAMELESS, Quest, QuestRecord
from arena.telling.lineage_counts import CountVerdicts, count_nothing
from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.scribe import Scribe, ScribeBug
from core.tasks import beat, rest

logger = logging.getLogger(__name__)

PROVE = "arena.gatekeepers.measures.standard_gate:prove_files"
MAKE_READY = "arena.gatekeepers.measures.standard_gate:make_ready"
KEEP_TOKENS = "arena.gatekeepers.measures.token_keeping:keep_tokens"

AHEAD = 256
"""Quests that are kept proven; fewer than half of them left makes the assay look at the board again."""
JOB_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 1 << 20
SLOWEST_BYTES_TOKENIZED = 1 << 16
"""The same for a whole file that is tokenized."""
CLAIM_AT_ONCE_SECONDS = 1.0
"""A large quest that is claimed within so long is tokenized by the trainer, which has nothing else to do."""
HUNG_SECONDS = 900.0
RETRY_SECONDS = 5.0
"""Pause after the scribe could not be started or the disk failed."""
WORKS_AGAIN = "The gate before training works again"


class Tell(Protocol):
    """Adds an event to the saga."""

    async def __call__(self, kind: str, message: str, now: datetime, **data: Any) -> None: ...


class Assay:
    """The task that proves, and the answers to claims. One per daemon."""

    def __init__(
        self,
        board: QuestBoard,
        yardstick_for: Callable[[QuestRecord], Yardstick],
        *,
        tell: Tell,
        blockade: Blockade,
        on_news: Callable[[], None],
        make_scribe: Callable[[], Scribe] = Scribe,
        cache: Callable[[], dict[str, Any] | None] = lambda: None,
        sketches: Callable[[], dict[str, Any] | None] = lambda: None,
        count_verdicts: CountVerdicts = count_nothing,
        files: Files = DISK,
    ) -> None:
        """`yardstick_for` may raise `InvalidInput`: that rejects the quest. `on_news` says that claims may go on.

        `blockade` is up while nothing can be proven for no quest's fault. `cache` tells where the tokens of proven
        quests are kept for the trainer (`arena.gatekeepers.measures.token_keeping.entry_for`), `sketches` where
        those of rows lie (`Sample.sketches`).
        """
        self._board = board
        self._yardstick_for = yardstick_for
        self._tell = tell
        self._blockade = blockade
        self._on_news = on_news
        self._files = files
        self._count_verdicts = count_verdicts
        self._make_scribe = make_scribe
        self._cache = cache
        self._sketches = sketches
        self._scribe, self._scribe_for_large = make_scribe(), make_scribe()
        self._large: asyncio.Task[None] | None = None
        """Proves a large quest, or makes the tokens of one that is proven."""
        self._large_id: str | None = None
        """The quest that it is about."""
        self._large_is_proven = False
        """Whether no claim waits for that, as it is about tokens."""
        self._kept: dict[str, int] = {}
        """Bytes of the tokens that were made here for each quest that still waits; 0 where they could not be."""
        self._wanted = asyncio.Event()
        self._warming: asyncio.Task[None] | None = None
        self._asked: Quest | None = None
        self._proofs: dict[str, Proof] = {}
        self._told_missing = ""
        self.missing_tokenizer: str | None = None
        """Where there is none yet that quests wait for, as of the last look at the board."""

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold the gate up."""
        return [self._blockade]

    @property
    def measuring(self) -> str | None:
        """The quest whose proof a claim waits for."""
        return self._asked.name if self._asked is not None else None

    @property
    def proven_ahead(self) -> int:
        """How many waiting quests have a proof."""
        return len(self._proofs)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be proven at the moment, for no quest's fault; None while it can."""
        return self._blockade.message

    def told_of(self, quest_id: str) -> dict[str, Any] | None:
        """The proof of a quest that waits, as its sidecar will have it; it may not hold any more."""
        proof = self._proofs.get(quest_id)
        return proof.told if proof is not None else None

    # --- what the claims ask ---------------------------------------------------------------------------------

    async def proof_for(self, quest: Quest) -> dict[str, Any] | None:
        """The proof of a quest; None when there is none that holds now: it is made next, and `on_news` called."""
        known = self._proofs.get(quest.quest_id)
        if known is not None and await asyncio.to_thread(self._holds, known, quest.record):
            return known.told
        # Kept until the proof is fetched: a look in between drops the proofs of quests that nobody waits for.
        self._asked = quest
        self._wanted.set()
        return None

    def note_claimed(self, quest: Quest) -> None:
        """The quest has taken its proof along."""
        self._proofs.pop(quest.quest_id, None)
        if self._large is not None and self._large_id == quest.quest_id:
            self._large.cancel()  # the trainer makes the tokens that are not there now
        if self._kept.pop(quest.quest_id, 0):
            self._wanted.set()  # there may be room for those of another one
        if self._asked is not None and self._asked.quest_id == quest.quest_id:
            self._asked = None
        self.look()

    def look(self) -> None:
        """Something changed on the board."""
        if self.proven_ahead < AHEAD // 2:
            self._wanted.set()

    def warm_up(self) -> None:
        """A file is on its way: have the scribe ready, with the tokenizer, by the time it is let in."""
        if self._scribe.worker_pid is None and (self._warming is None or self._warming.done()):
            self._warming = asyncio.create_task(self._make_ready(), name="assay warming up")

    async def _make_ready(self) -> None:
        with suppress(RealmError, OSError, ScribeBug):  # what is wrong shows with the quest
            yardstick = await asyncio.to_thread(self._yardstick_for, NAMELESS)
            if is_at_hand(yardstick.tokenizer):
                named = {"tokenizer": yardstick.tokenizer, "profile": yardstick.profile}
                await self._scribe.run(MAKE_READY, named)

    # --- life ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Prove for ever; the scribes end with it."""
        self._scribe, self._scribe_for_large = self._make_scribe(), self._make_scribe()
        try:
            while True:
                rest()
                await self._wanted.wait()
                self._wanted.clear()
                try:
                    await self._look_ahead()
                except (RealmError, OSError) as error:
                    await self._pause_after(error)
        finally:
            for task in (self._large, self._warming):
                if task is not None:
                    task.cancel()
            await asyncio.gather(self._scribe.close(), self._scribe_for_large.close())

    async def _look_ahead(self) -> None:
        """Prove what lacks a proof, in the order of the claims; what is asked meanwhile comes first."""
        beat(HUNG_SECONDS)
        view = await asyncio.to_thread(self._look_at_board, dict(self._proofs))
        rest()  # the scribe has time limits of its own
        for quest_id in view.stale:
            self._proofs.pop(quest_id, None)
        self._kept = {quest_id: size for quest_id, size in self._kept.items() if quest_id in self._proofs}
        for quest, error in view.unmeasurable:
            await self._refuse(quest, verdict_of_error(quest.record, str(error)))
        if view.unmeasurable:
            self._on_news()  # what waits behind them may be proven already
        self.missing_tokenizer = view.missing or None
        if view.missing:
            await self._tell_missing(view.missing)
        if not view.unproven:
            await self._blockade.lift(WORKS_AGAIN)  # what it failed at is not there any more
        # One of them may have been proven while the board was looked at.
        unproven = [sample for sample in view.unproven if sample.quest.quest_id not in self._proofs]
        self._begin_large(next((sample for sample in unproven if sample.size > JOB_BYTES), None), view.proven)
        for samples in jobs_of([sample for sample in unproven if sample.size <= JOB_BYTES]):
            await self._prove(samples, self._scribe)
            if self._wanted.is_set():
                return

    def _begin_large(self, unproven: Sample | None, proven: list[Sample]) -> None:
        """Prove this large quest or, without one, make the tokens of the next that waits; one at a time."""
        at_work = self._large is not None and not self._large.done()
        if unproven is not None and (not at_work or self._large_is_proven):
            if self._large is not None:
                self._large.cancel()  # a claim may wait for the proof; those tokens are made later, or by the trainer
            self._large = asyncio.create_task(self._prove_large(unproven), name="assay of a large quest")
            self._large_id, self._large_is_proven = unproven.quest.quest_id, False
        elif not at_work and (sample := self._next_to_tokenize(proven)) is not None:
            self._large = asyncio.create_task(self._keep_tokens(sample), name="tokens of a large quest")
            self._large_id, self._large_is_proven = sample.quest.quest_id, True

    def _next_to_tokenize(self, proven: list[Sample]) -> Sample | None:
        """The next quest whose tokens are still to be made, if there is room for them.

        Together they have half of the cache. Without a bound, the tokens of the quests behind would push out those that
        were made first, which are the ones that are needed next.
        """
        for sample in proven:
            limit = sample.cache["max_bytes"] // 2 if sample.cache is not None else 0
            done = sample.quest.quest_id in self._kept or sample.quest.quest_id not in self._proofs
            if done or sample.size > limit or looks_at_every(sample.quest.record.rows, sample.size):
                continue
            return sample if sum(self._kept.values()) + sample.size <= limit else None
        return None

    async def _prove_large(self, sample: Sample) -> None:
        name, size = sample.quest.name, sample.size / 1e6
        try:
            await self._tell("quest_measuring", f"{name} ({size:.0f} MB) is measured before it is trained", _utc_now())
            await self._prove([sample], self._scribe_for_large)
        except (RealmError, OSError) as error:
            await self._pause_after(error)
        finally:
            self._wanted.set()

    async def _keep_tokens(self, sample: Sample) -> None:
        """Have a quest that waits longer tokenized for the trainer; ended as soon as it is claimed."""
        quest_id, timeout = sample.quest.quest_id, JOB_SECONDS + sample.size / SLOWEST_BYTES_TOKENIZED
        try:
            await asyncio.sleep(CLAIM_AT_ONCE_SECONDS)
            if quest_id in self._proofs:
                self._kept[quest_id] = await self._scribe_for_large.run(KEEP_TOKENS, sample.job(), timeout)
        except (RealmError, OSError, ScribeBug) as error:
            self._kept[quest_id] = 0
            logger.warning("no tokens of %s: %s", sample.quest.name, error, extra={"event": "tokens_not_stored"})
        finally:
            self._wanted.set()

    async def _pause_after(self, error: Exception) -> None:
        """No quest is to blame: wait a little, then have the claims ask again."""
        await self._blockade.raise_up(f"Quests wait, as the gate before training cannot work: {error}")
        await asyncio.sleep(RETRY_SECONDS)
        self._wanted.set()
        self._on_news()

    async def _tell_missing(self, tokenizer: str) -> None:
        if self._told_missing != tokenizer:
            self._told_missing = tokenizer
            message = f"Quests wait for their model: there is no tokenizer in {tokenizer} yet"
            await self._tell("quests_wait_for_model", message, _utc_now())

    # --- looking at the board ----------------------------------------------------------------------------------

    def _holds(self, proof: Proof, record: QuestRecord) -> bool:
        try:
            return proof.yardstick == self._yardstick_for(record) and proof.stamp == proof.yardstick.stamp()
        except RealmError:
            return False

    def _look_at_board(self, proofs: dict[str, Proof]) -> BoardView:
        """The next quests in the order of their claims, sorted by whether one of `proofs` holds for them."""
        quests = self._board.waiting(AHEAD)
        asked = self._asked
        if asked is not None and all(quest.quest_id != asked.quest_id for quest in quests):
            quests.insert(0, asked)  # it lies in processing/, or far behind
        view = BoardView(stale=set(proofs))
        stamps: dict[Yardstick, Stamp] = {}
        for quest in quests:
            file = stamp_of(quest.path)
            if file is None:
                continue
            try:
                yardstick = self._yardstick_for(quest.record)
            except RealmError as error:
                view.unmeasurable.append((quest, error))
                continue
            if not is_at_hand(yardstick.tokenizer):
                view.missing = yardstick.tokenizer
                continue
            if yardstick not in stamps:
                stamps[yardstick] = yardstick.stamp()
            stamp = stamps[yardstick]
            sample = Sample(quest, yardstick, stamp, file, self._cache(), self._sketches())
            proof = proofs.get(quest.quest_id)
            if proof is not None and (proof.yardstick, proof.stamp) == (yardstick, stamp):
                view.stale.discard(quest.quest_id)
                view.proven.append(sample)
            else:
                view.unproven.append(sample)
        return view

    # --- proving -----------------------------------------------------------------------------------------------

    async def _prove(self, samples: Sequence[Sample], scribe: Scribe) -> None:
        timeout = JOB_SECONDS + sum(sample.size for sample in samples) / SLOWEST_BYTES_PER_SECOND
        try:
            verdicts = await scribe.run(PROVE, {"quests": [sample.proof_job() for sample in samples]}, timeout)
        except (InvalidInput, Unavailable, ScribeBug) as error:
            if len(samples) > 1:
                # Which of them is to blame shows when each is tried alone.
                for sample in samples:
                    await self._prove([sample], scribe)
                return
            if not is_to_blame(samples[0].quest, error):
                raise
            verdicts = [verdict_of_error(samples[0].quest.record, f"{FAILED_ON_FILE}: {error}")]
        for sample, verdict in zip(samples, verdicts, strict=True):
            await self._settle(sample, verdict)
        await self._blockade.lift(WORKS_AGAIN)
        self._on_news()
        judged = [(sample.quest.record, verdict) for sample, verdict in zip(samples, verdicts, strict=True)]
        await asyncio.to_thread(self._count_verdicts, judged, _utc_now())

    async def _settle(self, sample: Sample, verdict: dict[str, Any]) -> None:
        quest = sample.quest
        if stamp_of(quest.path) != sample.file:
            return  # moved or changed by hand meanwhile: the verdict is about something that is not there any more
        if not verdict["accepted"]:
            await self._refuse(quest, verdict)
            return
        told = proof_in_words(sample.yardstick, verdict, _utc_now())
        self._proofs[quest.quest_id] = Proof(sample.yardstick, sample.stamp, told)
        if remarks := told["warnings"]:
            message = f"{quest.name} may be learned, with a remark: {remarks[0]}"
            await self._tell("quest_remarks", message, _utc_now(), quest_id=quest.quest_id, remarks=remarks)

    async def _refuse(self, quest: Quest, verdict: dict[str, Any]) -> None:
        """Move it to `failed/` with its reasons beside it."""
        now = _utc_now()
        judgement, *reasons = describe_verdict(verdict)
        reason = "; ".join([judgement, *reasons[:1]])
        try:
            failed = await asyncio.to_thread(
                self._board.fail, quest.quest_id, outcome="rejected", reason=reason, now=now,
                judged_by=verdict["validators"],
            )  # fmt: skip
        except (NotFound, Conflict):
            return  # removed by hand meanwhile, or the trainer has it
        about = {**verdict, "content_hash": quest.record.content_hash}
        await asyncio.to_thread(write_rejection, failed.path, about, now=now, files=self._files)
        message = f"{failed.name} was {reason}"
        await self._tell("quest_rejected", message, now, quest_id=quest.quest_id, reasons=reasons[:10])


def _utc_now() -> datetime:
    return datetime.now(UTC)
