"""The one JSON that a page starts from; its shape is told in `tavern/answers.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from arena.telling.live_report import LiveReport
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.paths import PRIORITIES
from core.saga import Saga

LOSS_POINTS = 500
EVENTS = 30
STEPS_PER_LEVEL = 1000
GOLD_PER_QUEST = 100
CHECKPOINTS = 10
"""The newest, that are told one by one."""
WOUNDS = ("spike", "not_finite")
"""Kinds of events that tell of a step from which nothing could be learned (`arena.journal`)."""
RISES = ("hero_level_up", "level_mastered")


def live_part(report: LiveReport, *, waiting: int, version: str, now: datetime) -> dict[str, Any]:
    """What changes with every step; also the body of a progress frame."""
    return {
        "timestamp": now.isoformat(),
        "realm": {
            "state": report.state,
            "reason": report.reason,
            "since": report.since.isoformat(),
            "version": version,
        },
        "hero": _hero(report),
        "training": report.training_status(waiting=waiting, now=now),
        "quest": _quest(report),
    }


def lanes_part(counts: Mapping[str, Any], inbox: Mapping[str, Any]) -> dict[str, Any]:
    """What lies where, from `QuestBoard.counts` and `Intake.report`; part of a progress frame too."""
    lanes = {name: counts[name] for name in ("processing", "awaiting_seal", "completed", "failed")}
    waiting = {name: counts["queued"][name] for name in PRIORITIES}
    return {"queue": {**waiting, **lanes, "inbox": inbox["waiting"]}, "inbox": dict(inbox)}


def stored_part(saga: Saga, ledger: CheckpointLedger) -> dict[str, Any]:
    """What lies in databases and files; reads the disk."""
    events = saga.latest_events(EVENTS)
    records = ledger.list_all()
    latest = records[0] if records else None
    sizes = [record.size_gb for record in records if record.size_gb is not None]
    return {
        "mood": _mood(saga),
        "vault": {
            "checkpoint_count": len(records),
            "total_size_gb": round(sum(sizes), 3) if len(sizes) == len(records) else None,
            "checkpoints": [_checkpoint(record) for record in records[:CHECKPOINTS]],
        },
        "loss": saga.points("train_loss", limit=LOSS_POINTS),
        "validation": saga.points("val_loss", limit=LOSS_POINTS),
        "checkpoint": {
            "latest": _checkpoint(latest) if latest else None,
            "count": len(records),
        },
        "events": [event.to_json() for event in events],
        "last_event_id": events[-1].id if events else 0,
    }


def _checkpoint(record: CheckpointRecord) -> dict[str, Any]:
    return {
        "name": record.canonical_name,
        "step": record.step,
        "train_loss": record.train_loss,
        "saved_at": record.timestamp,
        "size_gb": record.size_gb,
    }


def _mood(saga: Saga) -> dict[str, Any]:
    """What the hero has just lived through: the last blow, and the last rise."""
    return {name: _newest(saga, kinds) for name, kinds in (("wound", WOUNDS), ("rise", RISES))}


def _newest(saga: Saga, kinds: Sequence[str]) -> dict[str, Any] | None:
    found = saga.find_events(limit=1, kinds=kinds)
    return found[0].to_json() if found else None


def _hero(report: LiveReport) -> dict[str, Any]:
    """Stats of DESIGN section 6; accuracy is unknown until there was an examination (failure E17)."""
    return {
        "id": report.hero,
        "name": report.hero_title,
        "level": report.step // STEPS_PER_LEVEL if report.step is not None else None,
        "xp": report.step,
        "atk": _inverse(report.loss),
        "def": _inverse(report.validation_loss),
        "acc": report.accuracy,
        "gold": report.quests_completed * GOLD_PER_QUEST,
        "model": {"name": report.model_name, "parameters": report.parameters, "device": report.device},
    }


def _inverse(loss: float | None) -> float | None:
    return 1 / loss if loss else None


def _quest(report: LiveReport) -> dict[str, Any] | None:
    quest = report.quest
    if quest is None:
        return None
    return {
        "file": quest.file,
        "quest_id": quest.quest_id,
        "rows_done": quest.rows_learned,
        "rows_total": quest.rows_total,
        "step": quest.quest_step,
        "steps": quest.steps,
        "epoch": quest.epoch + 1,
        "epochs": quest.epochs,
        "loss": report.loss,
        "learning_rate": report.learning_rate,
        "tokens_per_sec": report.tokens_per_second,
        "eta_seconds": report.seconds_left,
        "replaying": quest.replaying,
    }
