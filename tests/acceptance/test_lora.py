"""A LoRA hero as his user gets him: handed out of a realm, and out of a single run, as an ordinary model."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import SETTINGS, SPRITE, LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import write_quest
from tests.arena.trainer.driving import Field
from tests.arena.trainer.lora_hero import LORA, learn, loaded
from tests.arena.trainer.tiny_hero import SETTINGS as LEARNED
from tests.arena.trainer.tiny_hero import make_tiny_model

IDS = torch.arange(24).reshape(2, 12)

BLOCK = {"rank": LORA.rank, "alpha": LORA.alpha, "dropout": LORA.dropout}


def with_a_past(realm: LivingRealm) -> Field:
    """A realm whose hero `tiny` has learned a quest with adapters; his base model lies in `models/`."""
    field = Field(realm.paths.base, make_tiny_model(realm.paths.models / "tiny", dropout=0.0))
    learn(field, steps=4)
    hero = {
        "title": "Tiny", "base_model": "tiny", "lora": BLOCK,
        "hyperparams": {**SPRITE["hyperparams"], "max_length": LEARNED.max_length},
    }  # fmt: skip
    (realm.paths.configs / "heroes" / "tiny.yaml").write_text(yaml.safe_dump(hero))
    realm.paths.config_file.write_text(yaml.safe_dump({**SETTINGS, "hero": "tiny"}))
    return field


def test_export_hands_out_a_model_that_needs_neither_base_nor_peft(found_realm: Founder, tmp_path: Path) -> None:
    realm = found_realm()
    field = with_a_past(realm)
    target = tmp_path / "shelf" / "tiny-trained"
    told = realm.cli_json("export", str(target))
    assert (told["folder"], told["checkpoint"], told["merged"]) == (str(target), field.head.name, True)
    assert [*target.glob("*adapter*"), *target.glob(".*")] == []
    assert {"config.json", "generation_config.json", "model.safetensors", "chat_template.jinja"} <= {
        file.name for file in target.iterdir()
    }
    model = AutoModelForCausalLM.from_pretrained(target).eval()
    with torch.no_grad():
        found, wanted = model(IDS).logits, loaded(field.model, field.head)(IDS).logits
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-5 * wanted.abs().max().item())
    tokenizer = AutoTokenizer.from_pretrained(target)
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(field.head).chat_template
    again = realm.cli("export", str(target))
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_train_with_a_lora_hero_leaves_a_merged_model(found_realm: Founder, nursery: Nursery, tmp_path: Path) -> None:
    """A trainer child that has peft, and a child that merges: nothing of the adapter is left to be looked after."""
    realm = found_realm(nursery=nursery)
    (realm.paths.configs / "heroes" / "elf.yaml").write_text(yaml.safe_dump({**SPRITE, "lora": {"rank": 2}}))
    dataset, output = write_quest(tmp_path / "few.jsonl", 8), tmp_path / "elf"
    told = realm.cli_json("train", "--dataset", str(dataset), "--model", "elf", "--output", str(output))
    assert (told["rows"], told["output"]) == (8, str(output))
    assert {file.name for file in output.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert [*output.glob("*adapter*"), *output.glob(".realm*")] == []
    assert AutoModelForCausalLM.from_pretrained(output).config.hidden_size == 32
