"""The skill files as they were read last: a file is read again when it has changed, and not for each question."""

from __future__ import annotations

import threading
from pathlib import Path

from core.errors import InvalidInput, NotFound
from core.paths import RealmPaths
from guild.dojo.sources import canonical_skill_id
from guild.skills.registry import SkillRegistry, load_skill_config
from guild.skills.types import SkillConfig

Stamp = tuple[int, int, int]


class SkillShelf:
    """Asked from several threads."""

    def __init__(self, paths: RealmPaths) -> None:
        self._registry = SkillRegistry(paths)
        self._read: dict[Path, tuple[Stamp, SkillConfig | str]] = {}
        """What each file holds, or what is wrong with it."""
        self._lock = threading.Lock()

    def get(self, name: str) -> SkillConfig:
        """The skill of that id or alias; raises `NotFound`, or `InvalidInput` for a broken file."""
        file = self._registry.files().get(canonical_skill_id(name))
        found = self._look(file) if file is not None else None
        return found if isinstance(found, SkillConfig) else self._registry.get(name)

    def survey(self) -> tuple[dict[str, SkillConfig], dict[Path, str]]:
        """The skills by id, and what is wrong with each broken file."""
        looked = {file: self._look(file) for file in self._registry.files().values()}
        skills = {each.id: each for each in looked.values() if isinstance(each, SkillConfig)}
        return skills, {file: each for file, each in looked.items() if isinstance(each, str)}

    def _look(self, file: Path) -> SkillConfig | str:
        try:
            status = file.stat()
        except OSError as error:
            return f"it cannot be read: {error.strerror}"
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._read.get(file)
            if known is None or known[0] != stamp:
                known = self._read[file] = (stamp, _read(file))
            return known[1]


def _read(file: Path) -> SkillConfig | str:
    try:
        return load_skill_config(file)
    except (InvalidInput, NotFound) as error:
        return str(error)
