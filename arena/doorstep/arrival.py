"""A dropped file with the gates' verdict: what its sidecar and the saga will say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from arena.doorstep.inbox import InboxFile
from arena.gatekeepers.rejection import describe_verdict
from arena.gatekeepers.scrolls.containers import describe_kind
from arena.lanes.admission import Admission, Unpacked
from arena.lanes.reading import Stamp
from arena.proving.proofs import FAILED_ON_FILE, verdict_of_error
from arena.quest_names import lineage_dropped_with, plain_name
from arena.quests import NAMELESS, Quest, QuestRecord, dropped_options, ignored_options, new_quest_id
from core.saga import News


@dataclass(frozen=True)
class Arrival:
    """A file that the gates have judged."""

    file: InboxFile
    stamp: Stamp
    """What the file was when it was judged."""
    verdict: dict[str, Any]
    unpack_to: Path
    """Where its rows lie, if it is a packed file that the gates let in."""

    @property
    def accepted(self) -> bool:
        return bool(self.verdict["accepted"])

    @property
    def lane(self) -> str:
        return self.file.priority if self.accepted else "failed"

    def rows_are_there(self) -> bool:
        """False when the rows of a packed file that was let in are gone from where they were unpacked."""
        return not self.accepted or self.verdict["container"] is None or self.unpack_to.exists()

    def admission(self, now: datetime) -> Admission:
        """What the quest board shall do with it: of a packed file, the rows become the quest."""
        name = plain_name(self.file.name) if self.accepted else self.file.name
        container = self.verdict["container"] if self.accepted else None
        unpacked = Unpacked(self.unpack_to, container["content_hash"]) if container else None
        return Admission(self.file.path, self.record(now), self.lane, name, unpacked)

    def record(self, now: datetime) -> QuestRecord:
        """The quest that this file becomes."""
        verdict, accepted = self.verdict, self.accepted
        asked = (lineage_dropped_with(self.file.path), verdict.get("header"))
        ignored = ignored_options(*asked)
        container = verdict["container"]
        # A packed file that is rejected stays as it is, and is known by its own bytes.
        content = verdict if accepted or container is None else container
        return QuestRecord(
            quest_id=new_quest_id(now),
            submitted_at=now.isoformat(),
            priority=self.file.priority,
            content_hash=content.get("content_hash") or "",
            rows=verdict.get("rows") or 0,
            schema_id=verdict.get("schema_id") or "",
            original_name=self.file.path.name,
            **dropped_options(*asked),
            outcome=None if accepted else "rejected",
            reason=None if accepted else "; ".join(describe_verdict(verdict)[:2]),
            finished_at=None if accepted else now.isoformat(),
            lineage={
                "validator_versions": verdict.get("validators", {}),
                "validated_at": now.isoformat(),
                "validation_passed": accepted,
                "validation_errors": verdict.get("total_errors", 0),
                "validation_warnings": verdict.get("total_warnings", 0),
                **{key: verdict[key] for key in ("format", "recognised_by") if verdict.get(key)},
                **({"container": container} if container else {}),
                **({"ignored_options": ignored} if ignored else {}),
            },
        )

    def news(self, quest: Quest) -> News:
        """The event that tells of it, once it lies in its lane."""
        rows = quest.record.rows
        data = {"quest_id": quest.quest_id, "file": quest.name, "priority": self.file.priority, "rows": rows}
        if self.accepted:
            container = self.verdict["container"]
            origin = f", read from {describe_kind(container['kind'])}" if container else ""
            noun = "row" if rows == 1 else "rows"
            message = f"{quest.name} joins the quest board ({self.file.priority}, {rows} {noun}{origin})"
            ignored = quest.record.lineage.get("ignored_options") or []
            return News("quest_accepted", "; ".join([message, *map(str, ignored)]), data)
        judgement, *reasons = describe_verdict(self.verdict)
        message = f"{quest.name} was {judgement}" + (f"; {reasons[0]}" if reasons else "")
        return News("quest_rejected", message, {**data, "reasons": reasons[:10]})


def verdict_of_failure(error: Exception) -> dict[str, Any]:
    """A rejection, in the shape of `inspect_file`'s verdict, of a file that the gates themselves failed on (C8)."""
    return {**verdict_of_error(NAMELESS, f"{FAILED_ON_FILE}: {error}"), "container": None, "incomplete": False}
