"""Law 3 and E13: a trainer may be killed in the midst of an examination and around its file; real SIGKILLs.

They are forked from a process that has imported torch already. The places that they die at stand in a file, in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.protocol import Stop
from tests.acceptance.nursery import Nursery
from tests.arena.trainer.driving import PATIENCE, assert_equal_weights
from tests.arena.trainer.examined import Recorder, live, sheet, two_quests
from tests.arena.trainer.healing.lives import KILLED

KILLED_AT = ("write.bin-1.tries", "exam.answered", "write.bin-1.json", "exam.kept")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """The file; all trainers that are started meanwhile look at it."""
    file = tmp_path / "places.txt"
    with Nursery(REALM_CRASH_LIST=str(file)) as nursery, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(nursery.python))
        yield file


async def child_life(recorder: Recorder) -> bool:
    """One life in a process of its own; False when it was killed."""
    async with recorder.place.child(open_quests=recorder.open_quests()) as child:
        is_over = False
        while (event := await asyncio.wait_for(child.process.next_event(), PATIENCE)) is not None:
            if (command := recorder.answer(event)) is not None:
                is_over = isinstance(command, Stop)
                await child.send(command)
        death = await child.process.wait()
    assert death.clean or death.cause.startswith(KILLED), death.cause
    return is_over and death.clean


def test_a_kill_amid_an_examination_costs_nothing(places: Path, tmp_path: Path, dropout_model: Path) -> None:
    """Answers are neither lost nor doubled nor others, and weights and moments are those of an undisturbed run."""
    sheets = {"first": sheet("bin-1"), "second": sheet("sy-2")}
    calm = Recorder(two_quests(tmp_path / "calm", dropout_model), sheets)
    live(calm)
    places.write_text("".join(f"{place}\n" for place in KILLED_AT))
    fought = Recorder(two_quests(tmp_path / "fought", dropout_model), sheets)
    lives = 1
    while not asyncio.run(child_life(fought)):
        lives += 1
        assert lives <= 2 * len(KILLED_AT), places.read_text()
    assert (places.read_text(), lives) == ("", 1 + len(KILLED_AT))
    told, wanted = ({name: (one.step, one.answers) for name, one in each.recorded.items()} for each in (fought, calm))
    assert told == wanted
    assert fought.kept.all() == []
    assert_equal_weights(fought.place.head, calm.place.head)
