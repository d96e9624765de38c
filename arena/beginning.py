"""What the daemon tells the trainer: how to begin, and which quest comes next."""

from __future__ import annotations

from arena.heroes import Hero, quest_settings
from arena.protocol import Begin, Claim, OpenQuest, Withdrawal
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord
from core.paths import RealmPaths
from core.settings import Settings

SEALED_LANES = ("recently_completed", "failed")
OPEN_LANES = ("awaiting_seal", "processing")


def begin_of(
    paths: RealmPaths,
    settings: Settings,
    hero: Hero,
    base_model: str,
    board: QuestBoard,
    withdrawals: list[Withdrawal],
    pause_reason: str | None,
) -> Begin:
    """The first command to a new child."""
    claimed = {
        quest.quest_id: OpenQuest(quest_id=quest.quest_id, path=str(quest.path), sealed=lane in SEALED_LANES)
        for lane in (*SEALED_LANES, *OPEN_LANES)
        for quest in board.quests(lane)
    }
    nameless = QuestRecord(
        quest_id="", submitted_at="", priority="normal", content_hash="", rows=0, schema_id="", original_name=""
    )
    return Begin(
        base_model=base_model,
        hero=hero.id,
        recipe=hero.recipe,
        device=settings.trainer.device,
        threads=settings.trainer.threads,
        seed=settings.trainer.seed,
        fp_precision=settings.hyperparams.fp_precision or hero.hyperparams.fp_precision,
        defaults=quest_settings(hero, settings, nameless),
        save_steps=settings.save_steps,
        eval_steps=settings.eval_steps,
        eval_rows=settings.eval_rows,
        open_quests=list(claimed.values()),
        withdrawals=withdrawals,
        pause_reason=pause_reason,
    )


def claim_of(hero: Hero, settings: Settings, quest: Quest) -> Claim:
    """The command to learn `quest` with the settings of this moment; raises `InvalidInput` for a bad option."""
    return Claim(
        quest_id=quest.quest_id,
        path=str(quest.path),
        name=quest.name,
        content_hash=quest.record.content_hash,
        schema_id=quest.record.schema_id,
        settings=quest_settings(hero, settings, quest.record),
    )
