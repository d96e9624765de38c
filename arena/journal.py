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

from arena.protocol import QuestSettings
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


class Dropped(Entry, frozen=True):
    """A step whose gradients were not finite: counted, but nothing was learned from its rows."""

    ordinal: int
    quest_step: int
    lines: list[int]


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

_decode = msgspec.json.Decoder(Genesis | ClaimEntry | Dropped | End | Rewind).decode
encode_entry = msgspec.json.Encoder().encode
"""One line of the journal, without its end."""


@dataclass
class History:
    """The journal as the trainer uses it."""

    genesis: Genesis | None = None
    claims: dict[int, ClaimEntry] = field(default_factory=dict)
    """Claims by ordinal; ordinals count up from 1 without gaps."""
    ends: dict[int, End] = field(default_factory=dict)
    dropped: set[tuple[int, int]] = field(default_factory=set)
    """(ordinal, quest_step) of the steps that taught nothing."""
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
        return self.claims[ordinal].rows_after(self.steps_of(ordinal))

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
        if self.genesis != other.genesis or self._before(ordinal, quest_step) != other._before(ordinal, quest_step):
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
        elif isinstance(entry, Dropped):
            self.dropped.add((entry.ordinal, entry.quest_step))

    def _become(self, past: History) -> None:
        self.genesis, self.claims, self.ends, self.dropped = past.genesis, past.claims, past.ends, past.dropped
        self._ordinals = past._ordinals

    def _cut(self, rewind: Rewind) -> None:
        """Forget what lies behind the cursor of a rewind."""
        ordinal, quest_step = rewind.ordinal, rewind.quest_step
        self.claims, self.ends, self.dropped = self._before(ordinal, quest_step)
        self._ordinals = {claim.quest_id: number for number, claim in self.claims.items()}
        if ordinal in self.claims and not rewind.goes_on:
            self.ends[ordinal] = End(
                seq=rewind.seq, at=rewind.at, ordinal=ordinal, quest_step=quest_step, outcome=REWOUND,
                reason=rewind.reason,
            )  # fmt: skip

    def _before(
        self, ordinal: int, quest_step: int
    ) -> tuple[dict[int, ClaimEntry], dict[int, End], set[tuple[int, int]]]:
        here = (ordinal, quest_step)
        return (
            {number: claim for number, claim in self.claims.items() if (number, 0) < here},
            {number: end for number, end in self.ends.items() if number < ordinal},
            {place for place in self.dropped if place < here},
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

    def append(self, entry: Entry) -> None:
        """Make `entry` durable; its `seq` must be `history.seq + 1`. On `OSError` the file stays as it was."""
        if entry.seq != self.history.seq + 1:
            raise ValueError(f"journal entry {entry.seq} after {self.history.seq}")
        crash_point("journal.before")
        self._files.append_line(self.path, encode_entry(entry), durable=True)
        if entry.seq == 1:
            self._files.fsync_dir(self.path.parent)
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
