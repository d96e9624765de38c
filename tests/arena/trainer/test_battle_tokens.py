"""A battle with the cache of tokens: restarts and further quests read it, and the weights do not depend on it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from arena.protocol import Claimed, Command, Event, QuestEnded, Stop
from arena.rendering import Renderer
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.fighting_here import fight

CACHE_BYTES = 1 << 20


def stop_at_the_end(event: Event) -> Command | None:
    return Stop(reason="it is learned") if isinstance(event, QuestEnded) else None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, dropout_model: Path) -> Path:
    """What one life without a cache has learned."""
    field = Field(tmp_path_factory.mktemp("undisturbed"), dropout_model)
    fight(field, field.foe("drake", 11, epochs=2).claim(), answer=stop_at_the_end)
    assert not any(field.paths.tokens.glob("*"))
    return field.head


def rot(tokens: Path) -> None:
    for file in tokens.iterdir():
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)


@pytest.mark.parametrize("harm", [None, shutil.rmtree, rot], ids=["kept", "deleted", "rotten"])
def test_a_restart_reads_the_tokens_and_learns_the_same_whatever_became_of_them(
    tmp_path: Path, dropout_model: Path, undisturbed: Path, harm: Callable[[Path], None] | None
) -> None:
    """Law 3: the weights are a function of base model and journal; a cache never enters."""
    field = Field(tmp_path, dropout_model)
    claim = field.foe("drake", 11, epochs=2).claim()
    fight(field, claim, stop_at_step=4, token_cache_bytes=CACHE_BYTES)
    assert len(list(field.paths.tokens.iterdir())) == 1
    with pytest.MonkeyPatch.context() as patch:
        if harm is not None:
            harm(field.paths.tokens)
        else:
            patch.setattr(Renderer, "render_many", None)
        told = fight(field, answer=stop_at_the_end, token_cache_bytes=CACHE_BYTES)
    assert [event.rows for event in told if isinstance(event, Claimed)] == [11]
    assert_equal_weights(field.head, undisturbed)
    assert len(list(field.paths.tokens.iterdir())) == 1, "made anew where they were gone"
