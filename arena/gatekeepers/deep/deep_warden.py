"""Gate 2 at level DEEP: what rows say, the first ones by their content and all by what was said before (spec 1.2).

It advises and never refuses: a fault of its own ends the advice, not the quest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Protocol

from arena.gatekeepers.deep.degenerate import Degenerate
from arena.gatekeepers.deep.duplicates import Duplicates
from arena.gatekeepers.deep.encoding import Encoding
from arena.gatekeepers.deep.flow import ConversationFlow
from arena.gatekeepers.deep.json_answers import JsonAnswers
from arena.gatekeepers.deep.leakage import Leakage
from arena.gatekeepers.deep.near_duplicates import tell_near_duplicates
from arena.gatekeepers.deep.protocol import EmojiProtocol
from arena.gatekeepers.deep.ratio import Ratio
from arena.gatekeepers.deep.remarks import Remarks
from arena.gatekeepers.deep.repetition import Repetition
from arena.gatekeepers.deep.samples import Sample, sample_of
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.held_out import HeldOut
from arena.gatekeepers.likeness.sketched_file import SketchedFile
from arena.gatekeepers.row_identity import row_size
from arena.gatekeepers.row_reader import Row

VALIDATOR_NAME = "content_validator"
VALIDATOR_VERSION = "1.1.0"

SAMPLE_ROWS = 100
"""Rows from the start whose content is looked at (the spec's `sample_size`)."""
MOST_ROW_BYTES = 1 << 20
"""Larger rows are left out of the sample."""

logger = logging.getLogger(__name__)


class Check(Protocol):
    """One content check."""

    def look(self, sample: Sample) -> None: ...

    def finish(self) -> dict[str, Any]:
        """Tell what was left to tell; the statistics under the spec's keys."""


class DeepWarden:
    """Looks at the rows of one file, in order. Left as a context, nothing of it stays on the disk."""

    def __init__(self, profile: str, findings: Findings) -> None:
        self._findings = findings
        self._sampled = 0
        self._seen = 0
        self._failed = False
        self._duplicates = Duplicates()
        self._checks: tuple[Check, ...] = (
            Leakage(findings),
            EmojiProtocol(profile, findings),
            Repetition(findings),
            Degenerate(findings),
            JsonAnswers(findings),
            Encoding(findings),
            ConversationFlow(findings),
            Ratio(findings),
        )

    def __enter__(self) -> DeepWarden:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._duplicates.__exit__(kind, error, trace)

    def take(self, row: Row, key: bytes) -> None:
        """Look at the next row, whose `row_key` is `key`."""
        if self._failed:
            return
        self._seen += 1
        with self._advising(row.line):
            self._duplicates.add(key, self._seen, row.line)
            if self._seen <= SAMPLE_ROWS and row_size(row) <= MOST_ROW_BYTES:
                self._sampled += 1
                sample = sample_of(self._seen, row)
                for check in self._checks:
                    check.look(sample)

    def finish(self, sketched: SketchedFile | None = None, held_out: HeldOut | None = None) -> dict[str, Any] | None:
        """The statistics, under the spec's keys and `sample_size`; None when they could not be made.

        What the rows are like is told with `sketched`, what of them is held out with `held_out`: else None.
        """
        if self._failed:
            return None
        stats: dict[str, Any] = {"sample_size": self._sampled}
        with self._advising(None):
            stats |= self._count_duplicates()
            for check in self._checks:
                stats |= check.finish()
            stats["overlap_stats"] = held_out.stats() if held_out is not None else None
            near = tell_near_duplicates(sketched.compared(), self._findings) if sketched is not None else None
            stats["near_duplicate_stats"] = near
        return None if self._failed else stats

    def _count_duplicates(self) -> dict[str, int]:
        total, first = self._duplicates.repeats()
        remarks = Remarks(self._findings, "take it out, unless it is to weigh more than others")
        for repeat in first:
            remarks.tell(repeat.number, repeat.line, None, f"the row says the same as row {repeat.first}")
        remarks.told = max(remarks.told, total)
        remarks.finish("rows that say the same as an earlier one")
        return {"unique_examples": self._duplicates.rows - total, "duplicates": total}

    @contextmanager
    def _advising(self, line: int | None) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # advice only: a bug in a check, or a full disk, must not keep a quest out
            logger.exception("DEEP failed", extra={"event": "deep_failed"})
            self._failed = True
            message = f"the content could not be looked at ({error}); this says nothing against the file"
            self._findings.warn(line, None, message)


def describe_deep(stats: Mapping[str, Any] | None) -> list[str]:
    """The statistics in lines for people; none without statistics."""
    if stats is None:
        return []
    repeats = f"rows that repeat an earlier one: {stats['duplicates']}; different rows: {stats['unique_examples']}"
    return [repeats, *describe_content(stats)]


def describe_content(stats: Mapping[str, Any] | None) -> list[str]:
    """The same, but for rows that stand in the file twice."""
    if stats is None:
        return []
    protocol = stats["protocol_stats"]
    counted = {
        "leaked answers": stats["leakage_found"],
        "repetitions": _faults(stats["repetition_stats"]),
        "poor answers": _faults(stats["degenerate_stats"]),
        "broken JSON": _faults(stats["json_stats"]),
        "damaged texts": _faults(stats["encoding_stats"]),
        "turns out of order": _faults(stats["flow_stats"]),
        "odd proportions": _faults(stats["ratio_stats"]),
        "malformed emoji": protocol["malformed"],
    }
    content = ", ".join(f"{name} {number}" for name, number in counted.items())
    modes = f"{protocol['emoji_mode_valid']} in emoji mode, {protocol['direct_mode_valid']} direct"
    in_emoji = protocol["emoji_mode_valid"] + protocol["malformed"]
    return [
        *_describe_overlaps(stats),
        f"content of the first {stats['sample_size']} rows: {content}",
        *([f"answers: {modes}"] if in_emoji else []),
    ]


def _describe_overlaps(stats: Mapping[str, Any]) -> Iterator[str]:
    if (held_out := stats["overlap_stats"]) is not None:
        rows, problems = held_out["validation_rows"], held_out["held_out_problems"]
        yield f"rows that are held out: {rows} of data/validation, {problems} problems of a skill"
    if (near := stats["near_duplicate_stats"]) is not None:
        yield (
            f"rows that nearly are those of earlier quests: {near['like_earlier_quests']}, of data/validation: "
            f"{near['like_held_out_rows']} ({near['checked']} rows compared with {near['files_compared']} files)"
        )


def _faults(counts: Mapping[str, int]) -> int:
    return sum(number for name, number in counts.items() if name != "checked")
