"""Rows that nearly are rows of earlier quests, or held-out ones: DEEP names the quest and the line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from arena.gatekeepers.likeness import SKETCH_SUFFIX, near_rows, sketched_file
from arena.gatekeepers.likeness.near_rows import compare
from arena.gatekeepers.likeness.sketch_store import Neighbour, SketchStore
from arena.gatekeepers.likeness.sketching import MOST_ROWS, Sketcher, Sketches
from arena.gatekeepers.row_reader import Row, read_rows
from guild.dojo.sources import source_of
from tests.arena.gatekeepers.proving import messages_of, prove
from tests.arena.gatekeepers.scroll_making import chat, lines

STORY = "once there was a dragon who lived under the hill and counted gold by moonlight with an old brass scale"


def story(seed: int) -> str:
    dice = random.Random(seed)
    return " ".join(dice.choices(STORY.split(), k=60))


def rows_of(folder: Path, *rows: Any) -> list[Row]:
    (folder / "rows.jsonl").write_bytes(lines(*rows))
    return list(read_rows(folder / "rows.jsonl", "chat_sft_v1"))


def sketched(rows: list[Row], of: int | None = None) -> Sketches:
    sketcher = Sketcher(len(rows) if of is None else of)
    for row in rows:
        sketcher.take(row)
    return sketcher.sketches()


def place(folder: Path, quest_id: str | None, name: str = "") -> dict[str, Any]:
    return {"folder": str(folder / "sketches"), "max_bytes": 1 << 20, "quest_id": quest_id, "name": name}


def test_a_row_is_known_again_by_what_it_says_and_not_by_how_it_is_set(tmp_path: Path) -> None:
    old = rows_of(tmp_path, *[chat(story(seed), f"Tell me story {seed}.") for seed in range(40)])
    changed = story(7).replace("dragon", "wyrm", 1)
    new = rows_of(
        tmp_path,
        chat(story(3).upper().replace(" ", "\n  "), "Tell me story 3."),
        chat(changed, "Tell me story 7."),
        chat(story(99), "Tell me story 99."),
        chat(story(11), "Tell me story 11.") | {"system_prompt": "You are a bard."},
        chat(" ", " "),
    )

    compared = compare(sketched(new), [Neighbour("old.jsonl", "q1", sketched(old))])

    assert (compared.rows, compared.files) == (4, 1), "what says nothing is not compared"
    assert [(likeness.number, likeness.other_line) for likeness in compared.found] == [(1, 4), (2, 8), (4, 12)]
    assert [likeness.alike for likeness in compared.found][::2] == [1.0, 1.0]
    assert 0.85 < compared.found[1].alike < 1.0


def test_short_rows_are_alike_only_where_they_are_equal(tmp_path: Path) -> None:
    """Problems of arithmetic come from one mould: none of them is another one's duplicate for that."""
    problems = [
        chat(f"{first + second:05b}", f"{first:04b}+{second:04b}=") for first in range(16) for second in range(16)
    ]
    taught, asked = rows_of(tmp_path, *problems[::2]), rows_of(tmp_path, *problems[1::2])
    assert compare(sketched(asked), [Neighbour("taught", "q1", sketched(taught))]).found == []
    assert len(compare(sketched(taught), [Neighbour("taught", "q1", sketched(taught))]).found) == 128


@pytest.mark.parametrize("level", [12, 30])
def test_two_quests_of_the_guild_are_no_duplicates_of_each_other(tmp_path: Path, level: int) -> None:
    """Digits in circles take three bytes each: by bytes, any two of their numbers are alike."""
    source = source_of("bin")
    made = [source.problems(level, 400, seed=seed, held_out=False) for seed in (1, 2)]
    known = {problem.prompt for problem in made[0]}
    first, second = (rows_of(tmp_path, *[chat(each.answer, each.prompt) for each in quest]) for quest in made)
    found = compare(sketched(second), [Neighbour("first", "q1", sketched(first))]).found
    assert len(found) == sum(problem.prompt in known for problem in made[1])


def test_rows_from_one_mould_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of 300 equal rows has each of 300 others to be compared with; a bound holds, and all are found."""
    monkeypatch.setattr(near_rows, "MOST_PAIRS", 1000)
    same = sketched(rows_of(tmp_path, *[chat(story(1), "Go on.")] * 300))
    found = compare(same, [Neighbour("x", "q1", same)]).found
    assert 0 < len(found) <= 300
    assert {likeness.alike for likeness in found} == {1.0}


def test_of_a_large_file_rows_are_sketched_evenly_spread(tmp_path: Path) -> None:
    [row] = rows_of(tmp_path, chat(story(1), "Go on."))
    assert sketched([row] * 50, of=10 * MOST_ROWS).numbers.tolist() == [1, 11, 21, 31, 41]


def test_sketches_outlive_their_quest_and_only_earlier_ones_are_compared_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SketchStore(tmp_path / "sketches", 1 << 20)
    sketches = sketched(rows_of(tmp_path, chat(story(1), "Go on.")))
    for day in (3, 1, 2):
        store.keep(f"q_2026030{day}_120000_00000000", f"{day}.jsonl", sketches)

    assert [each.name for each in store.earlier_than(None)] == ["1.jsonl", "2.jsonl", "3.jsonl"]
    [first] = store.earlier_than("q_20260302_120000_00000000")
    assert (first.name, first.quest_id) == ("1.jsonl", "q_20260301_120000_00000000")
    assert first.sketches.bands.tolist() == sketches.bands.tolist()
    assert (first.sketches.lines.tolist(), first.sketches.numbers.tolist()) == ([1], [1])

    torn = tmp_path / "sketches" / f"q_20260301_120000_00000000{SKETCH_SUFFIX}"
    for damaged in (torn.read_bytes()[:-1], b"", b"\0" * 200):
        torn.write_bytes(damaged)
        assert [each.name for each in store.earlier_than(None)] == ["2.jsonl", "3.jsonl"]
    assert "is damaged and left out" in caplog.text


def test_deep_names_the_earlier_quest_and_its_line(tmp_path: Path) -> None:
    """C14, and spec 1.2: the same rows again, a little changed, in a file of another name."""
    first = [chat(story(seed), f"Tell me story {seed}.") for seed in range(5)]
    quest = {"max_length": 4096, "sketches": place(tmp_path, "q_20260301_120000_00000000", "tales.jsonl")}
    assert prove(tmp_path / "a.jsonl", lines(*first), **quest)["accepted"]

    again = lines(chat(story(50), "Tell me story 50."), chat(story(2) + "!", "Tell me story 2."))
    later = {**quest, "sketches": place(tmp_path, "q_20260302_120000_00000000", "more.jsonl"), "deep": True}
    verdict = prove(tmp_path / "b.jsonl", again, **later)

    assert verdict["accepted"]
    [warning] = verdict["warnings"]
    assert warning["line"] == 2
    assert "line 3 of the earlier quest tales.jsonl" in warning["message"]
    near = json.loads(json.dumps(verdict["content"]["near_duplicate_stats"]))
    assert (near["checked"], near["files_compared"], near["like_earlier_quests"]) == (2, 1, 1)
    assert near["examples"][0]["quest_id"] == "q_20260301_120000_00000000"
    assert prove(tmp_path / "b.jsonl", again, **later)["content"]["near_duplicate_stats"] == near, "not with itself"


def test_rows_near_to_held_out_ones_are_told(tmp_path: Path) -> None:
    """C14: a held-out row with another full stop is as good as the row itself."""
    held_out = tmp_path / "validation"
    held_out.mkdir()
    (held_out / "own.jsonl").write_bytes(lines(chat(story(1), "Go on.")))
    rows = lines(chat(story(1) + ".", "Go on."), chat(story(2), "Go on."))
    verdict = prove(tmp_path / "x.jsonl", rows, max_length=4096, deep=True, held_out=str(held_out))
    assert verdict["accepted"]
    [message] = messages_of(verdict, "warnings")
    assert "line 1 of data/validation/own.jsonl" in message
    assert verdict["content"]["near_duplicate_stats"]["like_held_out_rows"] == 1
    assert verdict["content"]["overlap_stats"] == {"checked": 2, "validation_rows": 0, "held_out_problems": 0}


def test_what_is_wrong_with_sketches_keeps_no_quest_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """C8 the other way round: the gates fail closed, advice does not."""
    (tmp_path / "sketches").write_text("no folder")
    quest = place(tmp_path, "q_20260301_120000_00000000", "x.jsonl")
    assert prove(tmp_path / "x.jsonl", lines(chat()), sketches=quest)["accepted"]
    assert "no sketches are kept of x.jsonl" in caplog.text
    monkeypatch.setattr(sketched_file.Sketcher, "take", None)
    assert prove(tmp_path / "x.jsonl", lines(chat()), sketches=quest)["accepted"]
    assert "rows cannot be sketched" in caplog.text
