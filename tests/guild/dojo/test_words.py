"""The words of the syllacrostic puzzles: enough of them, spelled soundly, each with a definition of its own."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from guild.dojo.words.lexicon import FOLDER, KINDS, lexicon

LINE = re.compile(r"[a-z]+(?:\.[a-z]+)+\t[A-Za-z]+(?:[ ,'-]+[A-Za-z]+)+")


def test_every_line_of_the_files_is_syllables_and_a_definition() -> None:
    files = sorted(FOLDER.glob("*.tsv"))
    faults = [
        f"{file.name}:{number}: {line}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if not LINE.fullmatch(line)
    ]
    assert files
    assert not faults


def test_there_are_enough_words_and_each_comes_once() -> None:
    words = [entry.word for entry in lexicon().entries]
    assert len(words) >= 1500
    assert len(set(words)) == len(words)
    assert words == sorted(words)
    assert all("".join(entry.syllables) == entry.word for entry in lexicon().entries)
    assert {len(entry.syllables) for entry in lexicon().entries} >= {2, 3, 4, 5}


def test_definitions_are_short_distinct_and_do_not_contain_the_word() -> None:
    definitions = [entry.clues[KINDS.index("defined")] for entry in lexicon().entries]
    assert len({definition.lower() for definition in definitions}) == len(definitions)
    assert {len(definition.split()) for definition in definitions} <= set(range(2, 10))
    giving_away = [
        f"{entry.word}: {definition}"
        for entry, definition in zip(lexicon().entries, definitions, strict=True)
        if entry.word in definition.lower() or any(word in definition.lower().split() for word in _kin(entry.word))
    ]
    assert not giving_away


def test_the_first_clues_tell_more_than_the_last_ones() -> None:
    table = next(entry for entry in lexicon().entries if entry.word == "table")
    assert dict(zip(KINDS, table.clues, strict=True)) == {
        "opening": "flat top on four legs (ta-?)",
        "counted": "flat top on four legs (2 syllables)",
        "defined": "flat top on four legs",
        "syllable": "ta-?",
        "letter": "starts with t, 2 syllables",
        "length": "5 letters",
    }


def test_the_words_are_installed_with_the_code() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["guild.dojo.words"] == ["*.tsv"]


def _kin(word: str) -> list[str]:
    """Forms that would give the word away as well."""
    return [f"{word}s", f"{word}es", f"{word}ed", f"{word}ing", word.removesuffix("ing"), word.removesuffix("er")]
