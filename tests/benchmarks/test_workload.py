"""The workload of the benchmarks: reproducible, of the lengths that are promised, and the same for us and the peers."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer
from typer import BadParameter

from arena.rendering import Renderer
from benchmarks.contestants.hugging_face import IGNORED, labelled_rows
from benchmarks.training import lay_out
from benchmarks.workload import (
    FOUR_MILLION,
    MAX_LENGTH,
    Lexicon,
    Workload,
    fitted,
    make_model,
    make_tokenizer,
    make_workload,
    token_count,
)
from guild.profiles import get_profile
from tests.arena.trainer.tiny_hero import TINY_RECIPE


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    return small(tmp_path_factory.mktemp("workload"))


def small(folder: Path) -> Workload:
    recipe = {**TINY_RECIPE, "max_position_embeddings": MAX_LENGTH}
    return make_workload(folder / "model", vocabulary=512, rows=60, recipe=recipe)


def test_the_same_seed_gives_the_same_chats_and_tokenizer_and_weights(workload: Workload, tmp_path: Path) -> None:
    again = small(tmp_path)
    assert again.chats == workload.chats
    for name in ("tokenizer.json", "model.safetensors", "config.json"):
        assert (again.model / name).read_bytes() == (workload.model / name).read_bytes(), name
    assert Lexicon(2).chats(3) != Lexicon(1).chats(3)


def test_the_model_has_four_million_parameters_of_which_the_vocabulary_is_a_quarter(workload: Workload) -> None:
    tokenizer = AutoTokenizer.from_pretrained(workload.model)
    model: Any = make_model(FOUR_MILLION, 4096, tokenizer, seed=1)
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(4.2e6, rel=0.01)
    assert model.get_input_embeddings().weight.shape == (4096, FOUR_MILLION["hidden_size"])
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert model.dtype == torch.float32


def test_chats_are_as_long_as_promised_and_some_have_several_turns() -> None:
    chats = Lexicon(1).chats(1500)
    words = [sum(len(message["content"].split()) for message in chat["messages"]) for chat in chats]
    assert statistics.median(words) == pytest.approx(55, rel=0.1)
    assert max(words) > 400
    assert {len(chat["messages"]) for chat in chats} == {2, 4, 6, 8}


def test_no_chat_is_longer_than_the_model_reads(workload: Workload) -> None:
    tokenizer = AutoTokenizer.from_pretrained(workload.model)
    lengths = [token_count(tokenizer, chat) for chat in workload.chats]
    assert max(lengths) <= MAX_LENGTH
    cut = fitted(Lexicon(1).chat(3000), tokenizer)
    assert MAX_LENGTH - 20 < token_count(tokenizer, cut) <= MAX_LENGTH


def test_the_peers_learn_the_very_tokens_that_our_trainer_learns(workload: Workload, tmp_path: Path) -> None:
    course = lay_out(workload, tmp_path, rows_per_step=4, steps=2, rounds=1, threads=1)
    renderer = Renderer.load(workload.model, get_profile("chatml"))
    tokenizer = AutoTokenizer.from_pretrained(workload.model)
    theirs = labelled_rows(course, tokenizer)
    ours = [renderer.render(messages=chat["messages"]) for chat in workload.chats]
    assert sorted(row["input_ids"] for row in theirs) == sorted(row.token_ids for row in ours)
    learned = {tuple(row.token_ids): row.trained for row in ours}
    for row in theirs:
        assert [label != IGNORED for label in row["labels"]] == learned[tuple(row["input_ids"])]


def test_a_vocabulary_that_the_texts_do_not_give_is_refused() -> None:
    with pytest.raises(ValueError, match="not of 4096"):
        make_tokenizer(4096, ["too little to learn from"])


def test_more_laps_than_there_are_rows_are_refused(tmp_path: Path) -> None:
    too_few = Workload(tmp_path, Lexicon(1).chats(8))
    with pytest.raises(BadParameter, match="more than 8 rows"):
        lay_out(too_few, tmp_path, rows_per_step=4, steps=1, rounds=1, threads=1)
