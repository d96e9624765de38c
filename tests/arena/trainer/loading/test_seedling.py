"""The seedling: made from recipe and seed, and a Hugging Face directory like any other."""

from __future__ import annotations

import os
import random
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.heroes import load_hero
from arena.trainer.loading.seedling import drop_leftovers, make_seedling
from core.errors import Conflict
from core.files import Files
from core.paths import CHECKOUT, RealmPaths

RECIPE = load_hero(RealmPaths(CHECKOUT), "seedling").recipe or {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seedling(tmp_path_factory.mktemp("models") / "seedling", RECIPE, seed=7)


def test_the_model_loads_and_generates_with_transformers_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "qwen3"
    assert sum(parameter.numel() for parameter in model.parameters()) == 673_216
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    chat = [{"role": "user", "content": "hello"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    written = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert written.shape[1] > prompt["input_ids"].shape[1]


def test_every_byte_is_a_token_and_the_turn_end_stops_generation(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = "".join(map(chr, range(0x300))) + "\x00 🙂 你好 e\u0301 \r\n"
    ids = tokenizer.encode(text)
    assert ids == list(text.encode("utf-8"))
    assert tokenizer.decode(ids) == text
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert tokenizer.convert_tokens_to_ids(specials) == [256, 257, 258]
    assert (tokenizer.eos_token, tokenizer.pad_token, len(tokenizer)) == ("<|im_end|>", "<|endoftext|>", 259)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (258, 256)


def test_one_seed_gives_the_same_bytes_and_another_seed_gives_others(folder: Path, tmp_path: Path) -> None:
    """D13: what was made depended on the random state it was made in."""
    torch.manual_seed(999)
    again = make_seedling(tmp_path / "again", RECIPE, seed=7)
    other = make_seedling(tmp_path / "other", RECIPE, seed=8)
    files = sorted(file.name for file in folder.iterdir())
    assert files == sorted(file.name for file in again.iterdir())
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= set(files)
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)
    assert (other / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


def test_making_one_leaves_every_random_state_alone(tmp_path: Path) -> None:
    """D13: reseeding the global generator correlated the shuffles."""
    random.seed(1)
    torch.manual_seed(1)
    before = (random.getstate(), torch.get_rng_state().tolist())
    make_seedling(tmp_path / "seedling", RECIPE, seed=7)
    assert (random.getstate(), torch.get_rng_state().tolist()) == before


def test_an_existing_directory_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(Conflict, match="exists already"):
        make_seedling(tmp_path / "mine", RECIPE, seed=7)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    class FullDisk(Files):
        def rename_dir(self, source: Path, target: Path) -> None:
            assert stat.S_ISDIR(source.stat().st_mode)
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        make_seedling(tmp_path / "seedling", RECIPE, seed=7, files=FullDisk())
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_maker_left_goes_and_what_is_made_now_stays(tmp_path: Path) -> None:
    """Law 9: nothing else sweeps models/, and each holds a whole model."""
    now = datetime.now(UTC)
    for name in (".mine.0123abcd.tmp", ".mine.89abcdef.tmp", ".another.01234567.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text("half")
    for name in (".mine.0123abcd.tmp", ".another.01234567.tmp"):
        long_ago = (now - timedelta(hours=2)).timestamp()
        os.utime(tmp_path / name, (long_ago, long_ago))
    drop_leftovers(tmp_path / "mine", now=now)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".another.01234567.tmp", ".mine.89abcdef.tmp"]
