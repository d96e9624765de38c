"""The assay: waiting quests are proven ahead of their claim, in real scribes, and nothing passes without a proof."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from arena.blockade import Blockade
from arena.gatekeepers.measures.row_choice import ALL_ROWS
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.proving.assay import AHEAD, Assay
from arena.proving.proofs import JOB_BYTES
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord, read_sidecar
from core.db import Database
from core.errors import InvalidInput
from core.saga import MIGRATIONS, Saga
from core.scribe import Scribe
from core.settings import BudgetSettings
from tests.arena.gatekeepers.scroll_making import chat, lines
from tests.arena.quest_makers import NOW, admit, drop, record_of
from tests.arena.qwen_like import make_qwen_like
from tests.waiting import wait_until_async

MORTAL = (sys.executable, "-m", "tests.arena.mortal_worker")


@dataclass
class Court:
    """An assay at work, and what it said."""

    board: QuestBoard
    yardstick: Yardstick
    saga: Saga
    events: list[tuple[str, str]] = field(default_factory=list)
    news: int = 0
    assay: Assay = field(init=False)

    def yardstick_for(self, quest: QuestRecord) -> Yardstick:
        if quest.profile == "nonsense":
            raise InvalidInput("There is no profile named 'nonsense'.")
        return replace(self.yardstick, profile=quest.profile or self.yardstick.profile)

    async def tell(self, kind: str, message: str, now: datetime, **data: Any) -> None:
        self.events.append((kind, message))

    def note_news(self) -> None:
        self.news += 1

    def quest(self, name: str, *rows: Any, priority: str = "normal", mtime: float = 1000.0, **options: Any) -> Quest:
        """Drop and admit a quest as the inbox does."""
        source = drop(self.board.paths, f"{name}.jsonl", lines(*rows or (chat(),)).decode().rstrip("\n"), mtime=mtime)
        record = record_of(source, priority, **options)
        quest = self.board.admit(source, record, priority, source.name, now=NOW)
        self.assay.look()
        return quest

    async def proof(self, quest: Quest) -> dict[str, Any]:
        """Ask as a claim does, until there is a proof."""
        while (found := await self.assay.proof_for(quest)) is None:
            before = self.news
            await wait_until_async(lambda before=before: self.news > before, message=f"a proof of {quest.name}")  # type: ignore[misc]
        return found

    @property
    def tokens(self) -> list[str]:
        """Names of the token files."""
        return sorted(file.name for file in self.board.paths.tokens.glob("*.tokens"))

    @property
    def large_jobs(self) -> int:
        """Proofs of large quests and whole quests tokenized, begun so far."""
        return self.assay._scribe_for_large.jobs

    def gate_news(self) -> list[str]:
        """Kinds of the events about the gate as such."""
        return [event.kind for event in self.saga.events_after(0)]

    async def rejected(self, quest: Quest) -> dict[str, Any]:
        """The report beside a quest that was refused."""
        report = self.board.paths.lane("failed") / f"{quest.name}.rejection.json"
        await wait_until_async(report.exists, message=f"a rejection of {quest.name}")
        found: dict[str, Any] = json.loads(report.read_text())
        record = read_sidecar(report.with_name(quest.name))
        assert record is not None
        assert (record.outcome, record.lineage["validation_passed"]) == ("rejected", False)
        return found


Opener = Callable[..., Any]


@pytest.fixture
def court(board: QuestBoard) -> Iterator[Opener]:
    saga = Saga(Database(board.paths.saga_db, MIGRATIONS), BudgetSettings())

    @asynccontextmanager
    async def opened(
        *, command: tuple[str, ...] | None = None, cache_bytes: int = 1 << 24, **changes: Any
    ) -> AsyncIterator[Court]:
        values = {
            "tokenizer": "seedling",
            "profile": "chatml",
            "system_prompt": None,
            "max_length": 128,
            "held_out": "",
        }
        made = Court(board, Yardstick(**{**values, **changes}), saga)
        made.assay = Assay(
            board, yardstick_for=made.yardstick_for, tell=made.tell, on_news=made.note_news,
            make_scribe=lambda: Scribe(command=command) if command else Scribe(), blockade=Blockade(saga, "gate"),
            cache=lambda: {"folder": str(board.paths.tokens), "max_bytes": cache_bytes},
        )  # fmt: skip
        task = asyncio.create_task(made.assay.run())
        try:
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    yield opened
    saga.db.close()


async def test_a_burst_is_proven_ahead_of_its_claims_and_the_claim_writes_the_proof_down(court: Opener) -> None:
    async with court() as at:
        quests = [at.quest(f"q{number:03}", mtime=1000.0 + number) for number in range(80)]
        await wait_until_async(lambda: at.assay.proven_ahead == 80, message="80 proofs")
        # Nobody has asked yet: when the claim asks, the answer is there.
        proof = await at.assay.proof_for(quests[0])
        assert proof is not None
        claimed = at.board.claim(quests[0], proof)
        at.assay.note_claimed(claimed)
    record = read_sidecar(claimed.path)
    assert record is not None
    assert record.proof is not None
    assert record.proof["judged_by"]["max_length"] == 128
    assert record.proof["tokens"]["length"]["max"] == 21 + 5
    assert record.lineage == {"validator_versions": {"token_validator": "1.0.0"}, "validation_passed": True}
    assert at.events == []


async def test_a_quest_whose_answers_would_be_cut_goes_to_failed_with_its_lines(court: Opener) -> None:
    """C17: refused with line and reason, before the trainer sees it."""
    async with court() as at:
        bad = at.quest("bad", chat(), chat("a" * 200), chat(), chat("b", "q" * 200), *[chat()] * 60)
        good = at.quest("good")
        report = await at.rejected(bad)
        assert [reason["line"] for reason in report["reasons"]] == [2, 4]
        assert report["tokens"]["rows_truncated"] == 2
        assert await at.proof(good)
    assert [kind for kind, _ in at.events] == ["quest_rejected"]
    assert at.events[0][1].startswith("bad.jsonl was rejected: 2 errors and 1 warning in 64 rows; line 2, messages[1]")


async def test_at_level_deep_a_quest_is_told_of_and_let_through(court: Opener) -> None:
    """Setting `gates.level: deep`: advice before training, never a refusal."""
    async with court(deep=True) as at:
        proof = await at.proof(at.quest("twice", *[chat("It is so.", "Is it so?")] * 2))
        assert (proof["level"], proof["content"]["duplicates"], proof["total_warnings"]) == ("deep", 1, 1)
        assert [kind for kind, _ in at.events] == ["quest_remarks"]
        assert "line 2: the row says the same as row 1" in at.events[0][1]


async def test_a_quest_at_which_the_scribe_dies_is_rejected_and_the_others_go_on(court: Opener) -> None:
    """C8: the death of the validator was an entry."""
    async with court(command=MORTAL) as at:
        first, poison, last = (at.quest(name) for name in ("first", "poison", "last"))
        report = await at.rejected(poison)
        assert "killed by SIGKILL" in report["reasons"][0]["message"]
        assert await at.proof(first)
        assert await at.proof(last)
        assert at.board.find(poison.quest_id).lane == "failed"


async def test_a_large_quest_does_not_hold_up_what_is_claimed_before_it(court: Opener) -> None:
    async with court(command=MORTAL) as at:
        at.quest("endless", *[chat("a" * 60, "q" * 20)] * (JOB_BYTES // 80), priority="low")
        await wait_until_async(lambda: at.events, message="the large one is begun")
        assert at.events[0][0] == "quest_measuring"
        small = at.quest("small", priority="high")
        assert await at.proof(small)


async def test_the_proof_of_a_large_quest_in_processing_waits_until_it_is_fetched(
    court: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was claimed before the realm ended. A proof dropped at the next look is measured again, for ever."""
    monkeypatch.setattr("arena.proving.assay.JOB_BYTES", 0)
    async with court() as at:
        claimed = at.board.claim(at.quest("large"))
        assert await at.assay.proof_for(claimed) is None
        await wait_until_async(lambda: at.news, message="the proof")
        at.quest("next")
        await wait_until_async(lambda: at.news > 1, message="another look at the board")
        assert await at.assay.proof_for(claimed)
        at.assay.note_claimed(claimed)
        at.quest("last")
        await wait_until_async(lambda: at.assay.proven_ahead == 2, message="the claimed one is forgotten")
    assert [message.split(" ")[0] for _, message in at.events] == ["large.jsonl", "next.jsonl", "last.jsonl"]


async def test_a_gate_that_cannot_work_is_told_once_and_goes_on_by_itself(
    court: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 6: quests wait meanwhile, and no quest is blamed for it."""
    monkeypatch.setattr("arena.proving.assay.RETRY_SECONDS", 0.01)
    worker = tmp_path / "worker"
    async with court(command=(str(worker),)) as at:
        quest = at.quest("one")
        await wait_until_async(lambda: at.news > 2, message="some tries")
        assert at.gate_news() == ["gate_blocked"]
        script = tmp_path / "script"
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -m core.scribe_worker\n")
        script.chmod(0o755)
        script.rename(worker)
        assert await at.proof(quest)
        assert at.gate_news() == ["gate_blocked", "gate_goes_on"]
    assert at.board.find(quest.quest_id).lane == "normal"


async def test_what_waits_behind_a_quest_with_impossible_options_is_claimed_at_once(court: Opener) -> None:
    async with court() as at:
        await at.proof(at.quest("good"))
        before = at.news
        await at.rejected(at.quest("bad", priority="high", profile="nonsense"))
        await wait_until_async(lambda: at.news > before, message="the claims are told")


async def test_a_changed_max_length_proves_again(court: Opener) -> None:
    async with court() as at:
        quest, other = at.quest("one", chat("a" * 60)), at.quest("two")
        assert (await at.proof(quest))["judged_by"]["max_length"] == 128
        at.yardstick = replace(at.yardstick, max_length=64)
        assert await at.assay.proof_for(quest) is None
        await at.rejected(quest)
        assert (await at.proof(other))["judged_by"]["max_length"] == 64


async def test_rows_that_are_held_out_later_prove_again(court: Opener) -> None:
    """C14: training data contained validation examples."""
    async with court(held_out="") as at:
        held_out = at.board.paths.validation
        at.yardstick = replace(at.yardstick, held_out=str(held_out))
        quest = at.quest("one", chat("1"), chat("2"), chat("3"))
        assert await at.proof(quest)
        (held_out / "exam.jsonl").write_bytes(lines(chat("2")))
        assert await at.assay.proof_for(quest) is None
        assert [reason["line"] for reason in (await at.rejected(quest))["reasons"]] == [2]


async def test_quests_wait_for_a_model_that_is_not_on_this_machine_yet(court: Opener, tmp_path: Path) -> None:
    """Law 6: no tokenizer, no proof, no entry; and no quest is blamed for it."""
    model = tmp_path / "models" / "to--come"
    async with court(tokenizer=str(model)) as at:
        quest = at.quest("one")
        assert await at.assay.proof_for(quest) is None
        await wait_until_async(lambda: at.events, message="it is told")
        make_qwen_like(model)
        at.assay.look()
        await wait_until_async(lambda: at.news, message="a proof")
        assert (await at.proof(quest))["judged_by"]["tokenizer"]
    assert [kind for kind, _ in at.events] == ["quests_wait_for_model"]


@pytest.mark.parametrize("profile", ["nonsense", "chatml"])
async def test_a_quest_that_asks_for_a_profile_that_cannot_be_is_rejected(
    court: Opener, tmp_path: Path, profile: str
) -> None:
    """D12: an unknown profile, and one whose control tokens the tokenizer lacks."""
    model = make_qwen_like(tmp_path / "model")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        text = (model / file).read_text()
        (model / file).write_text(text.replace("<|im_start|>", "<|other_start|>"))
    async with court(tokenizer=str(model), profile="native") as at:
        bad = at.quest("bad", profile=profile)
        plain = at.quest("plain", {"text": "no template needed"}, schema_id="completion_v1")
        assert "profile" in (await at.rejected(bad))["reasons"][0]["message"]
        assert await at.proof(plain)


async def test_a_quest_moved_by_hand_meanwhile_is_not_judged_by_what_lay_there_before(court: Opener) -> None:
    async with court() as at:
        quest = at.quest("one", chat("a" * 200), priority="low")
        at.board.move(quest.quest_id, "high")
        await at.rejected(quest)
        removed = at.quest("two")
        at.board.remove(removed.quest_id)
        last = at.quest("three")
        assert await at.proof(last)


async def test_the_tokens_of_what_is_proven_lie_ready_for_the_trainer(court: Opener) -> None:
    async with court() as at:
        first = at.quest("one", chat("1"))
        assert await at.proof(first)
        assert len(at.tokens) == 1
        second = at.quest("two", chat("2"), system_prompt="Be kind.")
        assert await at.proof(second)
        assert len(at.tokens) == 2


async def test_a_large_quest_is_tokenized_while_it_waits_unless_it_is_claimed_at_once(
    court: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arena.proving.assay.JOB_BYTES", 0)
    monkeypatch.setattr("arena.proving.assay.CLAIM_AT_ONCE_SECONDS", 2.0)
    async with court() as at:
        claimed = at.quest("claimed", chat("other"), *LARGE, mtime=1000.0)
        at.quest("waiting", *LARGE, mtime=2000.0)
        proof = await at.proof(claimed)
        at.assay.note_claimed(at.board.claim(claimed, proof))
        await wait_until_async(lambda: at.tokens, message="the tokens of the one that waits", timeout=60)
        assert at.assay.proven_ahead == 1
        assert len(at.tokens) == 1
    assert at.gate_news() == []


LARGE = [{**chat(), "padding": "." * 4000}] * 300
"""More than the gate looks at row by row; few tokens."""


async def test_the_proof_of_a_large_quest_does_not_wait_for_the_tokens_of_another_one(
    court: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer had nothing to do for as long as the tokens of a quest took that came after."""
    monkeypatch.setattr("arena.proving.assay.CLAIM_AT_ONCE_SECONDS", 0.0)
    async with court(command=MORTAL) as at:
        wordy = at.quest("wordy", *LARGE, priority="low")
        await wait_until_async(lambda: at.large_jobs == 2, message="its tokens are begun", timeout=60)
        assert await at.proof(at.quest("urgent", chat("other"), *LARGE, priority="high"))
        await wait_until_async(lambda: len(at.tokens) == 1, message="the tokens of what is claimed next", timeout=60)
        await wait_until_async(lambda: at.large_jobs == 5, message="those of the other one are begun again", timeout=60)
        assert await at.proof(wordy)
    assert at.gate_news() == []


async def test_tokens_are_made_ahead_as_long_as_they_push_out_none_of_a_quest_that_waits(
    court: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest tokens go first, and those are of the quest that is claimed next."""
    monkeypatch.setattr("arena.proving.assay.CLAIM_AT_ONCE_SECONDS", 0.0)
    many = [{"text": "a"}] * (ALL_ROWS + 1)
    async with court(cache_bytes=2 * len(lines(*LARGE)) + 1000) as at:
        first = at.quest("first", *many, schema_id="completion_v1", mtime=1000.0)
        second = at.quest("second", *LARGE, mtime=2000.0)
        assert await at.proof(second)
        await wait_until_async(lambda: at.assay._kept, message="tokens of the first", timeout=60)
        assert await at.proof(at.quest("small", mtime=3000.0))
        assert (len(at.tokens), at.large_jobs) == (2, 2), "the gate has made those of the small one"
        at.assay.note_claimed(at.board.claim(first, await at.proof(first)))
        await wait_until_async(lambda: len(at.tokens) == 3, message="tokens of the second, now with room", timeout=60)


async def test_no_more_than_a_few_are_proven_ahead(court: Opener) -> None:
    """Law 9: ten thousand waiting files are not ten thousand proofs in memory."""
    async with court() as at:
        for number in range(AHEAD + 20):
            drop_only = drop(at.board.paths, f"n{number:04}.jsonl", json.dumps(chat()), mtime=1000.0 + number)
            admit(at.board, drop_only)
        at.assay.look()
        await wait_until_async(lambda: at.assay.proven_ahead == AHEAD, message="proofs of the next ones")
        last = at.board.waiting(AHEAD + 20)[-1]
        assert await at.proof(last)
        assert at.assay.proven_ahead <= AHEAD + 1
