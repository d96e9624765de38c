"""What a loader gets to see of a checkpoint: the files that its manifest names, and nothing else.

The loaders of Hugging Face choose by name: one `model.safetensors` beside shards, an `adapter_config.json` or an
`added_tokens.json` would be loaded although nobody has hashed it. Where such files lie in a checkpoint, it is read
through a directory of links to the listed ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vault.manifest import listed_files, unlisted_files

READING = ".reading"
"""Holds these links, below the directory of the checkpoints; made anew by each trainer that needs them."""


def readable_part(checkpoint: Path) -> tuple[Path, list[str]]:
    """The directory to load a whole checkpoint from, and the names of the files in it that are left out.

    That is the checkpoint itself when it holds nothing else. For the holder of the trainer's lock only. Raises
    `InvalidInput` when the manifest is damaged and `OSError` when the links cannot be made.
    """
    strays = unlisted_files(checkpoint)
    room = checkpoint.parent / READING
    if room.exists():
        shutil.rmtree(room)
    if not strays:
        return checkpoint, []
    reading = room / checkpoint.name
    for name in listed_files(checkpoint):
        link = reading / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((checkpoint / name).resolve())
    return reading, strays
