"""The sizes of a model that decide what training it takes: from `config.json`, or from the recipe of a seedling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from arena.heroes import SEEDLING, Hero, lora_of, model_folder, resolve_base_model
from arena.language.byte_tokenizer import CONTROL_TOKENS
from arena.lora import Matrix, adapted_matrices, count_trained, kept_per_token
from arena.protocol import Lora
from core.errors import RealmError
from core.files import read_json
from core.paths import RealmPaths
from core.settings import Settings
from vault.weights import Shapes, count_parameters, weight_shapes

SEEDLING_VOCABULARY = 256 + len(CONTROL_TOKENS)


@dataclass(frozen=True)
class ModelSizes:
    """All but `parameters` and `layers` are widths: numbers for each token."""

    parameters: int
    """All weights; a tied embedding counts once."""
    layers: int
    hidden: int
    queries: int
    """Query heads times their width."""
    keys: int
    """Key heads times their width; values are as wide."""
    intermediate: int
    vocabulary: int
    trained: int | None = None
    """Weights in adapters, included in `parameters`: all others are frozen. None when all weights are trained."""
    kept_by_adapters: int = 0
    """Numbers that the adapters of all layers keep of each token for the backward pass."""

    @property
    def with_gradients(self) -> int:
        return self.parameters if self.trained is None else self.trained


def with_adapters(sizes: ModelSizes, matrices: list[Matrix], lora: Lora) -> ModelSizes:
    """The sizes of a base model with adapters beside these linear layers of it."""
    trained = count_trained(matrices, lora.rank)
    return replace(
        sizes, parameters=sizes.parameters + trained, trained=trained, kept_by_adapters=kept_per_token(matrices, lora)
    )


def sizes_from(config: Mapping[str, Any], parameters: int) -> ModelSizes | None:
    """The sizes that a `config.json` tells; None when it is of a kind that names them otherwise."""
    # A model of several parts keeps the sizes of its language part below.
    text = config.get("text_config")
    told = text if isinstance(text, Mapping) else config
    hidden, heads = _size(told, "hidden_size", "n_embd"), _size(told, "num_attention_heads", "n_head")
    layers, vocabulary = _size(told, "num_hidden_layers", "n_layer"), _size(told, "vocab_size")
    if hidden is None or heads is None or layers is None or vocabulary is None:
        return None
    width = _size(told, "head_dim") or hidden // heads
    return ModelSizes(
        parameters=parameters,
        layers=layers,
        hidden=hidden,
        queries=heads * width,
        keys=(_size(told, "num_key_value_heads") or heads) * width,
        intermediate=_size(told, "intermediate_size", "n_inner") or 4 * hidden,
        vocabulary=vocabulary,
    )


def sizes_of_hero(hero: Hero, settings: Settings, paths: RealmPaths) -> ModelSizes | None:
    """The sizes of a hero's model, adapters included; None when its files are not here, or do not tell them."""
    try:
        base_model = resolve_base_model(hero, settings, paths)
        if base_model == SEEDLING:
            recipe = hero.recipe or {}
            shapes, sizes = _matrices_of_seedling(recipe), _sizes_of_seedling(recipe)
        else:
            folder = model_folder(base_model, paths.models)
            config, shapes = read_json(folder / "config.json"), weight_shapes(folder)
            sizes = sizes_from(config, count_parameters(shapes)) if isinstance(config, dict) else None
    except RealmError:
        return None
    lora = lora_of(hero, settings)
    return with_adapters(sizes, adapted_matrices(shapes, lora), lora) if sizes and lora else sizes


def parameters_of_seedling(recipe: Mapping[str, int]) -> int:
    """How many weights a model made from `recipe` has, without making it."""
    hidden, head = recipe["hidden_size"], recipe["head_dim"]
    heads, shared = recipe["num_attention_heads"], recipe["num_key_value_heads"]
    attention = 2 * hidden * head * (heads + shared) + 2 * head
    layer = attention + 3 * hidden * recipe["intermediate_size"] + 2 * hidden
    return SEEDLING_VOCABULARY * hidden + recipe["num_hidden_layers"] * layer + hidden


def _sizes_of_seedling(recipe: Mapping[str, int]) -> ModelSizes | None:
    return sizes_from({**recipe, "vocab_size": SEEDLING_VOCABULARY}, parameters_of_seedling(recipe))


def _matrices_of_seedling(recipe: Mapping[str, int]) -> Shapes:
    hidden, inner, head = recipe["hidden_size"], recipe["intermediate_size"], recipe["head_dim"]
    queries, keys = head * recipe["num_attention_heads"], head * recipe["num_key_value_heads"]
    layer = {
        "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }  # fmt: skip
    numbers = range(recipe["num_hidden_layers"])
    return {f"model.layers.{number}.{name}.weight": shape for number in numbers for name, shape in layer.items()}


def _size(config: Mapping[str, Any], *names: str) -> int | None:
    found = next((config[name] for name in names if config.get(name) is not None), None)
    return found if isinstance(found, int) and found > 0 else None
