"""`realm inspect FILE`, called as the command line calls it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from arena.gatekeepers.measures.renderers import load_renderer
from arena.quest_board import QuestBoard
from arena.verbs.inspect_verb import inspect
from arena.verbs.row_display import visible
from core.cli import Choices
from core.paths import RealmPaths
from tests.arena.gatekeepers.likeness.test_near_rows import story
from tests.arena.gatekeepers.proving import prove
from tests.arena.gatekeepers.scroll_making import chat, lines
from tests.arena.quest_makers import admit, drop

BEFORE = "q_20200101_120000_00000000"
ROWS = [chat(question=f"{number}+1?", answer=str(number + 1)) for number in range(5)]


def run(tmp_path: Path, *arguments: object, as_json: bool = False) -> Result:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=RealmPaths(tmp_path / "realm"), as_json=as_json)

    app.command()(inspect)
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)])


def run_json(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(tmp_path, *arguments, as_json=True).stdout)
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*ROWS, ROWS[1]))
    return path


def test_the_exact_text_is_shown_with_what_is_learned_between_marks(tmp_path: Path, file: Path) -> None:
    shown = run(tmp_path, file).stdout
    assert "recognised as OpenAI chat by its `messages`" in shown
    assert "rendered with seedling, profile chatml, max_length 1024" in shown
    assert "── row 2, line 2: 26 tokens, 2 of them learned" in shown
    assert "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n⟦2<|im_end|>⟧\n" in shown
    assert "row 4" not in shown
    assert "looked at: every row (6)" in shown
    assert "rows that repeat an earlier one: 1 (lines 6)" in shown


def test_the_text_of_the_report_is_the_text_of_the_renderer(tmp_path: Path, file: Path) -> None:
    rendered = load_renderer("seedling", "chatml").renderer.render(messages=ROWS[3]["messages"])
    [row] = run_json(tmp_path, file, "--row", 4, "--ids")["rows"]
    assert (row["number"], row["line"], row["fault"], row["cut_at"]) == (4, 4, None, None)
    assert (row["text"], row["token_ids"], row["learned"]) == (rendered.text, rendered.token_ids, rendered.trained)
    learned = "".join(row["text"][start:end] for start, end, is_learned in row["runs"] if is_learned)
    assert learned == "4<|im_end|>"
    assert "".join(row["text"][start:end] for start, end, _ in row["runs"]) == rendered.text


def test_the_cut_is_shown_where_it_falls(tmp_path: Path) -> None:
    """C17: one sees which part of the answer is lost."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(chat("a" * 990 + "b" * 100, "?")))
    shown = run(tmp_path, path).stdout
    assert "1112 tokens, 1091 of them learned; cut: 88 tokens are lost" in shown
    assert f"⟦{'a' * 990}{'b' * 14}⟧⟪cut here by max_length⟫⟦{'b' * 86}<|im_end|>⟧" in shown
    before = "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n"
    assert run_json(tmp_path, path)["rows"][0]["cut_at"] == len(before) + 1004


def test_a_broken_row_is_shown_as_such_and_the_others_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(ROWS[0], b"{broken", {"messages": "no list"}, [1], ROWS[1]))
    result = run(tmp_path, path, "--rows", 9)
    assert result.exit_code == 0
    assert "row 2, line 2: not shown: is not valid JSON" in result.stdout
    assert "row 3, line 3: not shown: messages" in result.stdout
    assert "row 5, line 5: 26 tokens" in result.stdout
    assert "broken rows: 3" in result.stdout


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json"])
def test_packed_files_are_read_as_they_are(tmp_path: Path, name: str) -> None:
    data = gzip.compress(lines(*ROWS)) if name.endswith("gz") else json.dumps(ROWS, indent=2).encode()
    (tmp_path / name).write_bytes(data)
    [row] = run_json(tmp_path, tmp_path / name, "--row", 5)["rows"]
    assert row["text"].endswith("5<|im_end|>\n")
    place = "line" if name.endswith("gz") else "item"
    assert f"row 5, {place} 5" in run(tmp_path, tmp_path / name, "--row", 5).stdout


def test_a_quest_is_compared_with_those_before_it_and_not_with_itself(tmp_path: Path) -> None:
    """C14: each row of a file that lay in the queue was told to be near to one of an earlier quest: itself."""
    paths = RealmPaths(tmp_path / "realm")
    paths.create()
    tales = [chat(story(seed), f"Tell me story {seed}.") for seed in range(3)]
    source = drop(paths, "tales.jsonl", lines(*tales).decode())
    quest = admit(QuestBoard(paths), source)

    def keep(file: Path, quest_id: str, *rows: dict[str, Any]) -> None:
        sketches = {"folder": str(paths.sketches), "max_bytes": 1 << 20, "quest_id": quest_id, "name": file.name}
        assert prove(file, lines(*rows), sketches=sketches, max_length=4096)["accepted"]

    keep(tmp_path / "first.jsonl", BEFORE, tales[0])
    keep(source, quest.quest_id, *tales)
    source.rename(tmp_path / "copy.jsonl")

    def near(file: Path) -> tuple[int, int]:
        told = run_json(tmp_path, file)["statistics"]["content"]["near_duplicate_stats"]
        return told["files_compared"], told["like_earlier_quests"]

    assert near(quest.path) == (1, 1)
    assert near(tmp_path / "copy.jsonl") == (2, 3)


def test_a_header_and_a_sidecar_choose_the_system_prompt(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines({"metadata": {}, "system_prompt": "From the header."}, ROWS[0]))
    assert "<|im_start|>system\nFrom the header.<|im_end|>" in run(tmp_path, path).stdout
    (tmp_path / "x.jsonl.meta.json").write_text(json.dumps({"system_prompt": "From the sidecar."}))
    assert "<|im_start|>system\nFrom the sidecar.<|im_end|>" in run(tmp_path, path).stdout


def test_only_the_start_of_a_long_file_is_read_unless_all_of_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*[chat(question=str(number)) for number in range(1500)], chat("word " * 500), b"{torn"))
    assert "looked at: the first 1000 rows" in run(tmp_path, path).stdout
    counted = run_json(tmp_path, path, "--all")["statistics"]
    assert (counted["rows"], counted["broken_rows"], counted["duplicates"]) == (1502, 1, 0)
    assert [error["line"] for error in counted["errors"]] == [1501]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\x00\x01\x02", "binary"), (b"PK\x03\x04", "zip"), (b"\x1f\x8b\x08broken", "gzip")],
)
def test_what_holds_no_text_is_an_expected_failure(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    result = run(tmp_path, path)
    assert result.exit_code == 1
    assert words in str(result.exception) + result.stdout


def test_what_is_not_there_is_an_expected_failure(tmp_path: Path, file: Path) -> None:
    assert "There is no file" in str(run(tmp_path, tmp_path / "missing.jsonl").exception)
    assert "has no row 7: it has 6" in str(run(tmp_path, file, "--row", 7).exception)
    (tmp_path / "empty.jsonl").touch()
    assert run(tmp_path, tmp_path / "empty.jsonl").exit_code == 0


def test_a_training_file_does_not_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(chat("\x1b[31mred\x07\x7f\x9b", "?")))
    shown = run(tmp_path, path).stdout
    assert "␛[31mred␇␡\\x9b" in shown
    assert "\x1b" not in shown
    assert visible("a\n\tb") == "a\n\tb"
