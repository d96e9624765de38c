"""One errand at a time, told as events, whatever becomes of it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from arena.hall import errand_desk
from arena.hall.errand_desk import Errand, ErrandDesk
from arena.upkeep import verifying
from core.errors import Conflict, NotFound
from tests.vault.making import publish
from tests.waiting import wait_until_async
from vault.checkpoints import CheckpointStore
from vault.rereading import open_checkpoint, read_slice

NAME = "checkpoint-5-20261121-0905"


class Desk(ErrandDesk):
    """One that remembers what it told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        super().__init__(self._hear)

    async def _hear(self, kind: str, message: str, now: datetime, **data: Any) -> None:
        self.heard.append((kind, message))

    async def over(self) -> dict[str, Any]:
        await wait_until_async(lambda: len(self.heard) > 1 and self.told()["running"] is None, message="it goes on")
        ended: dict[str, Any] = self.told()["ended"][0]
        return ended


async def waiting(errand: Errand) -> tuple[str, dict[str, Any]]:
    await asyncio.Event().wait()
    return "never", {}


async def test_there_is_one_at_a_time_and_the_end_of_the_realm_cuts_it_off() -> None:
    desk = Desk()
    desk.begin("verify", NAME, waiting)
    assert desk.reads
    with pytest.raises(Conflict, match="One errand at a time: checkpoint-5-20261121-0905 is being read again"):
        desk.begin("export", NAME, waiting)
    await wait_until_async(lambda: desk.heard, message="nothing is told")
    await desk.close()
    assert [(each["state"], each["text"]) for each in desk.told()["ended"]] == [
        ("failed", "The realm ended before it was done.")
    ]
    assert not desk.reads


async def test_going_back_is_waited_for_at_the_end_of_the_realm() -> None:
    desk, may_go_on = Desk(), asyncio.Event()

    async def turning(errand: Errand) -> tuple[str, dict[str, Any]]:
        await may_go_on.wait()
        return "done", {}

    desk.begin("rewind", NAME, turning)
    closing = asyncio.create_task(desk.close())
    await wait_until_async(lambda: desk.heard, message="nothing is told")
    assert not closing.done()
    may_go_on.set()
    await closing
    assert desk.told()["ended"][0]["state"] == "done"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("It is gone."), "It is gone."),
        (ZeroDivisionError("by zero"), "It broke off: ZeroDivisionError: by zero"),
    ],
)
async def test_whatever_goes_wrong_is_told_and_the_desk_is_free_again(error: Exception, text: str) -> None:
    desk = Desk()

    async def failing(errand: Errand) -> tuple[str, dict[str, Any]]:
        raise error

    desk.begin("export", NAME, failing)
    ended = await desk.over()
    assert (ended["state"], ended["text"]) == ("failed", text)
    assert [kind for kind, _ in desk.heard] == ["errand_begun", "errand_failed"]
    desk.check_free()


async def test_a_reading_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In slices, so that the intake has its turn in between; each file is read to its end."""
    monkeypatch.setattr(verifying, "SLICE_BYTES", 100)
    monkeypatch.setattr(errand_desk, "TOLD_EVERY_SECONDS", 0.0)
    folder = publish(CheckpointStore(tmp_path), NAME)
    jobs = {"vault.rereading:open_checkpoint": open_checkpoint, "vault.rereading:read_slice": read_slice}

    async def ask(job: str, asked: dict[str, Any]) -> Any:
        return jobs[job](**asked)

    desk = Desk()

    async def work(errand: Errand) -> tuple[str, dict[str, Any]]:
        found = await verifying.read_again(
            folder, ask, on_size=lambda size: setattr(errand, "total_bytes", size),
            on_read=lambda read: desk.progress(errand, read),
        )  # fmt: skip
        return "read", found

    desk.begin("verify", NAME, work)
    ended = await desk.over()
    assert ended["result"]["problems"] == []
    assert ended["done_bytes"] == ended["total_bytes"] == ended["result"]["bytes"]
    told = [message for kind, message in desk.heard if kind == "errand_progress"]
    assert len(told) > 5
    assert told[-1] == f"{NAME}: 100 % is read"


async def test_a_file_that_cannot_be_read_in_one_go_is_not_read_for_ever(tmp_path: Path) -> None:
    """Somebody else reads slices in the same worker, and each time the file is begun anew."""
    folder = publish(CheckpointStore(tmp_path), NAME)

    async def ask(job: str, asked: dict[str, Any]) -> Any:
        return open_checkpoint(**asked) if "open" in job else {"offset": 0, "digest": None, "problem": None}

    async def ignore(read: int) -> None:
        pass

    with pytest.raises(errand_desk.RealmError, match="could not be read in one go"):
        await verifying.read_again(folder, ask, on_size=lambda size: None, on_read=ignore)


async def test_an_errand_whose_beginning_cannot_be_told_leaves_the_desk_free() -> None:
    """A saga that broke in another way than by its disk left "one errand at a time" for ever."""

    async def tell(kind: str, message: str, now: datetime, **data: Any) -> None:
        if kind == "errand_begun":
            raise RuntimeError("a bug")

    desk = ErrandDesk(tell)
    desk.begin("export", NAME, waiting)
    await wait_until_async(lambda: desk.told()["running"] is None, message="the desk stays taken")
    assert desk.told()["ended"][0]["state"] == "failed"
