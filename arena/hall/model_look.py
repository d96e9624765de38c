"""A look at a model directory without torch: is it whole, how is it rendered, and is it built like another one?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.language.byte_tokenizer import CONTROL_TOKENS, byte_tokenizer
from arena.language.chat_templates import local_now
from arena.language.tokenizer_files import load_tokenizer, native_template, read_tokenizer_config
from arena.rendering import Renderer
from core.errors import InvalidInput
from core.files import read_json
from guild.profiles import get_profile
from vault.weights import Shapes, check_no_adapter, count_parameters, weight_shapes

HEADS = ("num_attention_heads", "num_key_value_heads", "head_dim")
"""What decides how a tensor is used and does not show in its shape."""

TIED = "lm_head.weight"

TRIAL = [
    {"role": "user", "content": "How many legs has a spider?"},
    {"role": "assistant", "content": "Eight."},
    {"role": "user", "content": "And a beetle?"},
    {"role": "assistant", "content": "Six."},
]
"""A chat of two turns: templates that change earlier turns are found out by it."""


@dataclass(frozen=True)
class ModelLook:
    """What a model directory says of itself."""

    folder: Path
    config: dict[str, Any]
    shapes: Shapes
    vocabulary: dict[str, int]
    """Every token with its id, added ones included."""

    @property
    def parameters(self) -> int:
        return count_parameters(self.shapes)

    @property
    def longest_row(self) -> int | None:
        """Positions that the model knows."""
        known = self.config.get("max_position_embeddings")
        return known if isinstance(known, int) else None


def look_at_model(folder: Path) -> ModelLook:
    """Read configuration, tensor headers and tokenizer; raises `InvalidInput` saying what is missing or torn."""
    check_no_adapter(folder)
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise InvalidInput(
            f"{folder} is no model directory: its config.json is missing or names no model_type.",
            hint="Give a directory in Hugging Face format.",
        )
    if not (folder / "tokenizer.json").is_file():
        raise InvalidInput(
            f"{folder} has no tokenizer.json.", hint="Load and save the tokenizer once with a fast tokenizer class."
        )
    tokenizer = load_tokenizer(folder, read_tokenizer_config(folder))
    return ModelLook(
        folder=folder,
        config=config,
        shapes=weight_shapes(folder),
        vocabulary=tokenizer.get_vocab(with_added_tokens=True),
    )


def differences(model: ModelLook, other: ModelLook) -> list[str]:
    """In what `model` is built otherwise than `other`, in words; an empty list when one can take the other's place."""
    found = []
    if model.config["model_type"] != other.config["model_type"]:
        found.append(f"it is a {model.config['model_type']}, not a {other.config['model_type']}")
    found += [
        f"its {name} is {model.config.get(name)}, not {other.config.get(name)}"
        for name in HEADS
        if model.config.get(name) != other.config.get(name)
    ]
    mine, theirs = _untied(model.shapes), _untied(other.shapes)
    if missing := sorted(theirs.keys() - mine.keys()):
        found.append(f"it lacks {_some(missing)}")
    if more := sorted(mine.keys() - theirs.keys()):
        found.append(f"it has {_some(more)} besides")
    if resized := sorted(name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]):
        first = resized[0]
        found.append(f"{_some(resized)} of other sizes ({list(mine[first])} for {list(theirs[first])})")
    if model.vocabulary != other.vocabulary:
        odd = sorted(dict(model.vocabulary.items() ^ other.vocabulary.items()))
        found.append(f"its vocabulary differs in {len(odd)} tokens, such as {odd[0]!r}")
    return found


def differences_from_recipe(model: ModelLook, recipe: dict[str, int]) -> list[str]:
    """The same against a seedling that need not have been made yet."""
    found = [] if model.config["model_type"] == "qwen3" else [f"it is a {model.config['model_type']}, not a qwen3"]
    found += [
        f"its {name} is {model.config.get(name)}, not {size}"
        for name, size in recipe.items()
        if model.config.get(name) != size
    ]
    if model.vocabulary != byte_tokenizer().get_vocab(with_added_tokens=True):
        found.append("its vocabulary is not that of bytes")
    return found


def choose_profile(folder: Path) -> tuple[str, str]:
    """`native` or `chatml`, and why; raises `InvalidInput` when the model can be trained with neither."""
    own = native_template(folder, read_tokenizer_config(folder))
    why_not = "the model brings no chat template along" if own is None else _fault_of_native(folder)
    if why_not is None:
        return "native", "the model's own chat template keeps every answer as it is written"
    try:
        Renderer.load(folder, get_profile("chatml"), clock=local_now).render(messages=TRIAL)
    except InvalidInput as error:
        raise InvalidInput(
            f"Chats cannot be rendered for {folder}: {why_not}, and its tokenizer does not know ChatML's tokens.",
            hint=f"Add a chat template, or a tokenizer with {' and '.join(CONTROL_TOKENS)}.",
        ) from error
    return "chatml", why_not


def _fault_of_native(folder: Path) -> str | None:
    try:
        row = Renderer.load(folder, get_profile("native"), clock=local_now).render(messages=TRIAL)
    except InvalidInput:
        return "its own chat template changes earlier turns, so that answers cannot be told apart"
    if "<think>" in row.text:
        return "its own chat template puts <think> blocks around answers"
    if not row.target_tokens:
        return "its own chat template leaves the answers out"
    return None


def _untied(shapes: Shapes) -> Shapes:
    """Without the output layer, which is saved or not where it is the embedding."""
    return {name: shape for name, shape in shapes.items() if name != TIED}


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
