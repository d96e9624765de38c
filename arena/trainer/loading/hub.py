"""Fetching a model directory from the hub; needs no torch."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError

from core.errors import InvalidInput, Unavailable, first_line
from core.files import DISK, Files

logger = logging.getLogger(__name__)

WANTED_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
"""What is fetched from a hub repository; no pickles, no code."""


def fetch_model(repository: str, target: Path, *, files: Files = DISK) -> None:
    """Fetch a hub repository to `target`, whole or not at all; a broken-off download goes on where it stopped."""
    staging = target.with_name(f".{target.name}.part")
    logger.info("downloading %s", repository, extra={"event": "model_download", "repository": repository})
    try:
        snapshot_download(repository, local_dir=staging, allow_patterns=WANTED_FILES)
    except RepositoryNotFoundError as error:
        raise InvalidInput(
            f"The hub has no model {repository}, or it is shown only to those who are logged in.",
            hint="Check the name; for a gated model accept its terms and set HF_TOKEN.",
        ) from error
    except Exception as error:  # the hub client raises its own, httpx's and plain OS errors; none leaves a model
        raise Unavailable(
            f"The model {repository} is not on this machine and could not be downloaded: {first_line(error)}.",
            hint=f"Try again with a network, or put a model directory under {target.parent} "
            "and set model_name to its name.",
        ) from error
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own notes on the download
    for file in staging.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                files.fsync(handle.fileno())
    for parent, _, _ in os.walk(staging, topdown=False):
        files.fsync_dir(Path(parent))
    files.rename_dir(staging, target)
    files.fsync_dir(target.parent)
