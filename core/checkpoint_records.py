"""What is known of one checkpoint: its record, the name of its directory, and the sidecar inside it (spec 1.8)."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from core.errors import InvalidInput
from core.files import DISK, Files, read_json

logger = logging.getLogger(__name__)

SIDECAR = ".ledger.json"
LEDGER_VERSION = "1.0.0"
BYTES_PER_GB = 1_000_000_000

# Eighteen digits at most: int() refuses very long strings, and no step is that large.
_NAME = re.compile(r"checkpoint-(?P<step>[0-9]{1,18})(?:-(?P<date>[0-9]{8})-(?P<time>[0-9]{4}))?")
_STEP = re.compile(r"[0-9]{1,18}")


class ParsedName(TypedDict):
    """The parts of a checkpoint's directory name; `date` and `time` are None for the legacy `checkpoint-N`."""

    step: int
    date: str | None
    time: str | None
    is_canonical: bool


def checkpoint_name(step: int, now_local: datetime) -> str:
    """The canonical name `checkpoint-{step}-{YYYYMMDD}-{HHMM}`; `now_local` is tz-aware local time."""
    if step < 0:
        raise ValueError(f"a step is never negative: {step}")
    return f"checkpoint-{step}-{now_local:%Y%m%d-%H%M}"


def parse_checkpoint_name(name: str | os.PathLike[str]) -> ParsedName:
    """Take a checkpoint's name or path apart; anything else gives step 0 and `is_canonical` False."""
    # Path takes ten times as long as the rest, and a vault may hold thousands of names.
    match = _NAME.fullmatch(name if isinstance(name, str) and "/" not in name else Path(name).name)
    if match is None:
        return ParsedName(step=0, date=None, time=None, is_canonical=False)
    date = match["date"]
    return ParsedName(step=int(match["step"]), date=date, time=match["time"], is_canonical=date is not None)


def extract_step(name: str | os.PathLike[str]) -> int:
    """The step in a canonical or legacy name or path; 0 when it is neither."""
    return parse_checkpoint_name(name)["step"]


def is_checkpoint_name(name: str) -> bool:
    """True for exactly a canonical or legacy name, never for a path, a staging, trash or quarantine name."""
    return _NAME.fullmatch(name) is not None


def checkpoint_order(name: str) -> tuple[int, str, str, str]:
    """Sort key, oldest first: by step as a number, then by the time in the name."""
    parsed = parse_checkpoint_name(name)
    return parsed["step"], parsed["date"] or "", parsed["time"] or "", name


def checkpoint_names(root: Path) -> list[str]:
    """Names of the checkpoint directories in `root`, oldest first; links and everything half made are left out."""
    try:
        with os.scandir(root) as entries:
            names = [e.name for e in entries if is_checkpoint_name(e.name) and e.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(names, key=checkpoint_order)


def match_checkpoint(reference: str, names: Sequence[str]) -> str | None:
    """Which of `names` (oldest first) is meant by a step, `checkpoint_{step}`, or a canonical or legacy name.

    Only whole names and whole numbers match: 1000 never means 10000. Of several directories of one step the
    newest is meant.
    """
    wanted = reference
    if reference.startswith("checkpoint_"):
        wanted = "checkpoint-" + reference.removeprefix("checkpoint_")
    if wanted in names:
        return wanted
    digits = wanted.removeprefix("checkpoint-")
    if _STEP.fullmatch(digits) is None:
        return None
    return next((name for name in reversed(names) if extract_step(name) == int(digits)), None)


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """The numbers of one checkpoint at the moment it was saved; what was not known is None, never 0.

    A number that is NaN or infinite becomes None: JSON cannot hold it, and nothing compares with it.
    """

    step: int
    timestamp: str = ""
    """When it was saved, ISO 8601 UTC."""
    path: str = ""
    """The directory under its final name."""
    canonical_name: str = ""
    """Name of the directory; a legacy `checkpoint-N` keeps that name."""
    train_loss: float | None = None
    """Mean cross-entropy per target token, nats."""
    val_loss: float | None = None
    learning_rate: float | None = None
    epoch: float | None = None
    accuracy: float | None = None
    perplexity: float | None = None
    training_file: str | None = None
    skill_name: str | None = None
    skill_level: int | None = None
    total_examples_trained: int | None = None
    """Rows learned since the base model."""
    size_bytes: int | None = None
    has_optimizer: bool = False
    created_by: str = "training_daemon"
    ledger_version: str = LEDGER_VERSION
    base_model: str | None = None
    quest_id: str | None = None
    ordinal: int | None = None
    """The quest's ordinal in the journal."""
    hero: str | None = None
    milestone: bool = False
    """Kept within the limits of `retention`; all others share the rolling slot."""
    code_version: str | None = None
    seed: int | None = None
    steps_left_out: int | None = None
    """Steps that were counted and taught nothing: not finite, spikes, taken back, or too large for the memory."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                object.__setattr__(self, field.name, None)

    @property
    def size_gb(self) -> float | None:
        """Size in GB (10⁹ bytes)."""
        return None if self.size_bytes is None else self.size_bytes / BYTES_PER_GB

    @property
    def age_hours(self) -> float | None:
        """Hours since it was saved, by the clock of this machine; None when the time is not known."""
        try:
            saved = datetime.fromisoformat(self.timestamp)
        except ValueError:
            return None
        if saved.tzinfo is None:
            saved = saved.replace(tzinfo=UTC)
        return (datetime.now(UTC) - saved).total_seconds() / 3600

    @property
    def display_name(self) -> str:
        """For people: `Step 190,000 | Loss 0.4320 | bin L5`, without the parts that are not known."""
        parts = [f"Step {self.step:,}"]
        if self.train_loss is not None:
            parts.append(f"Loss {self.train_loss:.4f}")
        if self.skill_name:
            parts.append(self.skill_name if self.skill_level is None else f"{self.skill_name} L{self.skill_level}")
        return " | ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)

    def to_view(self) -> dict[str, Any]:
        """`to_json` with what is computed: `size_gb`, `age_hours` and `display_name`."""
        computed = {"size_gb": self.size_gb, "age_hours": self.age_hours, "display_name": self.display_name}
        return {**self.to_json(), **computed}

    @staticmethod
    def from_json(raw: Any) -> CheckpointRecord | None:
        """The record in `raw`, unknown fields dropped; None when it is no record."""
        try:
            return msgspec.convert(raw, CheckpointRecord)
        except msgspec.ValidationError as error:
            logger.warning("ignored a ledger record: %s", error, extra={"event": "ledger_record_invalid"})
            return None


def write_sidecar(folder: Path, record: CheckpointRecord, files: Files = DISK) -> None:
    """Write `.ledger.json` into `folder`, durably; the record must carry the final path (A13).

    `folder` may still be a staging directory: the sidecar is written before the checkpoint is published.
    """
    if not record.canonical_name or Path(record.path).name != record.canonical_name:
        raise InvalidInput(
            f"The record of step {record.step} names {record.canonical_name!r} but lies at {record.path!r}.",
            hint="Give the final path, not that of the staging directory.",
        )
    files.write_json(folder / SIDECAR, record.to_json(), durable=True)


def read_sidecar(folder: Path) -> CheckpointRecord | None:
    """The record inside a checkpoint; None when there is none or it cannot be read."""
    raw = read_json(folder / SIDECAR)
    return None if raw is None else CheckpointRecord.from_json(raw)
