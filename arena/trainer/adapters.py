"""LoRA adapters on a model: put there from a seed, written and read in the format of peft, merged into the weights.

The model stays what it was, with some of its layers replaced: everything else of the trainer works on it unchanged.
peft is imported where it is used, as only heroes with LoRA need it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from arena.lora import Matrix
from arena.protocol import Lora
from core.errors import InvalidInput
from vault.weights import ADAPTER

NAME = "default"
"""What peft calls the only adapter of a model."""

PREFIX = "base_model.model."
"""What peft puts before the names of weights in its files."""

NAMED_AT_MOST = 12
"""Layers that one hint names."""


def has_adapter(model: PreTrainedModel) -> bool:
    """Whether adapters are trained in place of all weights."""
    return getattr(model, "peft_config", None) is not None


def add_adapter(model: PreTrainedModel, lora: Lora, *, base_model: str) -> None:
    """Freeze `model`, and put adapters beside its linear layers, which add nothing before the first step.

    Their first weights are drawn from `lora.seed`; the random state of the process is left as it was (failure D13).
    Other tools find the base model by `base_model`. Raises `InvalidInput` for target modules that cannot have any.
    """
    from peft import LoraConfig, TaskType

    _check_targets(model, lora.target_modules or ())
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rslora,
        target_modules="all-linear" if lora.target_modules is None else list(lora.target_modules),
        task_type=TaskType.CAUSAL_LM,
    )
    with torch.random.fork_rng(devices=[]):
        # Only the CPU generator: `torch.manual_seed` reseeds every GPU too, which this fork does not restore.
        torch.default_generator.manual_seed(lora.seed)
        model.add_adapter(config)
    model.peft_config[NAME].base_model_name_or_path = base_model


def count_trained(model: PreTrainedModel) -> int:
    """Parameters that get gradients and moments."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def adapted_matrices(model: PreTrainedModel) -> list[Matrix]:
    """Outputs and inputs of the layers that have adapters."""
    weights = dict(model.named_parameters())
    return [
        (weights[name.replace(".lora_A.", ".lora_B.")].shape[0], weight.shape[1])
        for name, weight in weights.items()
        if ".lora_A." in name
    ]


def weights_to_save(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """All weights as they are named in the model; where there are adapters, those alone, as the rest never changes."""
    weights: dict[str, torch.Tensor] = model.state_dict()
    if not has_adapter(model):
        return weights
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    return {name: tensor for name, tensor in weights.items() if name in trained}


def write_adapter(model: PreTrainedModel, weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write `weights` (`weights_to_save`) as peft does, so that any tool that knows it can load them."""
    save_file(_as_in_files(model, weights), folder / ADAPTER, metadata={"format": "pt"})
    config = copy.deepcopy(model.peft_config[NAME])
    # For loaders, which are to use it and not to train it.
    config.inference_mode = True
    # A set has another order in each process.
    config.target_modules = sorted(config.target_modules)  # type: ignore[attr-defined]
    config.save_pretrained(str(folder))


def read_adapter(model: PreTrainedModel, folder: Path) -> None:
    """Give the adapters of `model` the weights in `folder`; raises `ValueError` when they are of other adapters."""
    from peft import set_peft_model_state_dict

    found, wanted = load_file(folder / ADAPTER), _as_in_files(model, model.state_dict())
    if odd := sorted(found.keys() ^ wanted.keys()):
        raise ValueError(f"{ADAPTER} and the adapters of this hero differ in {len(odd)} weights, such as {odd[0]}")
    if odd := [name for name, tensor in found.items() if tensor.shape != wanted[name].shape]:
        raise ValueError(f"{odd[0]} in {ADAPTER} has another shape than with this hero")
    set_peft_model_state_dict(model, found)


def merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """`model`, its weights changed by the adapter in `folder`, as if all of them had been trained.

    Raises `ValueError` where what comes out is not finite.
    """
    from peft import LoraConfig, LoraModel

    tuner = LoraModel(model, LoraConfig.from_pretrained(str(folder)), NAME)
    read_adapter(model, folder)
    tuner.merge_and_unload(safe_merge=True)
    return model


def _as_in_files(model: PreTrainedModel, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    # Left to itself, it asks the hub whether the embeddings have grown.
    named = get_peft_model_state_dict(model, state_dict=weights, save_embedding_layers=False)
    return {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in named.items()}


def _check_targets(model: PreTrainedModel, names: tuple[str, ...]) -> None:
    """peft passes over names that it does not find, as long as it finds one, and adapts what is shared twice."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())  # type: ignore[no-untyped-call]
    modules = dict(model.named_modules())
    linear = {path: one for path, one in modules.items() if isinstance(one, nn.Linear | Conv1D) and one not in ends}
    for name in names:
        meant = [path for path in modules if path == name or path.endswith(f".{name}")]
        if not meant or any(path not in linear for path in meant):
            why = "is no linear layer within the base model" if meant else "is no layer of the base model"
            known = sorted({path.rpartition(".")[2] for path in linear})[:NAMED_AT_MOST]
            raise InvalidInput(
                f"{name!r}, which lora.target_modules names, {why}.",
                hint=f"Correct the hero's file: `all-linear`, or some of {', '.join(known)}.",
            )
