"""A quest: one training file and its sidecar `x.jsonl.meta.json`, which tells the quest's story.

The sidecar holds the quest's identity and options beside the seed's lineage fields (spec 1.3); keys that
the realm does not know are kept as they are. It has one writer: the quest board.
"""

from __future__ import annotations

import re
import reprlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.files import read_json
from core.lineage import SIDECAR_SUFFIX as SIDECAR_SUFFIX
from core.lineage import sidecar_path

QUEST_ID = re.compile(r"q_[0-9]{8}_[0-9]{6}_[0-9a-f]{8}")


def new_quest_id(now: datetime) -> str:
    """A fresh id such as `q_20261121_093000_5f2c1ab7`; sortable by time of intake, unique by chance."""
    return f"q_{now:%Y%m%d_%H%M%S}_{secrets.token_hex(4)}"


def sidecar_of(data_file: Path) -> Path:
    return sidecar_path(data_file)


@dataclass(frozen=True)
class Strike:
    """One death of the trainer while it was stepping this quest."""

    at: str
    """Time of the death, ISO 8601 UTC."""
    ordinal: int
    """The quest's ordinal in the journal."""
    quest_step: int
    """Steps of the quest that were done when the trainer died."""
    cause: str
    """What the parent found out: exit code, signal, out of memory, last lines."""


@dataclass
class QuestRecord:
    """The realm's part of a sidecar. Times are ISO 8601 UTC strings."""

    quest_id: str
    submitted_at: str
    priority: str
    content_hash: str
    """BLAKE3 of the file, hex."""
    rows: int
    """Rows to learn (a header row does not count)."""
    schema_id: str
    """Quest spec that the file follows (spec 1.2)."""
    original_name: str
    """Name under which the file was dropped."""
    epochs: int | None = None
    """Passes over the file; None takes the hero's at claim."""
    profile: str | None = None
    system_prompt: str | None = None
    attempts: int = 0
    """Claims so far."""
    strikes: list[Strike] = field(default_factory=list)
    outcome: str | None = None
    """How it ended: learned, skipped, withdrawn, refused, lost or rewound; None while it is open."""
    reason: str | None = None
    finished_at: str | None = None
    rows_learned: int | None = None
    """Rows that reached the model over all epochs; known once the quest has ended."""
    first_step: int | None = None
    last_step: int | None = None
    """Global steps of the quest's first and last step."""
    loss_first: float | None = None
    loss_last: float | None = None
    proof: dict[str, Any] | None = None
    """What the gate before training found (`arena.proving.assay`): token statistics, and what measured them."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """Every key of the sidecar that is not one of the above, among them the seed's lineage fields."""

    def again(self, quest_id: str, priority: str, *, now: datetime) -> QuestRecord:
        """The same file as a new quest, without strikes and ends: a retry is a new claim (C5)."""
        return QuestRecord(
            quest_id=quest_id,
            submitted_at=now.astimezone(UTC).isoformat(),
            priority=priority,
            content_hash=self.content_hash,
            rows=self.rows,
            schema_id=self.schema_id,
            original_name=self.original_name,
            epochs=self.epochs,
            profile=self.profile,
            system_prompt=self.system_prompt,
            lineage={**self.lineage, "retry_of": self.quest_id},
        )

    def judged(self, validators: Mapping[str, str], *, passed: bool) -> QuestRecord:
        """The record after one more gate: the lineage names its validators, and says whether all let the quest pass."""
        known = self.lineage.get("validator_versions")
        versions = {**(known if isinstance(known, dict) else {}), **validators}
        return replace(self, lineage={**self.lineage, "validator_versions": versions, "validation_passed": passed})

    def proven(self, proof: dict[str, Any] | None) -> QuestRecord:
        """The record with what the gate before training found; as it is without a proof."""
        return self if proof is None else replace(self.judged(proof["validators"], passed=True), proof=proof)


NAMELESS = QuestRecord(
    quest_id="", submitted_at="", priority="normal", content_hash="", rows=0, schema_id="", original_name=""
)
"""A quest without options: with it, the settings of a quest are those of hero and realm."""

_OWN_FIELDS = [f.name for f in fields(QuestRecord) if f.name != "lineage"]


@dataclass
class Quest:
    """A data file in a lane together with its record."""

    path: Path
    record: QuestRecord

    @property
    def quest_id(self) -> str:
        return self.record.quest_id

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def lane(self) -> str:
        return self.path.parent.name


def read_sidecar(data_file: Path) -> QuestRecord | None:
    """The record beside `data_file`; None when there is no sidecar or it carries no quest of ours."""
    raw = read_json(sidecar_of(data_file))
    if not isinstance(raw, dict) or not QUEST_ID.fullmatch(str(raw.get("quest_id", ""))):
        return None
    own = {name: raw[name] for name in _OWN_FIELDS if name in raw}
    lineage = {key: value for key, value in raw.items() if key not in _OWN_FIELDS}
    try:
        own["strikes"] = [Strike(**strike) for strike in own.get("strikes") or []]
        return QuestRecord(**own, lineage=lineage)
    except TypeError:
        return None


def read_lineage(data_file: Path) -> dict[str, Any]:
    """What a user or generator wrote into a sidecar before intake; `{}` when there is none."""
    raw = read_json(sidecar_of(data_file))
    return raw if isinstance(raw, dict) else {}


OPTION_VALUES = {
    "epochs": "a whole number from 1 to 1000",
    "profile": "the name of a profile",
    "system_prompt": "a text",
}


def dropped_options(lineage: Mapping[str, Any], header: Mapping[str, Any] | None) -> dict[str, Any]:
    """`epochs`, `profile` and `system_prompt` as a sidecar or else the header row of a dropped file asks for them.

    What cannot be an option is None, as if it were not there.
    """
    asked = {**(header or {}), **lineage}
    epochs, texts = asked.get("epochs"), (asked.get("profile"), asked.get("system_prompt"))
    profile, prompt = (text if isinstance(text, str) and text else None for text in texts)
    is_number = isinstance(epochs, int) and not isinstance(epochs, bool) and 1 <= epochs <= 1000
    return {"epochs": epochs if is_number else None, "profile": profile, "system_prompt": prompt}


def ignored_options(lineage: Mapping[str, Any], header: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each option that was asked for and that `dropped_options` leaves out."""
    asked, taken = {**(header or {}), **lineage}, dropped_options(lineage, header)
    return [
        f"{name} is {reprlib.repr(asked[name])} and not {OPTION_VALUES[name]}: it is ignored"
        for name, value in taken.items()
        if value is None and asked.get(name) is not None
    ]
