"""The scrying pool: one look at the battle, from `status/battle_status.json` (spec 1.7, ScryingVision)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from core.paths import RealmPaths
from core.status_files import UNKNOWN, number, read_status

BATTLE_STATES = {
    **{state: state for state in ("idle", "preparing", "fighting", "paused", "victory", "retreat", "defeated")},
    "training": "fighting",
    "completed": "victory",
    "stopped": "retreat",
    "error": "defeated",
    "crashed": "defeated",
}
"""Words for a battle, and the training words that mean the same; every other word is `unknown`."""

LOSS_WARNING = 2.0
LOSS_ALARM = 5.0


@dataclass(frozen=True)
class ScryingVision:
    """What the pool showed. None is unknown, never 0; of a stale report the momentary fields are None."""

    battle_state: str
    """One of `BATTLE_STATES`' values, or `unknown` when nobody vouches for the report any more."""
    quest_file: str | None
    current_round: int | None
    """Steps of the quest that are done."""
    total_rounds: int | None
    progress_percent: float | None
    """0 to 100, from the two above."""
    campaign: int | None
    """Quests completed so far."""
    total_campaigns: int | None
    """Those and the ones that wait."""
    damage_taken: float | None
    """Loss."""
    hit_rate: float | None
    """Accuracy in percent."""
    rounds_per_second: float | None
    time_remaining: float | None
    """Seconds to the end of the quest."""
    eta: str | None
    hero_vram_mb: float | None
    hero_checkpoint: str | None
    observed_at: datetime
    """When the pool was asked."""
    stale: bool = False
    """True when there is a report but it is out of date or its writer is gone."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "observed_at": self.observed_at.isoformat()}


@dataclass(frozen=True)
class Disturbance:
    """Something in a vision that people should look at."""

    severity: str
    """`warning` or `alarm`."""
    name: str
    message: str


class ScryingPool:
    """Reads the battle status that the daemon writes; never writes itself."""

    def __init__(self, paths: RealmPaths) -> None:
        self._path = paths.battle_status

    def gaze(self, now: datetime | None = None) -> ScryingVision:
        """The battle as reported, judged at `now` (default: the present)."""
        observed_at = now or datetime.now(UTC)
        report = read_status(self._path, now=observed_at)
        done, total = _whole(report.get("current_round")), _whole(report.get("total_rounds"))
        stale = bool(report.get("stale"))
        momentary = {} if stale else report
        return ScryingVision(
            battle_state=UNKNOWN if stale else BATTLE_STATES.get(str(report.get("state")), UNKNOWN),
            quest_file=_text(report.get("quest_file")),
            current_round=done,
            total_rounds=total,
            progress_percent=_percent(done, total),
            campaign=_whole(report.get("campaign")),
            total_campaigns=_whole(report.get("total_campaigns")),
            damage_taken=number(report.get("damage_taken")),
            hit_rate=number(report.get("hit_rate")),
            rounds_per_second=number(momentary.get("rounds_per_second")),
            time_remaining=number(momentary.get("time_remaining")),
            eta=_text(momentary.get("eta")),
            hero_vram_mb=number(momentary.get("hero_vram_mb")),
            hero_checkpoint=_text(report.get("hero_checkpoint")),
            observed_at=observed_at,
            stale=stale and report.get("heartbeat_at") is not None,
        )

    def detect_disturbances(self, vision: ScryingVision | None = None) -> list[Disturbance]:
        """High loss (above 2 a warning, above 5 an alarm) and a report that nobody vouches for; `[]` when calm."""
        seen = vision or self.gaze()
        if seen.stale:
            return [Disturbance("warning", "Vision Stale", "The last battle report is out of date.")]
        loss = seen.damage_taken
        if seen.battle_state != "fighting" or loss is None or loss <= LOSS_WARNING:
            return []
        severity = "alarm" if loss > LOSS_ALARM else "warning"
        limit = LOSS_ALARM if loss > LOSS_ALARM else LOSS_WARNING
        return [Disturbance(severity, "High Damage", f"The loss is {loss:.4g}, above {limit:g}.")]


def _whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _percent(done: int | None, total: int | None) -> float | None:
    if done is None or not total:
        return None
    return round(min(100.0, 100.0 * done / total), 1)
