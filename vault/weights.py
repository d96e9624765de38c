"""The weight files of a model directory: which they are, what shapes they hold, and their fingerprint.

Only safetensors are weights here: a pickle runs code when it is read. Headers alone are looked at, so that a model
of many gigabytes costs milliseconds; a file cut short is noticed, as its header tells its size.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

from blake3 import blake3
from safetensors import SafetensorError, safe_open

from core.errors import InvalidInput
from core.files import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
"""A LoRA adapter in the format of peft, which is nothing without its base model."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

Shapes = dict[str, tuple[int, ...]]
"""Shape of each tensor by its name."""


def is_adapter(folder: Path) -> bool:
    """True when a directory holds a LoRA adapter and nothing of a model."""
    return (folder / ADAPTER).is_file() and not any((folder / name).exists() for name in (SINGLE, INDEX, CONFIG))


def check_no_adapter(folder: Path) -> None:
    """Raise `InvalidInput` for an adapter where a whole model is wanted."""
    if is_adapter(folder) or ((folder / ADAPTER_CONFIG).is_file() and not (folder / CONFIG).is_file()):
        raise InvalidInput(
            f"{folder} holds a LoRA adapter, which is no model without its base.",
            hint="Merge the two first: `realm export DIRECTORY` does so for a checkpoint of the hero in use.",
        )


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the model's or the adapter's tensors.

    Raises `InvalidInput` when they are missing, or are pickles.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if is_adapter(folder):
        return [folder / ADAPTER]
    index = read_json(folder / INDEX)
    if isinstance(index, dict) and isinstance(index.get("weight_map"), dict):
        names = sorted({str(name) for name in index["weight_map"].values()})
        if wrong := [name for name in names if "/" in name or not name.endswith(".safetensors")]:
            raise InvalidInput(f"{folder / INDEX} names {wrong[0]!r}, which is no weight file of this directory.")
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise InvalidInput(f"{folder} lacks {missing[0]}, which {INDEX} names.", hint="Copy the directory again.")
        return [folder / name for name in names]
    pickled = [path.name for path in _entries(folder) if path.suffix in PICKLES and "optimizer" not in path.name]
    if any(name.startswith(("pytorch_model", "model", "consolidated")) for name in pickled):
        raise InvalidInput(
            f"The weights in {folder} are pickled ({', '.join(sorted(pickled))}), and reading a pickle runs its code.",
            hint="Save the model again with save_pretrained, which writes safetensors.",
        )
    raise InvalidInput(f"{folder} holds no {SINGLE}.", hint="Give a directory in Hugging Face format.")


def weight_shapes(folder: Path) -> Shapes:
    """Shapes of all tensors, from the headers; raises `InvalidInput` naming a file that is torn."""
    shapes: Shapes = {}
    for file in weight_files(folder):
        try:
            with safe_open(file, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 - not a dict
                    shapes[name] = tuple(tensors.get_slice(name).get_shape())
        except (SafetensorError, OSError) as error:
            raise InvalidInput(f"{file} is torn or no safetensors file: {error}.", hint="Copy it again.") from error
    return shapes


def count_parameters(shapes: Shapes) -> int:
    """Numbers in all tensors together; a tied embedding is saved, and counted, once."""
    return sum(prod(shape) for shape in shapes.values())


def weights_digest(folder: Path) -> str:
    """The fingerprint of a model's weights that the journal begins with: BLAKE3 of its safetensors files, by name."""
    files = sorted(folder.glob("*.safetensors"))
    return "".join(blake3(max_threads=blake3.AUTO).update_mmap(str(file)).hexdigest() for file in files)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise InvalidInput(f"{folder} is not a directory that can be read: {error.strerror}.") from error
