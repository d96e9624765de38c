"""A hero with adapters: what is trained, what a checkpoint of his holds, and that law 3 holds for him as for others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from arena.memory.model_sizes import sizes_from, with_adapters
from arena.protocol import CheckpointSaved, Lora, Ready, Save
from arena.trainer.adapters import adapted_matrices, add_adapter, count_trained, merge_adapter, read_adapter
from arena.trainer.loading.merging import merge
from arena.trainer.loading.model_loading import UnloadableFiles, read_model
from arena.trainer.loading.seedling import make_seedling
from core.errors import Conflict, InvalidInput
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.in_process import living
from tests.arena.trainer.lora_hero import LAYERS, LORA, STEPS, learn, loaded, losses, make_base
from tests.arena.trainer.tiny_hero import TINY_RECIPE
from vault.checkpoints import CheckpointStore
from vault.manifest import listed_files
from vault.weights import weights_digest

IDS = torch.arange(24).reshape(2, 12)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Field, list[float]]:
    """A hero who has learned a quest straight on, and the losses of his steps; nobody writes into it."""
    folder = tmp_path_factory.mktemp("lora")
    field = Field(folder / "realm", make_base(folder / "base"))
    return field, losses(learn(field))


@pytest.fixture
def field(learned: tuple[Field, list[float]], tmp_path: Path) -> Field:
    """A copy of that hero's realm."""
    past = learned[0]
    shutil.copytree(past.base, tmp_path / "realm")
    return Field(tmp_path / "realm", past.model, dict(past.foes))


def test_the_loss_falls_and_nothing_but_adapters_is_learned_and_saved(learned: tuple[Field, list[float]]) -> None:
    field, told = learned
    assert len(told) == STEPS
    assert sum(told[-5:]) < 0.4 * sum(told[:5])
    genesis = field.history.genesis
    assert genesis is not None
    assert (genesis.lora, genesis.weights) == (LORA, weights_digest(field.model))
    names = set(listed_files(field.head))
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "optimizer.pt"} <= names
    assert not names & {"model.safetensors", "config.json"}
    weights = load_file(field.head / "adapter_model.safetensors")
    assert len(weights) == 2 * LAYERS
    assert all(".lora_A." in name or ".lora_B." in name for name in weights)
    assert all(weight.abs().max() > 0 for weight in weights.values())
    moments = torch.load(field.head / "optimizer.pt", weights_only=True)["state"]
    assert sorted(state["exp_avg"].shape for state in moments.values()) == sorted(w.shape for w in weights.values())
    told_of = json.loads((field.head / "adapter_config.json").read_text())
    assert (told_of["r"], told_of["lora_alpha"], told_of["base_model_name_or_path"]) == (4, 8, str(field.model))


# peft asks transformers in a way that this no longer likes.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_other_tools_load_a_checkpoint_and_its_base_is_as_it_was(learned: tuple[Field, list[float]]) -> None:
    field, _ = learned
    ours = loaded(field.model, field.head)
    frozen = {name: weight for name, weight in ours.named_parameters() if not weight.requires_grad}
    base = load_file(field.model / "model.safetensors")
    assert len(frozen) == len(base)
    assert all(torch.equal(weight, base[name.replace(".base_layer", "")]) for name, weight in frozen.items())
    theirs = PeftModel.from_pretrained(read_model(field.model, torch.float32), str(field.head)).eval()
    plain = AutoModelForCausalLM.from_pretrained(field.head, dtype=torch.float32).eval()
    with torch.no_grad():
        wanted = ours(IDS).logits
        assert torch.equal(theirs(IDS).logits, wanted)
        assert torch.equal(plain(IDS).logits, wanted)
        assert not torch.allclose(loaded(field.model, None)(IDS).logits, wanted, atol=1e-3)


def test_what_is_merged_answers_as_base_and_adapters_do(learned: tuple[Field, list[float]]) -> None:
    field, _ = learned
    merged = merge_adapter(read_model(field.model, torch.float32), field.head).eval()
    assert [name for name, _ in merged.named_parameters() if "lora" in name] == []
    with torch.no_grad():
        found, wanted = merged(IDS).logits, loaded(field.model, field.head)(IDS).logits
    # Rounding, as a part of the largest logit.
    torch.testing.assert_close(found, wanted, rtol=0, atol=5e-5 * wanted.abs().max().item())


def test_adapters_are_merged_with_no_other_weights(learned: tuple[Field, list[float]], tmp_path: Path) -> None:
    field, target = learned[0], tmp_path / "merged"
    base = {"base_model": str(field.model), "recipe": None, "seed": 0, "weights": "0" * 64}
    with pytest.raises(InvalidInput, match="not those that the adapters were trained beside"):
        merge(field.head, target, tmp_path, base)
    assert not target.exists()


def test_a_killed_hero_goes_on_to_the_same_adapters_bit_for_bit(
    learned: tuple[Field, list[float]], tmp_path: Path
) -> None:
    """Law 3, with dropout in attention and adapters: saved, killed steps later, resumed, and killed before any save."""
    straight, _ = learned
    field = Field(tmp_path, straight.model)
    foe = field.foe("long", 4 * STEPS, learning_rate=2e-2)
    with living(field, lora=LORA) as life:
        life.claim(foe)
        life.make_steps(3)
        life.slay()
    # The seed of its first life counts, as the journal tells it, and no checkpoint is there yet.
    with living(field, lora=replace(LORA, seed=77)) as life:
        life.make_steps(6)
        life.ask(Save(reason="a test"))
        life.make_steps(1)
        life.battle._saver._writer.wait()
        life.make_steps(4)
        life.until(CheckpointSaved, lambda saved: saved.step == 7)
        life.slay()
    ready = next(event for event in learn(field) if isinstance(event, Ready))
    assert ready.step == 7
    assert_equal_weights(field.head, straight.head)


def test_activations_that_are_computed_again_change_no_bit(learned: tuple[Field, list[float]], tmp_path: Path) -> None:
    """Embeddings are frozen, and gradients have to find their way through them."""
    field = Field(tmp_path, learned[0].model)
    learn(field, gradient_checkpointing="always")
    assert_equal_weights(field.head, learned[0].head)


def test_adapters_come_from_their_seed_alone(tiny_model: Path) -> None:
    """D13: and the random state of the process is left as it was."""
    before = torch.random.get_rng_state()
    one, same, other = (
        loaded(tiny_model, None, replace(LORA, seed=seed)).state_dict() for seed in (LORA.seed, LORA.seed, 10)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    down = [name for name in one if ".lora_A." in name]
    assert len(down) == LAYERS
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in down)
    with torch.no_grad():
        plain = read_model(tiny_model, torch.float32).eval()(IDS).logits
        assert torch.equal(loaded(tiny_model, None)(IDS).logits, plain), "they add nothing yet"


def test_the_journal_says_which_adapters_and_from_which_seed(field: Field) -> None:
    """Another kind of adapter is another hero; another seed in the settings is none."""
    ready = next(event for event in learn(field, lora=replace(LORA, seed=77)) if isinstance(event, Ready))
    assert ready.checkpoint == field.head.name
    for wrong in (None, replace(LORA, rank=8), replace(LORA, dropout=0.0)):
        with pytest.raises(Conflict, match="was trained with LoRA of rank 4") as refused:
            learn(field, lora=wrong)
        assert "--fresh" in str(refused.value.hint)


def test_other_weights_in_the_place_of_the_base_model_are_refused(field: Field, tmp_path: Path) -> None:
    other = Field(field.base, shutil.copytree(field.model, tmp_path / "model"), field.foes)
    learn(other)  # it may have moved
    made = make_seedling(tmp_path / "another", TINY_RECIPE, seed=6)
    shutil.copyfile(made / "model.safetensors", other.model / "model.safetensors")
    before = CheckpointStore(field.paths.current_model).list()
    with pytest.raises(Conflict, match=r"are not those that .* began with"):
        learn(other)
    assert CheckpointStore(field.paths.current_model).list() == before


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (("q_proj", "q_prj"), "'q_prj', .* is no layer of the base model"),
        (("lm_head",), "'lm_head', .* is no linear layer within"),
        (("embed_tokens",), "'embed_tokens', .* is no linear layer within"),
        (("mlp",), "'mlp', .* is no linear layer within"),
    ],
)
def test_layers_that_cannot_have_adapters_are_named(tiny_model: Path, names: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint) as refused:
        loaded(tiny_model, None, replace(LORA, target_modules=names))
    assert "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj" in str(refused.value.hint)


def test_some_layers_get_adapters_and_those_of_others_are_not_loaded(
    tiny_model: Path, learned: tuple[Field, list[float]]
) -> None:
    two: Lora = replace(LORA, target_modules=("q_proj", "v_proj"), rslora=True)
    model = read_model(tiny_model, torch.float32)
    add_adapter(model, two, base_model="tiny")
    assert len(adapted_matrices(model)) == 4
    scaling = model.get_submodule("model.layers.0.self_attn.q_proj").scaling
    assert scaling == {"default": 8 / 4**0.5}
    with pytest.raises(ValueError, match="differ in 20 weights"):
        read_adapter(model, learned[0].head)
    sizes = sizes_from(model.config.to_dict(), 0)
    assert sizes is not None
    assert with_adapters(sizes, adapted_matrices(model), two).trained == count_trained(model)


def test_an_adapter_is_never_taken_for_a_model(learned: tuple[Field, list[float]], tmp_path: Path) -> None:
    """transformers would load the base model that it names, and go on."""
    with pytest.raises(UnloadableFiles, match="holds a LoRA adapter"):
        loaded(learned[0].model, learned[0].head, None)
