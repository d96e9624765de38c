"""From file to token rows: all of a quest, or a refusal that names the lines."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from arena.gatekeepers.measures.row_batches import BATCH_BYTES, BATCH_ROWS
from arena.gatekeepers.row_reader import read_rows
from arena.rendering import Renderer
from arena.tokens.token_cache import TokenCache
from arena.tokens.token_recipe import TokenRecipe
from arena.trainer.evaluation import load_validation_rows
from arena.trainer.stream.quest_data import QuestData, QuestRefused, prepare_quest
from core.files import Files
from guild.profiles import CHATML_TEMPLATE, get_profile
from tests.arena.trainer.tiny_hero import chat, hash_of, settings, write_rows


class StopNow(Exception):
    pass


def stop_now() -> None:
    raise StopNow


@pytest.fixture(scope="module")
def renderer(tiny_model: Path) -> Renderer:
    return Renderer.load(tiny_model, get_profile("chatml"))


def prepare(path: Path, renderer: Renderer, *, schema_id: str = "chat_sft_v1", max_length: int = 256) -> QuestData:
    return prepare_quest(
        path, schema_id=schema_id, settings=settings(max_length=max_length), content_hash=hash_of(path),
        renderer=renderer, between_batches=lambda: None,
    )  # fmt: skip


def test_rows_come_out_as_the_renderer_lays_them_out(renderer: Renderer, tmp_path: Path) -> None:
    chats = [chat(seed, turns=2) for seed in range(5)]
    path = write_rows(tmp_path / "q.jsonl", chats)
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    data = prepare(path, renderer)
    assert len(data) == 5
    assert [data.row(number).line for number in range(5)] == [1, 3, 4, 5, 6]
    for number, row in enumerate(chats):
        whole = renderer.render(messages=row["messages"])
        found = data.row(number)
        assert found.token_ids.tolist() == whole.token_ids
        assert found.trained.tolist() == whole.trained
        assert found.targets == whole.target_tokens > 0


def test_rows_that_teach_nothing_after_the_cut_are_named(renderer: Renderer, tmp_path: Path) -> None:
    """C17: truncation silently cut the answers."""
    long_prompt = {"messages": [{"role": "user", "content": "x" * 300}, {"role": "assistant", "content": "y"}]}
    path = write_rows(tmp_path / "q.jsonl", [chat(1), long_prompt, chat(2), long_prompt])
    with pytest.raises(QuestRefused) as refused:
        prepare(path, renderer)
    assert [error.line for error in refused.value.errors] == [2, 4]
    assert refused.value.total == 2
    assert "cut to 256 tokens, nothing of an answer is left" in refused.value.errors[0].message


def test_a_long_answer_is_cut_and_what_is_left_of_it_is_learned(renderer: Renderer, tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y" * 500}]}
    data = prepare(write_rows(tmp_path / "q.jsonl", [row]), renderer, max_length=100)
    assert len(data.row(0).token_ids) == 100
    assert 0 < data.row(0).targets < 100


def test_many_faults_are_counted_and_a_hundred_of_them_told(renderer: Renderer, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", [{"messages": [{"role": "user", "content": "x"}]}] * 130)
    with pytest.raises(QuestRefused) as refused:
        prepare(path, renderer)
    assert (len(refused.value.errors), refused.value.total) == (100, 130)
    assert "no token of it belongs to an answer" in refused.value.errors[0].message


def test_a_file_that_changed_since_intake_is_refused(renderer: Renderer, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", [chat(1)])
    with pytest.raises(QuestRefused, match="not the one that was checked at intake"):
        prepare_quest(
            path, schema_id="chat_sft_v1", settings=settings(), content_hash="0" * 64, renderer=renderer,
            between_batches=lambda: None,
        )  # fmt: skip


def test_a_file_that_is_gone_is_told_apart_from_one_that_changed(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare_quest(
            tmp_path / "none.jsonl", schema_id="chat_sft_v1", settings=settings(), content_hash="0" * 64,
            renderer=renderer, between_batches=lambda: None,
        )  # fmt: skip


# --- the cache of tokens -----------------------------------------------------------------------------------------


class NoRoom(Files):
    def write(self, fd: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def prepare_with(
    path: Path, renderer: Renderer, cache: TokenCache, content_hash: str | None = None, max_length: int = 256
) -> QuestData:
    content_hash = content_hash or hash_of(path)
    recipe = TokenRecipe.of(
        renderer, content_hash=content_hash, schema_id="chat_sft_v1", system_prompt=None, max_length=max_length,
        claimed_at=None,
    )  # fmt: skip
    return prepare_quest(
        path, schema_id="chat_sft_v1", settings=settings(max_length=max_length), content_hash=content_hash,
        renderer=renderer, between_batches=lambda: None, entry=cache.entry(recipe.key),
    )  # fmt: skip


def told(data: QuestData) -> list[tuple[int, list[int], list[bool]]]:
    rows = [data.row(number) for number in range(len(data))]
    return [(row.line, row.token_ids.tolist(), row.trained.tolist()) for row in rows]


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    return TokenCache(tmp_path / "tokens", 1 << 20)


def test_a_quest_is_tokenized_once_and_then_read_from_the_cache(
    renderer: Renderer, tmp_path: Path, cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_rows(tmp_path / "q.jsonl", [chat(seed, turns=2) for seed in range(7)])
    first = told(prepare_with(path, renderer, cache))
    assert first == told(prepare(path, renderer))
    again = write_rows(tmp_path / "again.jsonl", [chat(seed, turns=2) for seed in range(7)])
    monkeypatch.setattr(Renderer, "render_many", None)
    assert told(prepare_with(path, renderer, cache)) == first
    assert told(prepare_with(again, renderer, cache)) == first, "the same content dropped twice"


def test_the_cache_decides_nothing(renderer: Renderer, tmp_path: Path, cache: TokenCache) -> None:
    """Law 3: a quest whose data are gone or changed is refused, whether its tokens are still at hand or not."""
    path = write_rows(tmp_path / "q.jsonl", [chat(1)])
    content_hash = hash_of(path)
    prepare_with(path, renderer, cache)
    write_rows(path, [chat(2)])
    os.utime(path, ns=(1, 1))
    with pytest.raises(QuestRefused, match="not the one that was checked at intake"):
        prepare_with(path, renderer, cache, content_hash)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        prepare_with(path, renderer, cache, content_hash)


def test_what_is_refused_leaves_nothing_in_the_cache(renderer: Renderer, tmp_path: Path, cache: TokenCache) -> None:
    silent = {"messages": [{"role": "user", "content": "x"}]}
    path = write_rows(tmp_path / "q.jsonl", [chat(1), silent, chat(2)])
    for _ in range(2):
        with pytest.raises(QuestRefused, match="line 2"):
            prepare_with(path, renderer, cache)
    with pytest.raises(QuestRefused, match="not the one"):
        prepare_with(write_rows(path, [chat(1)]), renderer, cache, "0" * 64)
    write_rows(path, [chat(number) for number in range(BATCH_ROWS + 1)])
    with pytest.raises(QuestRefused, match="not the one"):
        prepare_with(write_rows(path, [silent]), renderer, cache, "0" * 64)
    assert list((tmp_path / "tokens").iterdir()) == []


@pytest.mark.parametrize("why", ["the disk is full", "the quest is too large"])
def test_without_room_in_the_cache_the_tokens_stay_in_memory(renderer: Renderer, tmp_path: Path, why: str) -> None:
    rows = [chat(seed) for seed in range(20)]
    path = write_rows(tmp_path / "q.jsonl", rows)
    small = TokenCache(tmp_path / "tokens", 2 * path.stat().st_size + 2)
    cache = TokenCache(tmp_path / "tokens", 1 << 20, files=NoRoom()) if "full" in why else small
    assert told(prepare_with(path, renderer, cache)) == told(prepare(path, renderer))
    assert list((tmp_path / "tokens").iterdir()) == []


@pytest.fixture(scope="module")
def prudish(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """The model's own template refuses a word, as those of large models refuse orders of roles."""
    folder = tmp_path_factory.mktemp("prudish") / "model"
    shutil.copytree(tiny_model, folder)
    refusal = (
        "{% for m in messages %}{% if 'damn' in m.content %}{{ raise_exception('no oaths') }}{% endif %}{% endfor %}"
    )
    (folder / "chat_template.jinja").write_text(refusal + CHATML_TEMPLATE)
    return Renderer.load(folder, get_profile("native"))


OATH = {"messages": [{"role": "user", "content": "damn"}, {"role": "assistant", "content": "tut"}]}


def test_a_row_that_the_template_cannot_render_is_named(prudish: Renderer, tmp_path: Path) -> None:
    chats = [chat(number) for number in range(BATCH_ROWS + 2)]
    chats[BATCH_ROWS] = OATH
    with pytest.raises(QuestRefused, match="no oaths") as refused:
        prepare(write_rows(tmp_path / "q.jsonl", chats), prudish)
    assert refused.value.errors[0].line == BATCH_ROWS + 1


def test_held_out_files_that_cannot_be_rendered_or_read_are_left_out(prudish: Renderer, tmp_path: Path) -> None:
    """One bad file in data/validation/ must not keep the trainer from starting."""
    write_rows(tmp_path / "1_bad.jsonl", [chat(1), OATH])
    write_rows(tmp_path / "2_good.jsonl", [chat(2), chat(3)])
    (tmp_path / "3_broken.jsonl").write_text("no json\n")
    write_rows(tmp_path / "4_good.jsonl", [chat(4), chat(5), chat(6)])
    (tmp_path / "5_folder.jsonl").mkdir()
    rows = load_validation_rows(tmp_path, renderer=prudish, settings=settings(), limit=4)
    assert [row.line for row in rows] == [1, 2, 1, 2]


SHAPES: dict[str, dict[str, Any]] = {
    "openai_chat_v1": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "3+4?"}]},
            {"role": "assistant", "content": "8", "weight": 0},
            {"role": "assistant", "content": None, "tool_calls": [{"name": "add", "arguments": "{}"}]},
            {"role": "tool", "content": "7"},
            {"role": "assistant", "content": "7"},
        ],
        "tools": [{"name": "add"}],
    },
    "sharegpt_v1": {"conversations": [{"from": "human", "value": "3+4?"}, {"from": "gpt", "value": "7"}]},
    "alpaca_v1": {"instruction": "3+4?", "output": "7"},
    "prompt_completion_v1": {"prompt": "3+4?", "completion": "7"},
    "completion_v1": {"text": "3+4=7"},
}


@pytest.mark.parametrize("schema_id", SHAPES)
def test_held_out_rows_are_rendered_as_those_that_are_learned(
    renderer: Renderer, tmp_path: Path, schema_id: str
) -> None:
    """D4: what was measured was not rendered as what was learned. D5: the system prompt that is given is used."""
    path = write_rows(tmp_path / "q.jsonl", [SHAPES[schema_id]])
    given = settings(system_prompt="Be exact.", max_length=2048)
    data = prepare_quest(
        path, schema_id=schema_id, settings=given, content_hash=hash_of(path), renderer=renderer,
        between_batches=lambda: None,
    )  # fmt: skip
    (held_out,) = load_validation_rows(tmp_path, renderer=renderer, settings=given, limit=4)
    assert held_out.token_ids.tolist() == data.row(0).token_ids.tolist()
    assert held_out.trained.tolist() == data.row(0).trained.tolist()
    (whole,) = renderer.render_many([row.as_mapping() for row in read_rows(path, schema_id)], "Be exact.")
    assert held_out.token_ids.tolist() == whole.token_ids
    assert ("Be exact." in whole.text) == (schema_id != "completion_v1")
    assert ("# Tools" in whole.text) == (schema_id == "openai_chat_v1")


def test_an_empty_file_is_refused(renderer: Renderer, tmp_path: Path) -> None:
    """C19: an empty file was accepted."""
    with pytest.raises(QuestRefused, match="holds no rows"):
        prepare(write_rows(tmp_path / "q.jsonl", []), renderer)


def test_preparing_gives_up_between_batches(renderer: Renderer, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "q.jsonl", [chat(number) for number in range(BATCH_ROWS + 1)])
    with pytest.raises(StopNow):
        prepare_quest(
            path, schema_id="chat_sft_v1", settings=settings(), content_hash=hash_of(path), renderer=renderer,
            between_batches=stop_now,
        )  # fmt: skip


def test_rows_that_are_long_are_not_held_by_the_hundred(renderer: Renderer, tmp_path: Path) -> None:
    """D7: 512 rows were rendered at once, however long; what is made of a text takes many times its memory."""
    long = {"messages": [{"role": "user", "content": "x" * BATCH_BYTES}, {"role": "assistant", "content": "yes"}]}
    path = write_rows(tmp_path / "q.jsonl", [long, chat(1), long, chat(2)])
    looks = 0

    def look() -> None:
        nonlocal looks
        looks += 1

    data = prepare_quest(
        path, schema_id="chat_sft_v1", settings=settings(max_length=2 * BATCH_BYTES), content_hash=hash_of(path),
        renderer=renderer, between_batches=look,
    )  # fmt: skip
    assert (len(data), looks) == (4, 3)
