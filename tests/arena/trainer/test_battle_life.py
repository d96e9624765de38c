"""How a child lives and ends: signals, a daemon that goes away, a lock that is held, a disk that takes nothing."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from pathlib import Path

from arena.protocol import (
    CheckpointSaved,
    Claimed,
    Loading,
    Pause,
    Progress,
    QuestEnded,
    Ready,
    Refused,
    Resume,
    Save,
    SaveFailed,
    Skip,
    State,
    Trouble,
)
from arena.supervision.position_file import Phase, read_position
from core.instance import InstanceLock
from tests.arena.trainer.driving import Child, Field
from tests.arena.trainer.tiny_hero import hash_of


def test_a_lost_daemon_a_held_lock_and_sigterm_end_a_child_cleanly(tmp_path: Path, tiny_model: Path) -> None:
    """B8: two trainers on one model; B13: SIGTERM was honoured only when the queue had drained."""
    field = Field(tmp_path, tiny_model)
    endless = field.foe("endless", 200, epochs=50)

    async def fight() -> None:
        async with field.child() as first:
            await first.until(Ready)
            await first.begin_to_learn(endless)
            async with field.child() as second:
                waiting = await second.until(Loading)
                assert waiting.what == f"waiting for trainer {first.process.pid} to save and exit"
                hang_up(first)
                death = await first.farewell()
                assert death.clean
                assert death.cause == "the daemon is gone"
                ready = await second.until(Ready)
                assert ready.checkpoint == field.head.name
                assert ready.replay == ["endless"]
                assert ready.step > 0
                await second.until(Progress)
                assert second.process.pid is not None
                os.kill(second.process.pid, signal.SIGTERM)
                death = await second.farewell()
                assert death.clean
                assert death.cause == "signal SIGTERM"
                assert second.said(CheckpointSaved)[-1].step > ready.step

    asyncio.run(fight())
    position = read_position(field.paths.current_model / ".position")
    assert position is not None
    assert position.phase is Phase.EXITED
    assert InstanceLock.holder(field.paths.current_model / ".lock") is None


def hang_up(child: Child) -> None:
    """What the death of the daemon does to the socket."""
    writer = child.process._writer
    assert writer is not None
    writer.close()


def test_pause_skip_refusal_and_a_full_disk_leave_the_child_warm(tmp_path: Path, tiny_model: Path) -> None:
    """B12: wishes were ignored while paused; A8: a disk without room must burn no quest."""
    field = Field(tmp_path, tiny_model)
    dull, good = field.foe("dull", 200, epochs=50), field.foe("good", 12)
    changed, foreign = field.foe("changed", 3), field.foe("foreign", 3, profile="native")

    async def fight() -> None:
        async with field.child(pause_reason="tea") as child:
            await child.until(Ready)
            await paused(child)
            await refused(child)
            await full_disk(child)
            assert (await child.stop()).clean
            saved = child.said(CheckpointSaved)[-1]
            assert saved.covers == ["good"]

    async def paused(child: Child) -> None:
        await child.send(dull.claim())
        await child.until(State, lambda state: state.state == "paused")
        await child.send(Resume())
        await child.until(Progress)
        await child.send(Pause(reason="a test"))
        await child.until(State, lambda state: state.state == "paused")
        await child.send(Skip(quest_id="dull", reason="dull"))
        # Told while it is still paused, and a save while paused covers it.
        assert (await child.until(QuestEnded)).outcome == "skipped"
        await child.send(Save(reason="a test"))
        assert (await child.until(CheckpointSaved)).covers == ["dull"]
        await child.send(Resume())
        await child.until(State, lambda state: state.state == "idle")

    async def refused(child: Child) -> None:
        claim = changed.claim()
        changed.path.write_text(changed.path.read_text() * 2)
        assert hash_of(changed.path) != claim.content_hash
        await child.send(claim)
        assert "is not the one that was checked" in (await child.until(Refused)).errors[0].message
        changed.path.unlink()
        await child.send(claim)
        assert "No such file" in (await child.until(Refused)).errors[0].message
        assert foreign.settings.profile == "native"
        assert len(field.history.claims) == 1

    async def full_disk(child: Child) -> None:
        limit_file_size(child, 100)
        await child.send(good.claim())
        assert (await child.until(Trouble)).what == "journal_failed"
        position = read_position(field.paths.current_model / ".position")
        assert position is not None
        # Were it to die now, nobody takes a strike for the disk.
        assert position.phase in (Phase.WAITING, Phase.PREPARING)
        limit_file_size(child, 16 << 10)
        await child.until(Claimed)
        await child.until(QuestEnded)
        await child.send(Save(reason="a test"))
        failed = await child.until(SaveFailed)
        assert "written" in failed.reason or "large" in failed.reason
        assert list(field.paths.current_model.glob(".staging-*")) == []
        limit_file_size(child, resource.RLIM_INFINITY)

    asyncio.run(fight())
    assert [claim.quest_id for claim in field.history.claims.values()] == ["dull", "good"]


def limit_file_size(child: Child, size: int) -> None:
    """Writes beyond `size` bytes fail from now on, as on a full disk (EFBIG in place of ENOSPC)."""
    assert child.process.pid is not None
    resource.prlimit(child.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
