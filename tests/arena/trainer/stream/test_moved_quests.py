"""Quests that are moved after the trainer was told where they lie: by the daemon, or by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from arena.protocol import Claim, Command, Event, QuestEnded, Refused, Stop
from arena.quest_board import QuestBoard
from arena.trainer.stream.data_at_hand import quest_file
from tests.arena.quest_makers import NOW, record_of, take
from tests.arena.trainer.driving import Field
from tests.arena.trainer.fighting_here import fight
from tests.arena.trainer.tiny_hero import chat, settings, write_rows


def stop_then(event: Event) -> Command | None:
    return Stop(reason="it is over") if isinstance(event, QuestEnded | Refused) else None


def test_a_quest_is_learned_wherever_it_lies_by_now(tmp_path: Path, tiny_model: Path) -> None:
    """DESIGN law 1: `mv` by hand between lanes is allowed; told of it in `normal/`, the trainer refused the quest."""
    field = Field(tmp_path, tiny_model)
    board = QuestBoard(field.paths)
    source = write_rows(field.paths.inbox / "x.jsonl", [chat(number) for number in range(5)])
    quest = board.admit(source, record_of(source), "normal", "x.jsonl", now=NOW)
    claim = Claim(
        quest_id=quest.quest_id, path=str(quest.path), name=quest.name, content_hash=quest.record.content_hash,
        schema_id="chat_sft_v1", settings=settings(),
    )  # fmt: skip
    board.claim(quest)
    assert not quest.path.exists()
    told = fight(field, claim, answer=stop_then)
    assert [event.outcome for event in told if isinstance(event, QuestEnded)] == ["learned"]


@pytest.mark.parametrize("lane", ["normal", "processing", "awaiting_seal", "failed"])
def test_of_a_quest_that_is_not_over_the_file_is_found(board: QuestBoard, lane: str) -> None:
    quest = take(board, "x.jsonl")
    if lane in ("processing", "awaiting_seal"):
        quest = board.claim(quest)
    if lane == "awaiting_seal":
        quest = board.await_seal(
            quest.quest_id, outcome="learned", rows_learned=1, first_step=1, last_step=1, now=NOW
        )  # fmt: skip
    if lane == "failed":
        quest = board.fail(quest.quest_id, outcome="withdrawn", reason="moved to failed/ by hand", now=NOW)
    assert quest_file(board.paths, quest.quest_id, begun=False) == (None if lane == "failed" else quest.path)
    assert quest_file(board.paths, quest.quest_id, begun=True) == quest.path, "what is at hand is not lost"
