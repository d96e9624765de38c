"""The card of the base model on the Vault page: what the hero began with, where it lies, and whether it can change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from arena.heroes import SEEDLING
from core.checkpoint_records import BYTES_PER_GB
from core.checkpoint_survey import folder_size
from core.paths import RealmPaths

Stamp = tuple[int, int]


class BaseModelCard:
    """Of one realm, whose base model stays what it is while it is up; called from threads."""

    def __init__(self, paths: RealmPaths, base_model: str, hero_title: str, has_trained: Callable[[], bool]) -> None:
        self._paths = paths
        self._base_model = base_model
        self._hero_title = hero_title
        self._has_trained = has_trained
        self._sized: tuple[Stamp, int] | None = None

    def __call__(self) -> dict[str, Any]:
        """See `vault.page_answers.BaseModel`."""
        folder = None if self._base_model == SEEDLING else Path(self._base_model)
        is_here = folder is not None and folder.is_dir()
        return {
            "name": folder.name if folder is not None else self._base_model,
            "display_name": f"{self._hero_title}: {folder.name if folder is not None else self._base_model}",
            "path": str(folder) if is_here else None,
            "size_gb": self._bytes(folder) / BYTES_PER_GB if folder is not None and is_here else None,
            "locked": self._has_trained(),
        }

    def _bytes(self, folder: Path) -> int:
        """Walked through once: it is read by everybody and written by nobody (F20)."""
        status = folder.stat()
        stamp = (status.st_ino, status.st_mtime_ns)
        if self._sized is None or self._sized[0] != stamp:
            self._sized = (stamp, folder_size(folder))
        return self._sized[1]
