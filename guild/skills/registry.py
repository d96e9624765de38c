"""Which skills there are: `configs/skills/{id}.yaml`, those of the base directory over the shipped ones of the same id.

A broken file is told of and hides no other. Templates, whose names begin with `_`, are no skills.
"""

from __future__ import annotations

import difflib
import logging
import re
from pathlib import Path

from core.errors import InvalidInput, NotFound
from core.paths import CHECKOUT, RealmPaths
from core.settings_reading import read_yaml, validate_section
from guild.dojo.sources import ALIASES, canonical_skill_id, source_of
from guild.skills.types import SkillConfig

logger = logging.getLogger(__name__)

SKILL_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class SkillRegistry:
    """The skills of one base directory; files are read each time that they are asked for."""

    def __init__(self, paths: RealmPaths) -> None:
        self._folders = (CHECKOUT / "configs" / "skills", paths.configs / "skills")

    def files(self) -> dict[str, Path]:
        """The file of each skill by the id that its name tells, valid or not."""
        found: dict[str, Path] = {}
        for folder in self._folders:
            for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
                if not file.name.startswith("_"):
                    # A name that is no id stays, so that it is told of.
                    found[file.stem if file.suffix == ".yaml" else file.name] = file
        return dict(sorted(found.items()))

    def get(self, name: str) -> SkillConfig:
        """The skill of that id or alias; raises `NotFound`, or `InvalidInput` for a broken file."""
        files, skill_id = self.files(), canonical_skill_id(name)
        if skill_id not in files:
            close = difflib.get_close_matches(skill_id, [*files, *ALIASES], n=1)
            known = ", ".join(files) or "none"
            raise NotFound(
                f"There is no skill {name!r}.",
                hint=f"Did you mean {close[0]}?" if close else f"The skills are {known}.",
            )
        return load_skill_config(files[skill_id])

    def survey(self) -> tuple[dict[str, SkillConfig], dict[Path, str]]:
        """The skills by id, and what is wrong with each broken file."""
        skills: dict[str, SkillConfig] = {}
        broken: dict[Path, str] = {}
        for file in self.files().values():
            try:
                skill = load_skill_config(file)
            except InvalidInput as error:
                broken[file] = str(error)
            else:
                skills[skill.id] = skill
        return skills, broken

    def ids(self) -> list[str]:
        """The ids of all sound skills, sorted; each broken file is logged."""
        skills, broken = self.survey()
        for file, problem in broken.items():
            logger.warning("%s is no skill: %s", file, problem, extra={"event": "skill_broken", "path": str(file)})
        return sorted(skills)


def load_skill_config(file: Path) -> SkillConfig:
    """Read one skill file; raises `InvalidInput` that names the file and each wrong field."""
    _check_name(file)
    values = read_yaml(file)
    if values.setdefault("id", file.stem) != file.stem:
        raise InvalidInput(f"{file}: id is {values['id']!r}, but the file's name says {file.stem!r}.")
    skill = validate_section(SkillConfig, values, source=str(file))
    if skill.source == "builtin":
        try:
            source = source_of(skill.id)
        except InvalidInput as error:
            raise InvalidInput(f"{file}:\n  source: {error}") from error
        if skill.max_level > source.max_level:
            raise InvalidInput(f"{file}:\n  max_level: what is built in has {source.max_level} levels.")
    return skill


def _check_name(file: Path) -> None:
    if file.suffix != ".yaml":
        raise InvalidInput(f"{file} is not read as a skill: its name must end in .yaml.", hint="Rename it.")
    if not SKILL_ID.fullmatch(file.stem):
        raise InvalidInput(
            f"{file}: {file.stem!r} is no skill id.",
            hint="Ids have 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit. Rename the file.",
        )
    if file.stem in ALIASES:
        raise InvalidInput(
            f"{file}: {file.stem} is another name of skill {ALIASES[file.stem]}, under which nobody finds this file.",
            hint=f"Rename it, to {ALIASES[file.stem]}.yaml if that is what it is to replace.",
        )
