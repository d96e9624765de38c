"""What the arena tells Prometheus: training, quests, the trainer, checkpoints, the inbox, the scribe and the disk.

Counters of this session begin at 0 with each start of the realm, as Prometheus expects of them. Totals that are known
from durable facts (steps of the model, quests learned, the newest event) go on where they were.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from arena.quest_board import QuestBoard
from arena.telling.live_report import LiveReport
from core.checkpoint_ledger import CheckpointLedger
from core.http.metrics import Reading, Value
from core.paths import PRIORITIES
from core.saga import Event, Saga
from core.scribe import Scribe

SCAN_SECONDS = 30.0
"""How old a number may be for which folders are read."""


class TrainerLife(Protocol):
    """What is asked of `arena.supervision.trainer_supervisor.TrainerSupervisor`."""

    ready: bool

    @property
    def pid(self) -> int | None: ...


class EventTally:
    """Counts what the saga is told from now on."""

    def __init__(self, saga: Saga) -> None:
        self.kinds: Counter[str] = Counter()
        newest = saga.latest_events(1)
        self.newest: int = newest[-1].id if newest else 0
        """Id of the newest event; ids are never used again."""
        saga.subscribe(self._note)

    def _note(self, event: Event) -> None:
        self.kinds[event.kind] += 1
        self.newest = event.id


def training_readings(report: LiveReport) -> list[Reading]:
    """How training goes."""
    return [
        Reading("realm_training_state", "What training does: 1 for the present state.",
                lambda: {report.state: 1}, label="state"),
        Reading("realm_training_step", "Steps of the model since its base model; goes back when a trainer resumes.",
                lambda: report.step),
        Reading("realm_training_loss", "Mean cross-entropy per target token of the newest step, in nats.",
                lambda: report.loss),
        Reading("realm_training_validation_loss", "The same over the validation rows, when last measured.",
                lambda: report.validation_loss),
        Reading("realm_training_learning_rate", "Learning rate of the newest step.", lambda: report.learning_rate),
        Reading("realm_training_tokens_per_second", "Speed over the newest steps.", lambda: report.tokens_per_second),
        Reading("realm_training_steps_total", "Steps made in this session, replayed ones included.",
                lambda: report.steps_made, kind="counter"),
        Reading("realm_training_rows_total", "Rows trained in this session, replayed ones included.",
                lambda: report.rows_made, kind="counter"),
        Reading("realm_training_tokens_total", "Tokens trained in this session, replayed ones included.",
                lambda: report.tokens_made, kind="counter"),
        Reading("realm_quests_learned_total", "Quests that are part of the model, from its journal.",
                lambda: report.quests_completed, kind="counter"),
    ]  # fmt: skip


def trainer_readings(trainer: TrainerLife, events: EventTally) -> list[Reading]:
    """How the trainer child does, and what has happened."""
    return [
        Reading("realm_trainer_ready", "1 while a trainer has its model loaded, else 0.", lambda: int(trainer.ready)),
        Reading("realm_trainer_resident_memory_bytes", "Resident memory of the trainer; absent while there is none.",
                lambda: _resident_bytes(trainer.pid), seconds=0.0),
        Reading("realm_trainer_starts_total", "Trainers that became ready in this session.",
                lambda: events.kinds["trainer_ready"], kind="counter"),
        Reading("realm_trainer_deaths_total", "Trainers that died in this session without being told to end.",
                lambda: events.kinds["trainer_died"], kind="counter"),
        Reading("realm_events_total", "Events of this session by kind.",
                lambda: dict(events.kinds), kind="counter", label="kind"),
        Reading("realm_saga_events_total", "Events since the saga was begun.",
                lambda: events.newest, kind="counter"),
    ]  # fmt: skip


def store_readings(
    base: Path, board: QuestBoard, counts: Callable[[], Mapping[str, Any]], ledger: CheckpointLedger
) -> list[Reading]:
    """What lies where; `counts` gives what `QuestBoard.counts` said last."""
    return [
        Reading("realm_quests", "Quests by lane.", lambda: _by_lane(counts()), label="lane"),
        Reading("realm_queue_oldest_timestamp_seconds",
                "When the quest that waits longest was taken in (Unix time); absent while none waits.",
                lambda: _oldest_waiting(board), seconds=SCAN_SECONDS),
        Reading("realm_checkpoints", "Checkpoints on disk.",
                lambda: len(ledger.list_all()), seconds=SCAN_SECONDS),
        Reading("realm_checkpoint_timestamp_seconds",
                "When the newest checkpoint was saved (Unix time); its age is time() minus this.",
                lambda: _newest_checkpoint(ledger), seconds=SCAN_SECONDS),
        Reading("realm_disk_free_bytes", "Free for this user on the disk of the base directory.",
                lambda: shutil.disk_usage(base).free, seconds=0.0),
        Reading("realm_disk_size_bytes", "Size of that disk.", lambda: shutil.disk_usage(base).total, seconds=0.0),
    ]  # fmt: skip


def disk_readings(report: LiveReport) -> list[Reading]:
    """How the disk of `current_model/` stands, as the governor saw it last."""
    return [
        Reading("realm_disk_state", "What the disk allows: 1 for the present state (plenty, low, full, missing …).",
                lambda: {report.disk["state"]: 1} if report.disk else None, label="state"),
        Reading("realm_disk_reserved_bytes", "What giving up the reserve frees; 0 while it is given up.",
                lambda: report.disk.get("reserved_bytes")),
        Reading("realm_next_checkpoint_bytes", "Size of the newest checkpoint that training can go on from.",
                lambda: report.disk.get("next_save_bytes")),
    ]  # fmt: skip


def intake_readings(inbox: Callable[[], Mapping[str, Any]], scribe: Scribe) -> list[Reading]:
    """What comes in; `inbox` gives what `Intake.report` says."""
    return [
        Reading("realm_inbox_files", "Files in the inbox: those that wait to be taken, and those left lying there.",
                lambda: {"waiting": inbox()["waiting"], "left_lying": inbox()["left_lying"]}, label="state"),
        Reading("realm_scribe_jobs_total", "Jobs that the scribe has begun in this session.",
                lambda: scribe.jobs, kind="counter"),
        Reading("realm_scribe_resident_memory_bytes", "Resident memory of the scribe; absent while it does not run.",
                lambda: _resident_bytes(scribe.worker_pid), seconds=0.0),
    ]  # fmt: skip


def _by_lane(counts: Mapping[str, Any]) -> Value:
    if not counts:
        return None
    lanes = ("processing", "awaiting_seal", "completed", "failed", "skipped")
    return {**{name: counts["queued"][name] for name in PRIORITIES}, **{name: counts[name] for name in lanes}}


def _oldest_waiting(board: QuestBoard) -> float | None:
    rows = (row for lane in PRIORITIES for row in board.listing(lane))
    return min((_unix(row["added_at"]) for row in rows if row["added_at"] and row["outcome"] is None), default=None)


def _newest_checkpoint(ledger: CheckpointLedger) -> float | None:
    latest = ledger.get_latest()
    return _unix(latest.timestamp) if latest is not None and latest.timestamp else None


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _resident_bytes(pid: int | None) -> float | None:
    # Loaded on use: who is never scraped does not pay for it.
    import psutil

    try:
        return None if pid is None else float(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
