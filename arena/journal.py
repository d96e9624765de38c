"""`current_model/journal.jsonl`: the total order of what the model learns (law 3).

One JSON line per entry, numbered by `seq`. An entry is durable before the first step it governs. The surviving
weights are a function of the base model and this file: a claim opens a quest under the next ordinal; the quest ends
after all its steps, or where an `end` entry cuts it. Lines are never taken back: a `rewind` says from where the history
goes on, and a later `genesis` begins a new one (ADR 0008). The holder of `current_model/.lock` is the one writer.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import msgspec

from arena.protocol import Lora, QuestSettings
from core.crash_points import crash_point
from core.errors import Conflict
from core.files import DISK, Files

logger = logging.getLogger(__name__)

JOURNAL_NAME = "journal.jsonl"


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry", tag=str.lower):
    seq: int
    at: str
    """Time of writing, ISO 8601 UTC. A chat template that prints the time prints that of its claim."""


class Genesis(Entry, frozen=True):
    """The first line: what the history starts from. A later one starts another history, from an adopted checkpoint."""

    hero: str
    base_model: str
    weights: str
    """BLAKE3 of the weight files that the history starts from."""
    checkpoint: str | None = None
    """Name of the adopted checkpoint that holds these weights; None when they are the base model's."""
    lora: Lora | None = None
    """The adapters that are trained; `weights` are then the frozen ones. None when all weights are trained."""


class ClaimEntry(Entry, frozen=True, tag="claim"):
    ordinal: int
    quest_id: str
    name: str
    content_hash: str
    schema_id: str
    rows: int
    settings: QuestSettings

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.rows // self.settings.rows_per_step)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def rows_after(self, quest_step: int) -> int:
        """Rows learned once `quest_step` steps are done, counted once per epoch."""
        epoch, step = divmod(quest_step, self.steps_per_epoch)
        return epoch * self.rows + min(step * self.settings.rows_per_step, self.rows)


class MicroBatchSize(Entry, frozen=True, tag="micro_batch"):
    """From step `quest_step` on to the end of the quest, a micro-batch holds at most so many padded tokens (ADR 0012).

    The order of floating-point sums, and which weights dropout takes, depend on it.
    """

    ordinal: int
    quest_step: int
    tokens: int


class Dropped(Entry, frozen=True):
    """A step whose gradients were thrown away: counted, but nothing was learned from its rows."""

    ordinal: int
    quest_step: int
    lines: list[int]
    cause: str = "not_finite"
    """`not_finite`, `spike` or `out_of_memory`."""
    loss: float | None = None
    """Mean cross-entropy per target token, nats; None where it was not finite."""


class Quarantine(Entry, frozen=True):
    """Steps that were made and are taken back: learning goes back to before them, and leaves their rows out.

    Checkpoints that hold any of them belong to the history no more.
    """

    ordinal: int
    first_step: int
    last_step: int
    """The first and the last `quest_step` that is left out."""
    lines: list[int]
    reason: str


class End(Entry, frozen=True):
    """The quest ends after `quest_step` steps: `skipped`, `withdrawn` or `lost`."""

    ordinal: int
    quest_step: int
    outcome: str
    reason: str


class Rewind(Entry, frozen=True):
    """The history goes on from a checkpoint, not from the line before."""

    checkpoint: str | None
    """Name of the checkpoint; None for the weights that the history started from."""
    step: int
    """Its global step."""
    to_seq: int
    """The checkpoint was made when this was the last entry."""
    ordinal: int
    quest_step: int
    """The checkpoint's cursor: what lies behind it is undone."""
    goes_on: bool
    """Whether the quest at the cursor is learned to its end; otherwise it ends there as `rewound`."""
    reason: str


REWOUND = "rewound"

Place = tuple[int, int]
"""(ordinal, quest_step) of a step."""

_decode = msgspec.json.Decoder(Genesis | ClaimEntry | MicroBatchSize | Dropped | Quarantine | End | Rewind).decode
encode_entry = msgspec.json.Encoder().encode
"""One line of the journal, without its end."""


@dataclass
class History:
    """The journal as the trainer uses it."""

    genesis: Genesis | None = None
    claims: dict[int, ClaimEntry] = field(default_factory=dict)
    """Claims by ordinal; ordinals count up from 1 without gaps."""
    ends: dict[int, End] = field(default_factory=dict)
    dropped: set[Place] = field(default_factory=set)
    """The steps whose gradients were thrown away."""
    dropped_by: dict[Place, Dropped] = field(default_factory=dict, compare=False)
    """The entries that say so."""
    quarantined: dict[Place, int] = field(default_factory=dict)
    """The steps that were taken back, each with the `seq` of the first entry that says so."""
    micro_batches: dict[Place, int] = field(default_factory=dict)
    """Padded tokens of a micro-batch at most, by the step from which on that holds for the rest of its quest."""
    seq: int = 0
    """`seq` of the last entry."""
    _ordinals: dict[str, int] = field(default_factory=dict)
    _entries: list[Entry] = field(default_factory=list)
    _rewinds: list[Rewind] = field(default_factory=list)

    @property
    def next_ordinal(self) -> int:
        return len(self.claims) + 1

    def ordinal_of(self, quest_id: str) -> int | None:
        return self._ordinals.get(quest_id)

    def steps_of(self, ordinal: int) -> int:
        """How many steps of this quest count."""
        end = self.ends.get(ordinal)
        return end.quest_step if end else self.claims[ordinal].steps

    def outcome_of(self, ordinal: int) -> str:
        end = self.ends.get(ordinal)
        return end.outcome if end else "learned"

    def rows_learned(self, ordinal: int) -> int:
        """Rows that a quest has taught, or will have at its end, counted once per epoch."""
        claim, steps = self.claims[ordinal], self.steps_of(ordinal)
        taught_nothing = {step for number, step in (*self.dropped, *self.quarantined) if number == ordinal}
        lost = sum(claim.rows_after(step + 1) - claim.rows_after(step) for step in taught_nothing if step < steps)
        return claim.rows_after(steps) - lost

    def is_left_out(self, place: Place) -> bool:
        """True for a step that is counted and teaches nothing."""
        return place in self.dropped or place in self.quarantined

    def token_budget(self, place: Place) -> int:
        """Padded tokens that a micro-batch of this step holds at most."""
        ordinal, quest_step = place
        sizes = [(step, size) for (number, step), size in self.micro_batches.items() if number == ordinal]
        latest = max(((step, size) for step, size in sizes if step <= quest_step), default=None)
        return latest[1] if latest else self.claims[ordinal].settings.micro_batch_tokens

    def quarantines_of(self, ordinal: int) -> int:
        """How often learning went back within this quest."""
        return len({seq for (number, _), seq in self.quarantined.items() if number == ordinal})

    def add(self, entry: Entry) -> None:
        """Take in the next entry; raises `ValueError` when it cannot follow what is there."""
        if entry.seq != self.seq + 1:
            raise ValueError(f"entry {entry.seq} follows entry {self.seq}")
        if isinstance(entry, ClaimEntry) and entry.ordinal != self.next_ordinal:
            raise ValueError(f"claim {entry.ordinal} follows claim {self.next_ordinal - 1}")
        if isinstance(entry, Rewind) and not 1 <= entry.to_seq <= self.seq:
            raise ValueError(f"a rewind to entry {entry.to_seq} follows entry {self.seq}")
        if isinstance(entry, Rewind):
            self._become(self.as_of(entry.to_seq))
            self._cut(entry)
            self._rewinds.append(entry)
        else:
            self._take(entry)
        self._entries.append(entry)
        self.seq = entry.seq

    def left_from(self, ordinal: int, quest_step: int) -> list[ClaimEntry]:
        """The claims, in order, of which steps are left to be made from this place on."""
        here = {ordinal: quest_step}
        return [
            claim
            for number, claim in sorted(self.claims.items())
            if number >= ordinal and self.steps_of(number) > here.get(number, 0)
        ]

    def as_of(self, seq: int) -> History:
        """The history as it stood after entry `seq`; it cannot be added to."""
        stretches: list[tuple[Rewind | None, list[Entry]]] = []
        end = seq
        while True:
            number = bisect_right(self._rewinds, end, key=attrgetter("seq"))
            begin = self._rewinds[number - 1] if number else None
            stretches.append((begin, self._entries[begin.seq if begin else 0 : end]))
            if begin is None:
                break
            end = begin.to_seq
        past = History(seq=seq)
        for begin, entries in reversed(stretches):
            if begin is not None:
                past._cut(begin)
            for entry in entries:
                past._take(entry)
        return past

    def agrees_with(self, other: History, ordinal: int, quest_step: int) -> bool:
        """True when both tell the same of all that comes before step `quest_step` of quest `ordinal`."""
        if self._before(ordinal, quest_step) != other._before(ordinal, quest_step):
            return False
        if not quest_step:
            return True
        return all(ordinal in each.claims and each.steps_of(ordinal) >= quest_step for each in (self, other))

    def undone_by(self, later: History) -> list[int]:
        """Ordinals of the claims that `later` does not hold, or ends earlier: what a rewind to it takes back."""
        return [
            ordinal
            for ordinal, claim in sorted(self.claims.items())
            if later.claims.get(ordinal) != claim or later.steps_of(ordinal) < self.steps_of(ordinal)
        ]

    def _take(self, entry: Entry) -> None:
        if isinstance(entry, Genesis):
            self._become(History(genesis=entry))
        elif isinstance(entry, ClaimEntry):
            self.claims[entry.ordinal] = entry
            self._ordinals[entry.quest_id] = entry.ordinal
        elif isinstance(entry, End):
            self.ends[entry.ordinal] = entry
        elif isinstance(entry, MicroBatchSize):
            self.micro_batches[entry.ordinal, entry.quest_step] = entry.tokens
        elif isinstance(entry, Dropped):
            place = (entry.ordinal, entry.quest_step)
            self.dropped.add(place)
            self.dropped_by[place] = entry
        elif isinstance(entry, Quarantine):
            for quest_step in range(entry.first_step, entry.last_step + 1):
                self.quarantined.setdefault((entry.ordinal, quest_step), entry.seq)

    def _become(self, past: History) -> None:
        self.genesis, self.claims, self.ends, self._ordinals = past.genesis, past.claims, past.ends, past._ordinals
        self.dropped, self.dropped_by = past.dropped, past.dropped_by
        self.quarantined, self.micro_batches = past.quarantined, past.micro_batches

    def _cut(self, rewind: Rewind) -> None:
        """Forget what lies behind the cursor of a rewind."""
        ordinal, quest_step = rewind.ordinal, rewind.quest_step
        self._become(self._before(ordinal, quest_step))
        if ordinal in self.claims and not rewind.goes_on:
            self.ends[ordinal] = End(
                seq=rewind.seq, at=rewind.at, ordinal=ordinal, quest_step=quest_step, outcome=REWOUND,
                reason=rewind.reason,
            )  # fmt: skip

    def _before(self, ordinal: int, quest_step: int) -> History:
        """What is told of all that comes before a step; equal for equal pasts, whatever came later."""
        here = (ordinal, quest_step)
        claims = {number: claim for number, claim in self.claims.items() if (number, 0) < here}
        return History(
            genesis=self.genesis,
            claims=claims,
            ends={number: end for number, end in self.ends.items() if number < ordinal},
            dropped={place for place in self.dropped if place < here},
            dropped_by={place: entry for place, entry in self.dropped_by.items() if place < here},
            quarantined={place: seq for place, seq in self.quarantined.items() if place < here},
            micro_batches={place: size for place, size in self.micro_batches.items() if place < here},
            _ordinals={claim.quest_id: number for number, claim in claims.items()},
        )


def read_history(path: Path) -> History:
    """Read a journal; a torn last line (cut by a crash before its fsync returned) governs nothing and is left out.

    Raises `Conflict` naming the first line that is damaged or out of order.
    """
    history = History()
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return history
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            history.add(_decode(line))
        except (ValueError, msgspec.DecodeError) as error:
            if number == len(lines):
                break
            raise Conflict(
                f"{path}, line {number} is damaged: {error}.",
                hint="Restore the file from the copy in the newest checkpoint directory, then start again.",
            ) from error
    return history


class Journal:
    """Appends to the journal; `history` always shows what is durable."""

    def __init__(self, path: Path, *, files: Files = DISK) -> None:
        self.path = path
        self._files = files
        self.history = read_history(path)
        self._cut_torn_line()
        self.size = path.stat().st_size if path.exists() else 0
        """Bytes of the durable lines. What a failed append has left behind them is not part of the journal."""
        self._may_hold_more = False
        """Whether an append has failed, and the disk may have refused to take back what was written of it."""

    def append(self, entry: Entry) -> None:
        """Make `entry` durable; its `seq` must be `history.seq + 1`. On `OSError` the journal stays as it was."""
        if entry.seq != self.history.seq + 1:
            raise ValueError(f"journal entry {entry.seq} after {self.history.seq}")
        crash_point("journal.before")
        line, cut_to = encode_entry(entry), self.size if self._may_hold_more else None
        self._may_hold_more = True
        # A journal that has vanished with its disk must not be begun again with its last line.
        self._files.append_line(self.path, line, durable=True, create=entry.seq == 1, cut_to=cut_to)
        if entry.seq == 1:
            self._files.fsync_dir(self.path.parent)
        self._may_hold_more = False
        self.size += len(line) + 1
        crash_point("journal.written")
        self.history.add(entry)

    def _cut_torn_line(self) -> None:
        """A later append must not glue itself to a half line."""
        if not self.path.exists():
            return
        raw = self.path.read_bytes()
        if raw and not raw.endswith(b"\n"):
            whole = raw[: raw.rfind(b"\n") + 1]
            torn = raw[len(whole) :]
            try:
                _decode(torn)
                whole = raw + b"\n"
            except msgspec.DecodeError:
                logger.warning("cut a torn last line off %s", self.path, extra={"event": "journal_torn_line"})
            self._files.write_atomic(self.path, whole, durable=True)


def is_same_history(checkpoint_journal: Path, present: Path) -> bool:
    """True when the journal copied into a checkpoint is a beginning of the present one."""
    try:
        copy = checkpoint_journal.read_bytes()
        with present.open("rb") as stream:
            return stream.read(len(copy)) == copy
    except OSError:
        return False
