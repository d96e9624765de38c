"""Law 3 under fire: whatever is appended, torn, refused or killed, the journal tells what its whole lines say.

The model is a list of facts for each entry, made anew by plain filters; it shares no code with `arena.journal`.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from arena.journal import (
    ClaimEntry,
    Dropped,
    End,
    Entry,
    Genesis,
    History,
    Journal,
    MicroBatchSize,
    Quarantine,
    Rewind,
    encode_entry,
    is_same_history,
    read_history,
)
from core.files import Files
from tests.arena.quest_makers import Killed
from tests.arena.trainer import tiny_hero

AT = "2026-11-21T09:30:00+00:00"
NUMBERS = st.integers(0, 10**6)
Fact = tuple[Any, ...]
"""`(kind, ordinal, …)`; of a claim, then rows, rows per step, epochs and the id."""


class Disk(Files):
    """Refuses or dies in the midst of the next write, or refuses to sync; else it takes all and syncs nothing."""

    def __init__(self) -> None:
        self.room: int | None = None
        self.end: BaseException | None = None
        self.unsynced = False

    def write(self, fd: int, data: bytes) -> None:
        if self.room is None or self.end is None:
            super().write(fd, data)
            return
        super().write(fd, data[: self.room])
        raise self.end

    def fsync(self, fd: int) -> None:
        if self.unsynced:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class JournalMachine(RuleBasedStateMachine):
    """One journal file, its writer, and copies of it as checkpoints hold them."""

    @initialize()
    def start(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="journal-"))
        self.path = self.base / "journal.jsonl"
        self.disk = Disk()
        self.journal = Journal(self.path, files=self.disk)
        self.facts: list[list[Fact]] = [[]]
        """What the history holds after each entry."""
        self.entries: list[Entry] = []
        self.copies: list[bytes] = []
        self._append(self._genesis())

    def teardown(self) -> None:
        if not hasattr(self, "base"):
            return
        history = self.journal.history
        for seq, facts in enumerate(self.facts):
            assert told_by(history.as_of(seq)) == told_of(facts)
        shutil.rmtree(self.base, ignore_errors=True)

    # --- what the trainer and the verbs write ---------------------------------------------------------------

    @rule(rows=st.integers(1, 9), per_step=st.integers(1, 4), epochs=st.integers(1, 3))
    def claim(self, rows: int, per_step: int, epochs: int) -> None:
        self._append(self._claim(rows, per_step, epochs))

    @rule(
        deeds=st.lists(
            st.tuples(st.sampled_from(["claim", "end", "drop", "leave", "halve", "rewind"]), NUMBERS), min_size=4
        )
    )
    def live_on(self, deeds: list[tuple[str, int]]) -> None:
        """Several at once, so that histories become long."""
        for deed, number in deeds:
            match deed:
                case "claim":
                    self.claim(1 + number % 9, 1 + number % 4, 1 + number % 3)
                case "end":
                    self.end(number, "skipped")
                case "drop":
                    self.drop_a_step(number)
                case "leave":
                    self.quarantine_steps(number, number % 4)
                case "halve":
                    self.halve_the_micro_batch(number, 1 + number % 512)
                case "rewind":
                    self.rewind(number, goes_on=number % 2 == 0)

    @rule(number=NUMBERS, outcome=st.sampled_from(["skipped", "withdrawn", "lost"]))
    def end(self, number: int, outcome: str) -> None:
        if place := self._place(number):
            ordinal, step = place
            self._append(End(seq=self._next, at=AT, ordinal=ordinal, quest_step=step, outcome=outcome, reason="„so“"))

    @rule(number=NUMBERS)
    def drop_a_step(self, number: int) -> None:
        if place := self._place(number):
            self._append(Dropped(seq=self._next, at=AT, ordinal=place[0], quest_step=place[1], lines=[1]))

    @rule(number=NUMBERS, more=st.integers(0, 3))
    def quarantine_steps(self, number: int, more: int) -> None:
        if place := self._place(number):
            ordinal, first = place
            self._append(
                Quarantine(
                    seq=self._next, at=AT, ordinal=ordinal, first_step=first, last_step=first + more, lines=[1],
                    reason="spikes",
                )
            )  # fmt: skip

    @rule(number=NUMBERS, tokens=st.integers(1, 512))
    def halve_the_micro_batch(self, number: int, tokens: int) -> None:
        if place := self._place(number):
            self._append(MicroBatchSize(seq=self._next, at=AT, ordinal=place[0], quest_step=place[1], tokens=tokens))

    @rule(number=NUMBERS, goes_on=st.booleans())
    def rewind(self, number: int, goes_on: bool) -> None:
        to_seq = 1 + number % len(self.entries)
        claims = [fact for fact in self.facts[to_seq] if fact[0] == "claim"]
        ordinal = 1 + number % (len(claims) + 1)
        steps = next((len(sizes_of(fact)) for fact in claims if fact[1] == ordinal), 0)
        step = number % (steps + 1)
        self._append(
            Rewind(
                seq=self._next, at=AT, checkpoint=None, step=0, to_seq=to_seq, ordinal=ordinal, quest_step=step,
                goes_on=goes_on, reason="a wish",
            )
        )  # fmt: skip

    @precondition(lambda self: len(self.entries) % 7 == 0)
    @rule()
    def adopt(self) -> None:
        self._append(self._genesis())

    # --- what disk and power do ---------------------------------------------------------------------------------

    @rule(room=st.integers(0, 200), error=st.sampled_from([errno.ENOSPC, errno.EIO, errno.EDQUOT]))
    def refuse_a_write(self, room: int, error: int) -> None:
        self._fail(lambda: vars(self.disk).update(room=room, end=OSError(error, os.strerror(error))))

    @rule()
    def refuse_a_sync(self) -> None:
        self._fail(lambda: vars(self.disk).update(unsynced=True))

    @rule(missing=st.integers(0, 3) | st.integers(0, 900))
    def die_while_appending(self, missing: int) -> None:
        """The line reaches the disk up to any byte; it governs once all of it is there, its newline aside."""
        entry = self._claim(5, 2, 2)
        line = encode_entry(entry)
        self.disk.room, self.disk.end = max(len(line) + 1 - missing, 0), Killed()
        with suppress(Killed):
            self.journal.append(entry)
        if self.disk.room >= len(line):
            self._note(entry)
        self.reopen()

    @rule()
    def reopen(self) -> None:
        seen = read_history(self.path)
        self.disk = Disk()
        self.journal = Journal(self.path, files=self.disk)
        assert told_by(seen) == told_by(self.journal.history)
        assert self.path.read_bytes() == b"".join(encode_entry(entry) + b"\n" for entry in self.entries)

    @rule()
    def copy_into_a_checkpoint(self) -> None:
        self.copies.append(self.path.read_bytes())

    # --- what must hold -----------------------------------------------------------------------------------------

    @invariant()
    def the_history_is_that_of_the_model(self) -> None:
        if not hasattr(self, "base"):
            return
        history = self.journal.history
        assert history.seq == len(self.entries)
        facts = self.facts[-1]
        assert told_by(history) == told_of(facts)
        claims = {fact[1]: fact for fact in facts if fact[0] == "claim"}
        assert history.next_ordinal == len(claims) + 1
        for ordinal, claim in claims.items():
            assert history.ordinal_of(claim[5]) == ordinal
            assert history.steps_of(ordinal) == steps_of(facts, claim)
            assert history.rows_learned(ordinal) == rows_learned(facts, claim)
            assert history.outcome_of(ordinal) == latest(facts, "end", ordinal, ("learned",))[-1]

    @rule(first=NUMBERS, second=NUMBERS, number=NUMBERS)
    def compare_two_moments(self, first: int, second: int, number: int) -> None:
        """What a checkpoint's copy is asked: does the present history go on from it, and what does it undo?"""
        one, other = first % len(self.facts), second % len(self.facts)
        before, after = self.journal.history.as_of(one), self.journal.history.as_of(other)
        place = self._place(number) or (1, 0)
        assert before.agrees_with(after, *place) == agree(self.facts[one], self.facts[other], place)
        assert before.undone_by(after) == undone(self.facts[one], self.facts[other])
        assert after.is_left_out(place) == any(
            fact[0] in ("dropped", "quarantined") and fact[1:3] == place for fact in self.facts[other]
        )

    @precondition(lambda self: self.copies)
    @rule(number=NUMBERS, byte=NUMBERS)
    def ask_whose_copy_it_is(self, number: int, byte: int) -> None:
        copy = self.base / "copy.jsonl"
        content = self.copies[number % len(self.copies)]
        copy.write_bytes(content)
        assert is_same_history(copy, self.path)
        place = byte % len(content)
        copy.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not is_same_history(copy, self.path)
        copy.write_bytes(self.path.read_bytes() + b"{")
        assert not is_same_history(copy, self.path)

    # --- inside -------------------------------------------------------------------------------------------------

    @property
    def _next(self) -> int:
        return len(self.entries) + 1

    def _now(self, kind: str) -> list[Fact]:
        return [fact for fact in self.facts[-1] if fact[0] == kind]

    def _place(self, number: int) -> tuple[int, int] | None:
        """Some step of some claimed quest."""
        claims = self._now("claim")
        if not claims:
            return None
        claim = claims[number % len(claims)]
        return claim[1], number % len(sizes_of(claim))

    def _genesis(self) -> Genesis:
        return Genesis(seq=self._next, at=AT, hero="tiny", base_model="seedling", weights=str(self._next))

    def _claim(self, rows: int, per_step: int, epochs: int) -> ClaimEntry:
        ordinal = 1 + max((fact[1] for fact in self._now("claim")), default=0)
        plan = tiny_hero.settings(batch_size=per_step, gradient_accumulation=1, epochs=epochs)
        return ClaimEntry(
            seq=self._next, at=AT, ordinal=ordinal, quest_id=f"q{self._next}", name="q.jsonl", content_hash="0",
            schema_id="chat_sft_v1", rows=rows, settings=plan,
        )  # fmt: skip

    def _append(self, entry: Entry) -> None:
        self.journal.append(entry)
        self._note(entry)

    def _fail(self, break_disk: Any) -> None:
        before = self.path.read_bytes()
        break_disk()
        with suppress(OSError):
            self.journal.append(self._claim(5, 2, 2))
            raise AssertionError("the disk took it")
        assert self.path.read_bytes() == before
        self.disk.room, self.disk.end, self.disk.unsynced = None, None, False

    def _note(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.facts.append(after_entry(self.facts, entry))


# --- the model ------------------------------------------------------------------------------------------------------


def after_entry(past: list[list[Fact]], entry: Entry) -> list[Fact]:
    """The facts after one more entry."""
    match entry:
        case Genesis():
            return [("genesis", entry.weights)]
        case ClaimEntry(settings=plan):
            claim = ("claim", entry.ordinal, entry.rows, plan.rows_per_step, plan.epochs, entry.quest_id)
            return [*past[-1], claim]
        case End():
            return [*past[-1], ("end", entry.ordinal, entry.quest_step, entry.outcome)]
        case Dropped():
            return [*past[-1], ("dropped", entry.ordinal, entry.quest_step)]
        case MicroBatchSize():
            return [*past[-1], ("micro", entry.ordinal, entry.quest_step, entry.tokens)]
        case Quarantine():
            steps = range(entry.first_step, entry.last_step + 1)
            return [*past[-1], *(("quarantined", entry.ordinal, step, entry.seq) for step in steps)]
        case Rewind():
            kept = before((entry.ordinal, entry.quest_step), past[entry.to_seq])
            cut = not entry.goes_on and any(fact[:2] == ("claim", entry.ordinal) for fact in kept)
            return [*kept, *([("end", entry.ordinal, entry.quest_step, "rewound")] if cut else [])]
    raise AssertionError(f"an entry that the model does not know: {entry}")


def before(place: tuple[int, int], facts: list[Fact]) -> list[Fact]:
    """What is told of all that comes before a step."""
    ordinal, step = place

    def is_before(fact: Fact) -> bool:
        match fact[0]:
            case "genesis":
                return True
            case "claim":
                return bool(fact[1] < ordinal or (fact[1] == ordinal and step > 0))
            case "end":
                return bool(fact[1] < ordinal)
        return bool(fact[1] < ordinal or (fact[1] == ordinal and fact[2] < step))

    return [fact for fact in facts if is_before(fact)]


def sizes_of(claim: Fact) -> list[int]:
    """Rows of each step of a quest, cut into steps by hand."""
    _, _, rows, per_step, epochs, _ = claim
    an_epoch = [len(range(rows)[first : first + per_step]) for first in range(0, rows, per_step)]
    return an_epoch * int(epochs)


def latest(facts: list[Fact], kind: str, ordinal: int, otherwise: Fact) -> Fact:
    return next((fact for fact in reversed(facts) if fact[:2] == (kind, ordinal)), otherwise)


def steps_of(facts: list[Fact], claim: Fact) -> int:
    return int(latest(facts, "end", claim[1], ("end", 0, len(sizes_of(claim))))[2])


def rows_learned(facts: list[Fact], claim: Fact) -> int:
    left_out = {fact[2] for fact in facts if fact[0] in ("dropped", "quarantined") and fact[1] == claim[1]}
    steps = enumerate(sizes_of(claim)[: steps_of(facts, claim)])
    return sum(size for step, size in steps if step not in left_out)


def told_of(facts: list[Fact]) -> dict[str, Any]:
    """What stands in the end: of two ends of a quest and of two sizes at a step the later, of quarantines the first."""
    firsts: dict[tuple[int, int], int] = {}
    for fact in facts:
        if fact[0] == "quarantined":
            firsts.setdefault(fact[1:3], fact[3])
    return {
        "genesis": next((fact[1] for fact in facts if fact[0] == "genesis"), None),
        "claims": {fact[1]: fact[2:] for fact in facts if fact[0] == "claim"},
        "ends": {fact[1]: fact[2:] for fact in facts if fact[0] == "end"},
        "dropped": {fact[1:] for fact in facts if fact[0] == "dropped"},
        "micro": {fact[1:3]: fact[3] for fact in facts if fact[0] == "micro"},
        "quarantined": firsts,
    }


def told_by(history: History) -> dict[str, Any]:
    """The same of a history."""
    return {
        "genesis": history.genesis.weights if history.genesis else None,
        "claims": {
            ordinal: (claim.rows, claim.settings.rows_per_step, claim.settings.epochs, claim.quest_id)
            for ordinal, claim in history.claims.items()
        },
        "ends": {ordinal: (end.quest_step, end.outcome) for ordinal, end in history.ends.items()},
        "dropped": history.dropped,
        "micro": history.micro_batches,
        "quarantined": history.quarantined,
    }


def agree(one: list[Fact], other: list[Fact], place: tuple[int, int]) -> bool:
    if told_of(before(place, one)) != told_of(before(place, other)):
        return False
    claims = [latest(facts, "claim", place[0], ()) for facts in (one, other)]
    reach = all(claim and steps_of(facts, claim) >= place[1] for claim, facts in zip(claims, (one, other), strict=True))
    return not place[1] or reach


def undone(one: list[Fact], later: list[Fact]) -> list[int]:
    claims = [fact for fact in one if fact[0] == "claim"]
    return [
        claim[1]
        for claim in sorted(claims, key=lambda claim: claim[1])
        if claim not in later or steps_of(later, claim) < steps_of(one, claim)
    ]


# The same runs every time: CI must not fail by chance. To look further, take `derandomize` out and more examples.
TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None, derandomize=True)
