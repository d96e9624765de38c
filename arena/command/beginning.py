"""What the daemon tells the trainer: how to begin, and which quest comes next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arena.heroes import Hero, lora_of, quest_settings
from arena.journal import JOURNAL_NAME, read_history
from arena.lanes.reading import CLAIMED_LANES
from arena.protocol import Begin, Claim, ExamSheet, OpenQuest, RanOut, Withdrawal
from arena.quest_board import QuestBoard
from arena.quests import NAMELESS, Quest, QuestRecord
from core.paths import RealmPaths
from core.settings import Settings

SEALED_LANES = ("recently_completed", "failed")


def begin_of(
    paths: RealmPaths,
    settings: Settings,
    hero: Hero,
    base_model: str,
    board: QuestBoard,
    withdrawals: list[Withdrawal],
    pause_reason: str | None,
    ran_out: RanOut | None = None,
    *,
    examination: Callable[[QuestRecord], ExamSheet | None] = lambda quest: None,
    curriculum: dict[str, Any] | None = None,
) -> Begin:
    """The first command to a new child; `examination` tells what is asked after a quest.

    Raises `Conflict` for a damaged journal.
    """
    claims = read_history(paths.current_model / JOURNAL_NAME).claims.values()
    waiting = board.reclaim(claim.quest_id for claim in claims)
    # In the order in which quests move on, so that one which moves meanwhile is seen once at least.
    begun = [*waiting, *(quest for lane in (*CLAIMED_LANES, *SEALED_LANES) for quest in board.quests(lane))]
    claimed = {
        quest.quest_id: OpenQuest(
            quest_id=quest.quest_id,
            path=str(quest.path),
            sealed=quest.lane in SEALED_LANES,
            examination=examination(quest.record),
        )
        for quest in begun
    }
    return Begin(
        base_model=base_model,
        hero=hero.id,
        recipe=hero.recipe,
        device=settings.trainer.device,
        threads=settings.trainer.threads,
        seed=settings.trainer.seed,
        fp_precision=settings.hyperparams.fp_precision or hero.hyperparams.fp_precision,
        defaults=quest_settings(hero, settings, NAMELESS),
        save_steps=settings.save_steps,
        disk_reserve_bytes=settings.disk.reserve_megabytes << 20,
        token_cache_bytes=settings.budgets.token_cache_megabytes << 20,
        row_book_bytes=settings.budgets.row_book_megabytes << 20,
        eval_steps=settings.eval_steps,
        eval_rows=settings.eval_rows,
        open_quests=list(claimed.values()),
        withdrawals=withdrawals,
        pause_reason=pause_reason,
        ran_out=ran_out,
        packing=settings.trainer.packing,
        tf32=settings.trainer.tf32,
        compile=settings.trainer.compile,
        gradient_checkpointing=settings.trainer.gradient_checkpointing,
        processes=settings.distributed.processes,
        lora=lora_of(hero, settings),
        curriculum=curriculum,
    )


def claim_of(
    hero: Hero,
    settings: Settings,
    quest: Quest,
    examination: ExamSheet | None = None,
    curriculum: dict[str, Any] | None = None,
) -> Claim:
    """The command to learn `quest` with the settings of this moment; raises `InvalidInput` for a bad option."""
    return Claim(
        quest_id=quest.quest_id,
        path=str(quest.path),
        name=quest.name,
        content_hash=quest.record.content_hash,
        schema_id=quest.record.schema_id,
        settings=quest_settings(hero, settings, quest.record),
        examination=examination,
        curriculum=curriculum,
    )
