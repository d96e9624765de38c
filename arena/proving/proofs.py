"""Proofs that quests may be trained: what they hold for, the jobs that make them, and how they are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from arena.gatekeepers.measures.yardstick import Stamp, Yardstick
from arena.gatekeepers.rejection import describe_findings
from arena.lanes.reading import Stamp as FileStamp
from arena.quests import Quest, QuestRecord
from core.errors import InvalidInput, RealmError, Unavailable
from core.scribe import ScribeBug

JOB_QUESTS = 32
JOB_BYTES = 1 << 20
"""Data of one job in the scribe; what is larger is proven aside, so that the small ones never wait for it."""
SHOWN_WARNINGS = 10
FAILED_ON_FILE = "the gates failed on this file and did not let it in"


@dataclass(frozen=True)
class Sample:
    """A quest to be proven, as it lay in its lane when it was looked at."""

    quest: Quest
    yardstick: Yardstick
    stamp: Stamp
    """Of the files behind the yardstick."""
    file: FileStamp
    """Of the data file."""
    cache: dict[str, Any] | None = None
    """Where the tokens are to be kept: see `arena.gatekeepers.measures.token_keeping.entry_for`."""
    sketches: dict[str, Any] | None = None
    """Where sketches of rows lie, as `{folder, max_bytes}`; None keeps none."""

    @property
    def size(self) -> int:
        return self.file[1]

    def job(self) -> dict[str, Any]:
        """The arguments of `arena.gatekeepers.measures.token_keeping.keep_tokens`."""
        record = self.quest.record
        return {
            "path": str(self.quest.path), "schema_id": record.schema_id, "rows": record.rows,
            "yardstick": asdict(self.yardstick), "content_hash": record.content_hash, "cache": self.cache,
        }  # fmt: skip

    def proof_job(self) -> dict[str, Any]:
        """The arguments of `arena.gatekeepers.measures.standard_gate.prove_file`."""
        sketches = self.sketches
        if sketches is not None:
            sketches = {**sketches, "quest_id": self.quest.quest_id, "name": self.quest.name}
        return {**self.job(), "sketches": sketches}


@dataclass
class BoardView:
    """The board as the assay sees it."""

    stale: set[str]
    """Ids of proven quests that do not wait any more, or whose proof does not hold any more."""
    proven: list[Sample] = field(default_factory=list)
    unproven: list[Sample] = field(default_factory=list)
    """Both in the order of the claims."""
    unmeasurable: list[tuple[Quest, RealmError]] = field(default_factory=list)
    """Quests whose options name something that is not there."""
    missing: str = ""
    """A tokenizer that is needed and not at hand yet."""


@dataclass(frozen=True)
class Proof:
    """What was found, and what it holds for."""

    yardstick: Yardstick
    stamp: Stamp
    """Of the files behind the yardstick."""
    told: dict[str, Any]
    """What the quest's sidecar will say: see `proof_in_words`."""


def jobs_of(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """Parts of at most 32 quests and 1 MB, in order; the first are small, as a claim may wait for them."""
    job: list[Sample] = []
    most, size = 1, 0
    for sample in samples:
        if job and (len(job) == most or size + sample.size > JOB_BYTES):
            yield job
            most = min(2 * most, JOB_QUESTS)
            job, size = [], 0
        job.append(sample)
        size += sample.size
    if job:
        yield job


def is_to_blame(quest: Quest, error: Exception) -> bool:
    """Whether a job failed for this quest, and not for the model or for the scribe as such."""
    if isinstance(error, InvalidInput):
        return quest.record.profile is not None  # its own profile, which does not go with the tokenizer
    return is_of_this_job(error)


def is_of_this_job(error: Exception) -> bool:
    """Whether the scribe as such is well: what it was given killed it twice, took too long or ran into a bug."""
    return isinstance(error, ScribeBug) or (isinstance(error, Unavailable) and "target" in error.details)


def proof_in_words(yardstick: Yardstick, verdict: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The proof as it stands in the sidecar: for people to read, never read back as a proof."""
    return {
        "level": "deep" if yardstick.deep else "standard",
        "proven_at": now.isoformat(),
        "judged_by": {
            "tokenizer": verdict["tokenizer"],
            "profile": yardstick.profile,
            "system_prompt": yardstick.system_prompt,
            "max_length": yardstick.max_length,
        },
        "tokens": verdict["tokens"],
        "content": verdict["content"],
        "warnings": list(islice(describe_findings(verdict["warnings"], verdict["total_warnings"]), SHOWN_WARNINGS)),
        "total_warnings": verdict["total_warnings"],
        "validators": verdict["validators"],
    }


def verdict_of_error(record: QuestRecord, message: str) -> dict[str, Any]:
    """A rejection of the whole file, in the shape of `prove_file`'s verdict."""
    return {
        "accepted": False,
        "rows": record.rows,
        "schema_id": record.schema_id,
        "errors": [{"line": None, "field": None, "message": message}],
        "total_errors": 1,
        "warnings": [],
        "total_warnings": 0,
        "validators": {},
        "tokens": None,
        "content": None,
    }
