"""What the learned quests were made of: sums of what the gates found, and null for what no gate has looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from arena.answers import DataHealth as Told
from arena.quest_board import QuestBoard
from arena.quests import sidecar_of
from arena.telling.data_health import DataHealth
from tests.arena.quest_makers import NOW, learn, make_realm, take

DEEP = {"protocol_checked": 10, "emoji_mode_valid": 4, "direct_mode_valid": 5, "malformed": 1}


def complete(board: QuestBoard, name: str, **proof: Any) -> None:
    """A learned quest, with what the gate before training found."""
    ended = learn(board, take(board, name))
    (sealed,) = board.seal([ended.quest_id], now=NOW)
    sidecar = sidecar_of(sealed.path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "proof": proof or None}))


def found(profile: str, cut: int, warnings: int, protocol: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "judged_by": {"profile": profile},
        "tokens": {"rows_truncated": cut, "tokens_lost": 10 * cut},
        "content": {"protocol_stats": protocol} if protocol else None,
        "total_warnings": warnings,
    }


async def test_what_no_gate_has_looked_at_is_unknown(tmp_path: Path) -> None:
    board = QuestBoard(make_realm(tmp_path))
    complete(board, "quick.jsonl")
    told = await DataHealth(board.paths).view()
    Told.model_validate(told)
    assert (told["quests"], told["measured"], told["profiles"]) == (1, 0, [])
    unknown = ("protocol", "rows_truncated", "tokens_lost", "quests_with_remarks")
    assert [told[key] for key in unknown] == [None] * 4


async def test_what_the_gates_found_is_added_up(tmp_path: Path) -> None:
    """A sidecar that somebody has edited hides no other."""
    board = QuestBoard(make_realm(tmp_path))
    complete(board, "a.jsonl", **found("plain", 1, 0))
    complete(board, "b.jsonl", **found("emoji_think", 2, 3, DEEP))
    complete(board, "c.jsonl", **found("emoji_think", 0, 0, DEEP))
    complete(board, "odd.jsonl", judged_by="me", tokens=[1], content=7, total_warnings="many")
    told = await DataHealth(board.paths).view()
    Told.model_validate(told)
    assert told["profiles"] == [
        {"profile": "emoji_think", "quests": 2, "rows": 2},
        {"profile": "plain", "quests": 1, "rows": 1},
    ]
    assert told["protocol"] == {"quests": 2, "answers": 20, "emoji": 8, "direct": 10, "malformed": 2}
    assert (told["rows_truncated"], told["tokens_lost"], told["quests_with_remarks"]) == (3, 30, 1)
