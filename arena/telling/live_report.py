"""What is known of the battle right now: built from the trainer's events, shown as status files and snapshot.

Every number is what the trainer said or what survived on disk; what nobody has said yet is None.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from arena.protocol import Claimed, Progress, Ready, StepPoint

RECENT_POINTS = 100
FIGHTING = {"training": "fighting", "replaying": "fighting", "preparing": "preparing", "paused": "paused"}
ENDED = {"learned": "victory", "skipped": "retreat", "withdrawn": "defeated", "lost": "defeated", "refused": "defeated"}


@dataclass
class QuestInBattle:
    """The quest that the trainer works on."""

    quest_id: str
    file: str
    rows: int
    steps: int
    """Steps of all epochs together."""
    epochs: int
    first_step: int
    """Global step before the quest's first step."""
    epoch: int = 0
    quest_step: int = 0
    rows_learned: int = 0
    rows_total: int = 0
    replaying: bool = False
    started_at: datetime | None = None


@dataclass
class LiveReport:
    """Mutable, written by the daemon's loop only."""

    hero: str
    hero_title: str
    model_name: str
    context_window: int
    since: datetime
    """When `state` was entered."""
    state: str = "starting"
    """starting, idle, preparing, training, replaying, paused, saving, evaluating, stopping, stopped, crashed."""
    reason: str | None = None
    """Why it is in this state, for people."""
    step: int | None = None
    loss: float | None = None
    learning_rate: float | None = None
    validation_loss: float | None = None
    accuracy: float | None = None
    """Right answers in the newest examination at the level being learned, 0 to 1."""
    parameters: int | None = None
    device: str | None = None
    checkpoint: str | None = None
    quest: QuestInBattle | None = None
    last_outcome: str | None = None
    """How the last quest ended; shown while nothing is fought."""
    disk: dict[str, Any] = field(default_factory=dict)
    """What `arena.disk.governor.DiskGovernor.view` tells; empty before its first look."""
    quests_completed: int = 0
    steps_made: int = 0
    rows_made: int = 0
    tokens_made: int = 0
    """Work of this session, replayed steps included. It only grows, while `step` goes back when a trainer resumes."""
    recent: deque[StepPoint] = field(default_factory=lambda: deque(maxlen=RECENT_POINTS))

    def enter(self, state: str, now: datetime, reason: str | None = None) -> bool:
        """Change the state; False when it was in it already."""
        changed = state != self.state
        if changed:
            self.since = now
        self.state, self.reason = state, reason
        return changed

    def note_ready(self, ready: Ready) -> None:
        self.step, self.parameters, self.device = ready.step, ready.parameters, ready.device
        self.checkpoint = ready.checkpoint
        self.recent.clear()

    def note_claimed(self, claimed: Claimed, file: str, now: datetime) -> None:
        self.quest = QuestInBattle(
            quest_id=claimed.quest_id, file=file, rows=claimed.rows, steps=claimed.steps,
            epochs=claimed.epochs, first_step=claimed.first_step, rows_total=claimed.rows * claimed.epochs,
            quest_step=claimed.quest_step, rows_learned=claimed.rows_learned, started_at=now,
        )  # fmt: skip

    def note_progress(self, progress: Progress) -> None:
        self.step = progress.step
        self.recent.extend(progress.points)
        for point in progress.points:
            self.loss = point.loss if point.loss is not None else self.loss
            self.learning_rate = point.learning_rate
        quest = self.quest
        self.steps_made += len(progress.points)
        self.tokens_made += sum(point.tokens for point in progress.points)
        if quest is None or quest.quest_id != progress.quest_id:
            return
        self.rows_made += max(0, progress.rows_learned - _rows_before(quest, progress))
        quest.epoch, quest.quest_step, quest.steps = progress.epoch, progress.quest_step, progress.quest_steps
        quest.rows_learned, quest.rows_total = progress.rows_learned, progress.rows_total
        quest.replaying = progress.replaying

    @property
    def tokens_per_second(self) -> float | None:
        seconds = sum(point.seconds for point in self.recent)
        return sum(point.tokens for point in self.recent) / seconds if seconds else None

    @property
    def steps_per_second(self) -> float | None:
        seconds = sum(point.seconds for point in self.recent)
        return len(self.recent) / seconds if seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Until the present quest is done, at the present speed."""
        speed = self.steps_per_second
        if self.quest is None or not speed or self.state == "paused":
            return None
        return (self.quest.steps - self.quest.quest_step) / speed

    @property
    def gap(self) -> float | None:
        if self.loss is None or self.validation_loss is None:
            return None
        return self.validation_loss - self.loss

    def training_status(self, *, waiting: int, now: datetime) -> dict[str, Any]:
        """Body of `status/training_status.json` (spec 1.7)."""
        quest = self.quest
        return {
            "status": self.state,
            "reason": self.reason,
            "since": self.since.isoformat(),
            "timestamp": now.isoformat(),
            "model_name": self.model_name,
            "hero": self.hero,
            "context_window": self.context_window,
            "current_step": self.step,
            "total_steps": quest.first_step + quest.steps if quest else None,
            "epoch": quest.epoch if quest else None,
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "validation_loss": self.validation_loss,
            "val_train_gap": self.gap,
            "current_file": quest.file if quest else None,
            "quest_id": quest.quest_id if quest else None,
            "replaying": quest.replaying if quest else False,
            "batch_step": quest.quest_step if quest else None,
            "batch_total_steps": quest.steps if quest else None,
            "batch_queue_size": waiting,
            "progress_percent": self.progress_percent,
            "rows_learned": quest.rows_learned if quest else None,
            "rows_total": quest.rows_total if quest else None,
            "tokens_per_sec": self.tokens_per_second,
            "eta_seconds": self.seconds_left,
            "train_loss_history": [[point.step, point.loss] for point in self.recent],
            "checkpoint": self.checkpoint,
            "disk": self.disk or None,
        }

    @property
    def headline(self) -> str:
        """The state in a few words: `training x.jsonl 40 %`, `paused y.jsonl 7 %: the oven is on`, `idle`."""
        percent = self.progress_percent
        done = f" {percent:.0f} %" if percent is not None else ""
        quest = f" {self.quest.file}{done}" if self.quest else ""
        return f"{self.state}{quest}" + (f": {self.reason}" if self.reason else "")

    @property
    def progress_percent(self) -> float | None:
        """Rows of the quest that are learned, in percent (F5)."""
        if self.quest is None or not self.quest.rows_total:
            return None
        return 100.0 * self.quest.rows_learned / self.quest.rows_total

    def battle_status(self, *, campaign: int, total_campaigns: int, now: datetime) -> dict[str, Any]:
        """Body of `status/battle_status.json` (spec 1.7); a campaign is a quest of this session."""
        quest, left = self.quest, self.seconds_left
        return {
            "state": self.battle_state,
            "quest_file": quest.file if quest else None,
            "current_round": quest.quest_step if quest else None,
            "total_rounds": quest.steps if quest else None,
            "campaign": campaign,
            "total_campaigns": total_campaigns,
            "damage_taken": self.loss,
            "validation_damage": self.validation_loss,
            "hit_rate": None,
            "rounds_per_second": self.steps_per_second,
            "time_remaining": left,
            "eta": (now + timedelta(seconds=left)).isoformat() if left is not None else None,
            "hero_checkpoint": self.checkpoint,
            "hero_vram_mb": None,
            "battle_started": quest.started_at.isoformat() if quest and quest.started_at else None,
            "last_update": now.isoformat(),
        }

    @property
    def battle_state(self) -> str:
        """idle, preparing, fighting, paused, victory, retreat or defeated."""
        if self.state == "crashed":
            return "defeated"
        if self.state in {"stopping", "stopped"}:
            return "retreat"
        if self.state in FIGHTING:
            return FIGHTING[self.state]
        if self.quest is not None:
            return "fighting"
        return ENDED.get(self.last_outcome or "", "idle")


def _rows_before(quest: QuestInBattle, progress: Progress) -> int:
    """Rows of the quest that were learned before this frame's steps."""
    before = progress.quest_step - len(progress.points)
    if before <= quest.quest_step:
        return quest.rows_learned
    # The first frame after a resume in the middle of a quest: nobody told what the checkpoint held.
    return progress.rows_learned * before // progress.quest_step
