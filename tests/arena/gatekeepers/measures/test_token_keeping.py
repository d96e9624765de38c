"""The gate leaves its tokens to the trainer: just those that the trainer would make, and only of what it lets in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.measures.standard_gate import prove_file
from arena.gatekeepers.measures.token_keeping import keep_tokens
from arena.rendering import RenderedRow, Renderer
from arena.tokens import token_recipe
from arena.tokens.token_cache import CacheEntry, TokenCache
from arena.tokens.token_recipe import TokenRecipe
from arena.trainer.stream.quest_data import QuestData, prepare_quest
from guild.profiles import CHATML_TEMPLATE, get_profile
from tests.arena.gatekeepers.proving import MAX_LENGTH, yardstick
from tests.arena.gatekeepers.scroll_making import chat, lines
from tests.arena.trainer.tiny_hero import hash_of, make_tiny_model
from tests.arena.trainer.tiny_hero import settings as quest_settings


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """The trainer's renderer."""
    model = make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", dropout=0.0)
    return Renderer.load(model, get_profile("chatml"))


def cache_in(folder: Path) -> dict[str, Any]:
    return {"folder": str(folder / "tokens"), "max_bytes": 1 << 24}


def entry_of(folder: Path, path: Path, renderer: Renderer, **changes: Any) -> CacheEntry:
    """The place where the trainer looks."""
    told = {"content_hash": hash_of(path), "schema_id": "chat_sft_v1", "system_prompt": None, "max_length": MAX_LENGTH}
    recipe = TokenRecipe.of(renderer, **{**told, "claimed_at": "2026", **changes})
    return TokenCache(folder / "tokens", 1 << 24).entry(recipe.key)


def prove(folder: Path, path: Path, rows: int, **changes: Any) -> dict[str, Any]:
    return prove_file(str(path), "chat_sft_v1", rows, yardstick(**changes), hash_of(path), cache_in(folder))


def keep(folder: Path, path: Path, rows: int) -> bool:
    return keep_tokens(str(path), "chat_sft_v1", rows, yardstick(), hash_of(path), cache_in(folder))


def prepare(path: Path, renderer: Renderer, entry: CacheEntry | None = None) -> QuestData:
    return prepare_quest(
        path, schema_id="chat_sft_v1", settings=quest_settings(max_length=MAX_LENGTH), content_hash=hash_of(path),
        renderer=renderer, between_batches=lambda: None, entry=entry,
    )  # fmt: skip


def told(data: QuestData) -> list[tuple[int, list[int], list[bool]]]:
    rows = [data.row(number) for number in range(len(data))]
    return [(row.line, row.token_ids.tolist(), row.trained.tolist()) for row in rows]


TURNS = st.tuples(st.text("ab é", max_size=90), st.text("xy 🙂", min_size=1, max_size=60))


@given(chats=st.lists(st.lists(TURNS, min_size=1, max_size=3), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_trainer_finds_the_very_tokens_that_it_would_make(tmp_path: Path, tiny: Renderer, chats: list[Any]) -> None:
    """Law 3: with or without the cache, the same rows are learned."""
    rows = [{"messages": [turn for pair in pairs for turn in chat(pair[1], pair[0])["messages"]]} for pairs in chats]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n" + lines(*rows))
    verdict = prove(tmp_path, path, len(rows))
    entry = entry_of(tmp_path, path, tiny)
    assert (entry.find() is not None) == verdict["accepted"]
    if verdict["accepted"]:
        assert told(prepare(path, tiny, entry)) == told(prepare(path, tiny))


def test_the_trainer_renders_nothing_of_what_the_gate_has_left(tmp_path: Path, tiny: Renderer) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*[chat(f"answer {number}") for number in range(30)]))
    assert prove(tmp_path, path, 30)["accepted"]
    entry = entry_of(tmp_path, path, tiny)
    expected = told(prepare(path, tiny))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Renderer, "render_many", None)
        assert told(prepare(path, tiny, entry)) == expected


@pytest.mark.parametrize(
    "rows",
    [[chat(), chat("a" * 200)], [chat(), {"messages": [{"role": "user", "content": "x"}]}]],
    ids=["an answer would be cut", "a row without an answer"],
)
def test_of_a_rejected_quest_nothing_is_kept(tmp_path: Path, tiny: Renderer, rows: list[Any]) -> None:
    """Law 6: no tokens without a proof."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*rows))
    assert not prove(tmp_path, path, len(rows))["accepted"]
    assert entry_of(tmp_path, path, tiny).find() is None
    assert not any((tmp_path / "tokens").glob("*"))


def test_a_file_that_is_not_what_it_was_at_intake_leaves_no_tokens_under_its_old_name(
    tmp_path: Path, tiny: Renderer
) -> None:
    """Tokens of another content under a quest's hash would be learned in its place."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(chat("before")))
    content_hash = hash_of(path)
    entry = entry_of(tmp_path, path, tiny)
    path.write_bytes(lines(chat("after")))
    prove_file(str(path), "chat_sft_v1", 1, yardstick(), content_hash, cache_in(tmp_path))
    assert entry.find() is None
    assert not any((tmp_path / "tokens").glob("*"))


def test_a_large_file_is_looked_at_in_part_and_tokenized_in_a_job_of_its_own(tmp_path: Path, tiny: Renderer) -> None:
    path, rows = tmp_path / "x.jsonl", 300
    path.write_bytes(lines(*[chat(f"answer {number}", padding="." * 4000) for number in range(rows)]))
    assert prove(tmp_path, path, rows)["accepted"]
    entry = entry_of(tmp_path, path, tiny)
    assert entry.find() is None
    assert keep(tmp_path, path, rows)
    assert keep(tmp_path, path, rows), "they are there already"
    assert told(prepare(path, tiny, entry)) == told(prepare(path, tiny))


@pytest.mark.parametrize("fault", ["a row that teaches nothing", "another file", "the cache is too small"])
def test_what_the_trainer_would_refuse_or_the_cache_cannot_hold_is_not_kept(
    tmp_path: Path, tiny: Renderer, fault: str
) -> None:
    """Law 3: what is in the cache could have been made by the trainer."""
    path = tmp_path / "x.jsonl"
    rows: list[Any] = [chat()] * 70
    if fault == "a row that teaches nothing":
        rows[50] = {"messages": [{"role": "user", "content": "x"}]}
    path.write_bytes(lines(*rows))
    content_hash = "0" * 64 if fault == "another file" else hash_of(path)
    small = {"max_bytes": 2 * path.stat().st_size + 10} if fault == "the cache is too small" else {}
    cache = {**cache_in(tmp_path), **small}
    assert not keep_tokens(str(path), "chat_sft_v1", 70, yardstick(), content_hash, cache)
    assert list((tmp_path / "tokens").iterdir()) == []


def test_few_rows_are_rendered_together_where_they_are_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """64 rows of 32k tokens took 0.4 GB beside the training."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(*[chat("a" * 20_000)] * 30, *[chat()] * 70))
    rendered: list[int] = []
    render_many = Renderer.render_many

    def noting(self: Renderer, rows: Any, system_prompt: str | None = None) -> list[RenderedRow]:
        rendered.append(len(rows))
        return render_many(self, rows, system_prompt)

    monkeypatch.setattr(Renderer, "render_many", noting)
    assert keep(tmp_path, path, 100)
    assert rendered == [14, 14, 64, 8]


def test_a_quest_is_let_in_whatever_is_wrong_with_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the realm that was gone for the moment of an update rejected the quests of that moment."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(chat()))
    (tmp_path / "arena" / "language").mkdir(parents=True)
    (tmp_path / "arena" / "language" / "going.py").symlink_to("gone.py")
    monkeypatch.setattr(token_recipe, "CHECKOUT", tmp_path)
    token_recipe.made_with.cache_clear()
    try:
        assert prove(tmp_path, path, 1)["accepted"]
        with pytest.raises(FileNotFoundError):
            token_recipe.made_with()
    finally:
        token_recipe.made_with.cache_clear()
    assert not (tmp_path / "tokens").exists()


def test_what_prints_the_time_of_its_claim_is_not_made_before_the_claim(tmp_path: Path) -> None:
    """Law 3: the text, and so the tokens, hold the time that the journal has."""
    model = make_tiny_model(tmp_path / "dated", dropout=0.0)
    (model / "chat_template.jinja").write_text("{{ strftime_now('%Y') }}" + CHATML_TEMPLATE)
    path = tmp_path / "x.jsonl"
    path.write_bytes(lines(chat()))
    assert prove(tmp_path, path, 1, tokenizer=str(model), profile="native")["accepted"]
    assert not (tmp_path / "tokens").exists()
