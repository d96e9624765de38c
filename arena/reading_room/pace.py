"""How long quests take: from the tokens that were counted and the speed that was measured, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from arena.quests import QuestRecord
from arena.telling.live_report import QuestInBattle


@dataclass(frozen=True)
class Pace:
    """What is known of this hero's speed; None where nobody has measured it yet."""

    tokens_per_second: float | None
    """Over the newest steps."""
    tokens_per_byte: float | None
    """Of the quests that were measured last, for those that are not measured yet."""
    epochs: int | None
    """Of a quest that does not say how many itself; None while the settings cannot be used."""
    seconds_left: float | None
    """Of the quest that is learned now; 0 while there is none."""

    def seconds(self, size_bytes: int, tokens: int | None = None, epochs: int | None = None) -> float | None:
        """For a file of that size, or of so many counted tokens."""
        if tokens is None and self.tokens_per_byte is not None:
            tokens = round(size_bytes * self.tokens_per_byte)
        epochs = epochs or self.epochs
        if tokens is None or epochs is None or not self.tokens_per_second:
            return None
        return tokens * epochs / self.tokens_per_second


class Schedule:
    """When quests begin that are told of in the order of their claims, some of them left out."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._bytes = 0
        self._seconds = pace.seconds_left

    def begins_in(self, bytes_ahead: int, size_bytes: int, takes: float | None) -> float | None:
        """Seconds until one begins that waits behind so many bytes; None where nobody knows."""
        between = bytes_ahead - self._bytes
        gap = self._pace.seconds(between) if between > 0 else 0.0
        begins = None if self._seconds is None or gap is None else self._seconds + gap
        self._bytes = bytes_ahead + size_bytes
        self._seconds = None if begins is None or takes is None else begins + takes
        return begins


def tokens_of(proof: Mapping[str, Any] | None, rows: int) -> int | None:
    """Tokens of one pass over a quest of so many rows, as its proof counted or drew them; None without a proof."""
    census = (proof or {}).get("tokens")
    counted = census.get("rows_counted") if isinstance(census, dict) else None
    kept = census.get("tokens_kept") if isinstance(census, dict) else None
    if not isinstance(counted, int) or not isinstance(kept, int) or counted < 1:
        return None  # a sidecar may have been edited by hand
    return round(kept * rows / counted)


def left_of(
    quest: QuestInBattle | None, measured: Iterable[tuple[QuestRecord, int]], tokens_per_second: float | None
) -> float | None:
    """Seconds until the quest in battle is over: at the speed in tokens, as those that wait behind it are told."""
    record = next((record for record, _ in measured if quest is not None and record.quest_id == quest.quest_id), None)
    tokens = tokens_of(record.proof, record.rows) if record is not None else None
    if quest is None or tokens is None or not tokens_per_second or not quest.rows_total:
        return None
    return tokens * quest.epochs * (1 - quest.rows_learned / quest.rows_total) / tokens_per_second


def tokens_per_byte(
    measured: Iterable[tuple[QuestRecord, int]], proof_of: Callable[[str], Mapping[str, Any] | None]
) -> float | None:
    """Of records with the sizes of their files; `proof_of` has the proofs of those that still wait."""
    counted = [(tokens_of(record.proof or proof_of(record.quest_id), record.rows), size) for record, size in measured]
    known = [(tokens, size) for tokens, size in counted if tokens is not None]
    size = sum(size for _, size in known)
    return sum(tokens for tokens, _ in known) / size if size else None
