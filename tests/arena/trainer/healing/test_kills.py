"""Law 3: a trainer that heals may be killed at any place of it; real processes, real SIGKILLs.

They are forked from one that has imported torch already. The places that they die at stand in a file, in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.journal import MicroBatchSize
from arena.protocol import RanOut
from tests.acceptance.nursery import Nursery
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.healing.lives import learn_all, learn_all_by_children, oracle

GOING_BACK = (
    # The third in a row decides.
    "heal.dropped:3", "heal.head", "heal.branched", "heal.journaled",
    # What the kill before has left is moved by the next trainer.
    "heal.branched",
)  # fmt: skip
HALVED = "heal.halved"
KILLED_AT = (*GOING_BACK, HALVED)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file; all trainers that are started meanwhile look at it."""
    file = tmp_path_factory.mktemp("kills") / "places.txt"
    with Nursery(REALM_CRASH_LIST=str(file)) as nursery, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.executable", str(nursery.python))
        yield file


def mad_field(base: Path, model: Path) -> Field:
    """A quest that cannot be healed: after its first step all is lost. Two attempts, then it is undone."""
    field = Field(base, model)
    healing = {"spike_ratio": 4.0, "spike_deviations": 6.0, "rollbacks": 2}
    field.foe("first", 20, **healing)
    field.foe("mad", 60, learning_rate=1e30, warmup_steps=0, **healing)
    return field


def branched(field: Field) -> list[str]:
    return sorted(path.name.split("-")[1] for path in (field.paths.current_model / "branches").glob("*/checkpoint-*"))


def test_a_kill_at_any_place_on_the_way_back_changes_nothing(places: Path, tmp_path: Path, dropout_model: Path) -> None:
    """B18: what is decided is in the journal, and whoever is killed in between comes to the same decision."""
    calm = mad_field(tmp_path / "calm", dropout_model)
    undisturbed = learn_all(calm, list(calm.foes.values()), save_steps=4)
    places.write_text("".join(f"{place}\n" for place in GOING_BACK))
    field = mad_field(tmp_path / "fought", dropout_model)
    lives = learn_all_by_children(field, list(field.foes.values()), save_steps=4)
    assert places.read_text() == ""
    assert lives.kills == len(GOING_BACK)
    assert lives.outcomes() == undisturbed.outcomes() == {"first": "learned", "mad": "withdrawn"}
    for history in (field.history, calm.history):
        assert (history.rows_learned(1), history.steps_of(2), history.quarantines_of(2)) == (20, 0, 2)
    assert field.history.quarantined.keys() == calm.history.quarantined.keys()
    assert branched(field) == branched(calm)
    assert flagged(field) == flagged(calm)
    assert_equal_weights(field.head, calm.head)


def test_a_kill_between_the_journal_and_the_smaller_step_changes_nothing(
    places: Path, tmp_path: Path, dropout_model: Path
) -> None:
    """D7: the size that the next life finds in the journal is the one that the step is made with."""
    field = Field(tmp_path / "fought", dropout_model)
    foe = field.foe("wide", 64, batch_size=8, micro_batch_tokens=2000)
    places.write_text(f"{HALVED}\n")
    lives = learn_all_by_children(field, [foe], ran_out=RanOut(ordinal=1, quest_step=3, tokens=2000))
    assert (places.read_text(), lives.kills, lives.outcomes()) == ("", 1, {"wide": "learned"})
    (size,) = [entry for entry in field.history._entries if isinstance(entry, MicroBatchSize)]
    assert ((size.ordinal, size.quest_step), field.history.rows_learned(1)) == ((1, 3), 64)
    assert_equal_weights(field.head, oracle(tmp_path / "oracle", field))


def flagged(field: Field) -> list[str]:
    """Each row that taught nothing, once, without the time."""
    file = field.paths.flagged_examples / "mad.jsonl"
    return sorted(file.read_text().splitlines())
