"""`/api/training/*` over a real socket, with an arena that records what it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from arena.routes import training_routes
from core.errors import Conflict, NotFound
from core.status_files import read_status
from tests.serving import Visitor, serving


class RecordingArena:
    """Answers like the daemon and remembers what was wished for."""

    def __init__(self) -> None:
        self.wishes: list[tuple[str | None, ...]] = []

    async def status(self) -> dict[str, Any]:
        return read_status(Path("nowhere.json"), now=datetime.now(UTC))

    async def queue(self) -> dict[str, Any]:
        lanes = {name: {"count": 0, "files": []} for name in ("high", "normal", "low")}
        return {"pending": 0, "processing": 0, "awaiting_seal": 0, "failed": 0, "queues": lanes}

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        self.wishes.append((action, reason))
        if action == "skip":
            raise Conflict("No quest is running.")
        return {"success": True, "action": action, "message": f"{action} is asked for."}

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        self.wishes.append((action, quest, priority))
        if quest == "nobody.jsonl":
            raise NotFound("There is no quest nobody.jsonl.")
        return {"success": True, "action": action, "quest": quest}


async def control(visitor: Visitor, body: Any) -> Any:
    return await visitor.post("/api/training/control", body)


async def test_status_and_queue_are_the_arenas_words() -> None:
    async with serving(training_routes(RecordingArena())) as visitor:
        status = await visitor.get("/api/training/status")
        queue = await visitor.get("/api/training/queue")
    assert (status.body["status"], status.body["reason"]) == ("unknown", "nothing has been written yet")
    assert set(queue.body) == {"pending", "processing", "awaiting_seal", "failed", "queues"}


@pytest.mark.parametrize("action", ["pause", "resume", "stop", "skip", "save"])
async def test_each_wish_reaches_the_arena_as_itself(action: str) -> None:
    """B11: resume is a wish of its own, not the removal of another one."""
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        answer = await control(visitor, {"action": action, "reason": "dinner"})
    assert arena.wishes == [(action, "dinner")]
    if action == "skip":
        assert (answer.status, answer.body["message"]) == (409, "No quest is running.")
    else:
        assert answer.body == {"success": True, "action": action, "message": f"{action} is asked for."}


@pytest.mark.parametrize("action", ["explode", "", None, 1, ["pause"], {"pause": 1}, "PAUSE"])
async def test_another_action_is_refused_by_naming_the_valid_ones(action: Any) -> None:
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        answer = await control(visitor, {"action": action})
    assert answer.status == 400
    assert "pause, resume, stop, skip, save" in answer.body["message"]
    assert arena.wishes == []


async def test_a_reason_becomes_one_printable_line() -> None:
    """The control file's further lines have a meaning (`cool`): no reason may write them."""
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        await control(visitor, {"action": "pause", "reason": " for\n2026-11-21\r\ncool\x00\u2028now  "})
        await control(visitor, {"action": "pause", "reason": "\n \t"})
        await control(visitor, {"action": "pause"})
    assert arena.wishes == [("pause", "for 2026-11-21 cool now"), ("pause", None), ("pause", None)]


@pytest.mark.parametrize("reason", [1, ["x"], "x" * 501])
async def test_a_reason_that_is_no_short_text_is_refused(reason: Any) -> None:
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        assert (await control(visitor, {"action": "pause", "reason": reason})).status == 400
    assert arena.wishes == []


async def test_a_foreign_page_cannot_stop_training() -> None:
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        answer = await visitor.post(
            "/api/training/control", {"action": "stop"}, headers={"Origin": "https://evil.example"}
        )
    assert answer.status == 403
    assert arena.wishes == []


async def test_quests_are_retried_removed_and_moved() -> None:
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        for action, body in (
            ("retry", {"quest": "x.jsonl"}),
            ("remove", {"quest": "q_20261121_093000_5f2c1ab7"}),
            ("move", {"quest": "a b.jsonl", "priority": "high"}),
        ):
            answer = await visitor.post(f"/api/training/quests/{action}", body)
            assert answer.status == 200
        missing = await visitor.post("/api/training/quests/retry", {"quest": "nobody.jsonl"})
    assert missing.status == 404
    assert arena.wishes[:3] == [
        ("retry", "x.jsonl", None),
        ("remove", "q_20261121_093000_5f2c1ab7", None),
        ("move", "a b.jsonl", "high"),
    ]


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("retry", {}, 400),
        ("retry", {"quest": ""}, 400),
        ("retry", {"quest": 7}, 400),
        ("retry", {"quest": "x" * 256}, 400),
        ("retry", {"quest": "x.jsonl", "priority": "high"}, 400),
        ("move", {"quest": "x.jsonl"}, 400),
        ("move", {"quest": "x.jsonl", "priority": "processing"}, 400),
        ("move", {"quest": "x.jsonl", "priority": ["high"]}, 400),
        ("burn", {"quest": "x.jsonl"}, 404),
    ],
)
async def test_a_quest_action_that_makes_no_sense_is_refused(action: str, body: Any, status: int) -> None:
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        assert (await visitor.post(f"/api/training/quests/{action}", body)).status == status
    assert arena.wishes == []


@pytest.mark.parametrize("quest", ["../../etc/passwd", "/etc/passwd", "..", ".", "high/x.jsonl", "x\0.jsonl"])
async def test_a_quest_name_cannot_lead_out_of_its_lane(quest: str) -> None:
    """Law 8: a name that comes over HTTP is contained in its root."""
    arena = RecordingArena()
    async with serving(training_routes(arena)) as visitor:
        assert (await visitor.post("/api/training/quests/remove", {"quest": quest})).status == 400
    assert arena.wishes == []
