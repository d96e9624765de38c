"""Skill files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from core.paths import CHECKOUT, RealmPaths

TEMPLATE = CHECKOUT / "configs" / "skills" / "_template.yaml"


def write_skill(paths: RealmPaths, skill_id: str, **changes: Any) -> Path:
    """A skill of the user's own, as the template has it but for `changes`; None takes a key out."""
    values = {**yaml.safe_load(TEMPLATE.read_text(encoding="utf-8")), "id": skill_id, **changes}
    folder = paths.configs / "skills"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{skill_id}.yaml"
    kept = {key: value for key, value in values.items() if value is not None}
    file.write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")
    return file
