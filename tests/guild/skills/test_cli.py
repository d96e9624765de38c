"""The CLI noun `skill`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from core.cli import run
from core.paths import RealmPaths
from guild.dojo.sources import source_of
from guild.dojo.static import static_problems
from realm import app
from tests.guild.skills.files import write_skill


@pytest.fixture(autouse=True)
def own_interrupts() -> Iterator[None]:
    """`run` takes SIGINT over; pytest wants it back."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def told(paths: RealmPaths, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `realm skill …`; gives exit code and what was printed."""

    def ask(*words: str) -> tuple[int, str]:
        code = run(app, ["skill", *words, "--base-dir", str(paths.base)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return ask


def test_list_shows_sound_and_broken_skills(told: Any, paths: RealmPaths) -> None:
    write_skill(paths, "chess", max_level=0)
    code, text = told("list")
    assert code == 0
    assert "bin: Binary Alchemy, 30 levels, built in" in text
    assert "chess.yaml: max_level" in text
    rows = json.loads(told("list", "--json")[1])
    assert [row["id"] for row in rows["skills"]] == ["bin", "sy"]
    assert len(rows["broken"]) == 1


def test_check_names_each_broken_file(told: Any, paths: RealmPaths) -> None:
    assert told("check")[0] == 0
    write_skill(paths, "chess", max_level=0)
    write_skill(paths, "archery", colour="red")
    code, text = told("check")
    assert code == 1
    assert "chess.yaml" in text
    assert "max_level" in text
    assert "archery.yaml" in text
    assert "colour" in text
    details = json.loads(told("check", "--json")[1])["details"]
    assert (details["valid"], len(details["broken"])) == (["bin", "sy"], 2)


def test_sample_shows_problems_with_their_answers(told: Any) -> None:
    problems = source_of("bin").problems(3, 2, seed=1, held_out=False)
    code, text = told("sample", "binary", "--level", "3", "--count", "2", "--seed", "1")
    assert code == 0
    assert text.splitlines() == [f"{problem.prompt}  ->  {problem.answer}" for problem in problems]
    kept = json.loads(told("sample", "bin", "--held-out", "--seed", "1", "--count", "9", "--json")[1])["samples"]
    assert [row["messages"] for row in kept] == [
        problem.messages() for problem in source_of("bin").problems(1, 9, seed=1, held_out=True)
    ]


def test_the_static_problems_are_always_the_same(told: Any) -> None:
    """C23."""
    found = json.loads(told("sample", "bin", "--level", "2", "--static", "--json")[1])["samples"]
    assert [row["messages"] for row in found] == [each.messages() for each in static_problems(source_of("bin"), 2)]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("sample", "bni"), 1, "Did you mean bin?"),
        (("sample", "bin", "--level", "31"), 1, "Its levels are 1 to 30."),
        (("sample", "bin", "--level", "0"), 2, "--level"),
        (("serve", "chess"), 1, "No source of problems is built in"),
        (("serve", "bin", "--host", "nowhere land"), 2, "--host"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_an_error_in_words(
    told: Any, paths: RealmPaths, words: tuple[str, ...], code: int, sentence: str
) -> None:
    """E12, C12."""
    write_skill(paths, "chess")
    ended, text = told(*words)
    assert (ended, sentence in text) == (code, True), text


def test_a_skill_with_an_api_of_its_own_is_asked_there(told: Any, paths: RealmPaths) -> None:
    """C25."""
    write_skill(paths, "chess", api={"url": "http://127.0.0.1:1"})
    code, text = told("sample", "chess")
    assert code == 1
    assert "does not answer" in text
    assert "its API alone knows" in told("sample", "chess", "--held-out")[1]
