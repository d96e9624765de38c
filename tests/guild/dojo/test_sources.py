"""The table of sources, and the share that is held out."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from guild.dojo.held_out import HELD_OUT_SHARE, is_held_out
from guild.dojo.problem import KEY_BYTES, Problem, problem_key
from guild.dojo.sources import SOURCES, canonical_skill_id, source_of


@pytest.mark.parametrize("name", ["bin", "BIN", "Binary", "binary", " bin "])
def test_a_skill_is_known_by_all_its_names(name: str) -> None:
    """C12, C13: `binary` and `bin` were two skills, and so were BIN and bin."""
    assert source_of(name) is source_of("bin")
    assert canonical_skill_id(name) == source_of(name).skill_id == "bin"


@pytest.mark.parametrize(("name", "meant"), [("bni", "bin"), ("syllos", "syllo"), ("chess", "bin, sy")])
def test_an_unknown_one_is_refused_with_a_guess(name: str, meant: str) -> None:
    with pytest.raises(InvalidInput, match=meant):
        source_of(name)


@pytest.mark.parametrize("skill_id", SOURCES)
def test_a_source_goes_by_the_id_that_it_stands_under(skill_id: str) -> None:
    assert source_of(skill_id).skill_id == skill_id


def test_the_key_is_of_skill_and_text_alone() -> None:
    """A problem of two levels is held out on both or on none."""
    problem = Problem("bin", 3, "1+1=", "10")
    assert problem.key == Problem("bin", 4, "1+1=", "10", {"x": 1}).key == problem_key("bin", "1+1=")
    assert problem.key != problem_key("sy", "1+1=")
    assert len(problem.key) == KEY_BYTES


def test_a_tenth_is_held_out_and_always_the_same() -> None:
    """C14. The bounds are five standard deviations of 20 000 draws away."""
    keys = [problem_key("bin", str(number)) for number in range(20_000)]
    assert sum(map(is_held_out, keys)) / len(keys) == pytest.approx(HELD_OUT_SHARE, abs=0.011)
    assert is_held_out(b"\x19" + bytes(15))
    assert not is_held_out(b"\x1a" + bytes(15))
