"""What the newest learned quests were made of: profiles, emoji protocol, cut rows and remarks of the gates.

Read from their sidecars (`QuestRecord.proof`), so it is known of quests that passed the gate before training, and the
protocol only of those that DEEP has looked at.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from arena.lanes.reading import LaneReader
from arena.quests import QuestRecord
from core.paths import RealmPaths

NEWEST = 200
"""Quests that are looked at: the latest by the time of their files."""


class DataHealth:
    """Answers the web."""

    def __init__(self, paths: RealmPaths) -> None:
        self._lanes = LaneReader(paths)
        self._looking = threading.Lock()

    async def view(self) -> dict[str, Any]:
        """The body of `GET /api/data-health`."""
        return await asyncio.to_thread(self._view)

    def _view(self) -> dict[str, Any]:
        with self._looking:
            newest = self._lanes.files("recently_completed")[-NEWEST:]
            records = [self._lanes.peek("recently_completed", file.name) for file in newest]
        return _told([record for record in records if record is not None and record.outcome == "learned"])


def _told(records: Sequence[QuestRecord]) -> dict[str, Any]:
    proofs = [record.proof for record in records if isinstance(record.proof, dict)]
    return {
        "quests": len(records),
        "rows": sum(record.rows for record in records),
        "measured": len(proofs),
        "profiles": _profiles(records),
        "protocol": _protocol(proofs),
        "rows_truncated": _sum(proofs, "tokens", "rows_truncated"),
        "tokens_lost": _sum(proofs, "tokens", "tokens_lost"),
        "quests_with_remarks": sum(bool(_number(proof.get("total_warnings"))) for proof in proofs) if proofs else None,
    }


def _profiles(records: Iterable[QuestRecord]) -> list[dict[str, Any]]:
    """Quests and rows by the profile that they were rendered with, the most rows first."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        judged = _part(record.proof, "judged_by")
        name = judged.get("profile")
        if isinstance(name, str):
            entry = found.setdefault(name, {"profile": name, "quests": 0, "rows": 0})
            entry["quests"] += 1
            entry["rows"] += record.rows
    return sorted(found.values(), key=lambda entry: (-entry["rows"], entry["profile"]))


def _protocol(proofs: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    looked_at = [stats for proof in proofs if (stats := _part(_part(proof, "content"), "protocol_stats"))]
    if not looked_at:
        return None
    keys = {"answers": "protocol_checked", "emoji": "emoji_mode_valid", "direct": "direct_mode_valid"}
    sums = {name: sum(_number(stats.get(key)) for stats in looked_at) for name, key in keys.items()}
    malformed = sum(_number(stats.get("malformed")) for stats in looked_at)
    return {"quests": len(looked_at), **sums, "malformed": malformed}


def _sum(proofs: Iterable[dict[str, Any]], part: str, key: str) -> int | None:
    known = [_part(proof, part).get(key) for proof in proofs]
    numbers = [value for value in known if isinstance(value, int)]
    return sum(numbers) if numbers else None


def _part(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
