"""The shipped `configs/realm.yaml` shows every setting with its help and its true default, and changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from core.paths import CHECKOUT
from core.setting_docs import describe
from core.settings import Settings
from core.settings_reading import load_settings, setting_names

SHIPPED = CHECKOUT / "configs" / "realm.yaml"
COMMENTED_SETTING = re.compile(r"^( *)#(?=\S)", re.MULTILINE)


describe(Settings)


def helps(model: type[BaseModel] = Settings) -> list[str]:
    texts = []
    for field in model.model_fields.values():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            texts += helps(kind)
        else:
            texts.append(field.description or "")
    return texts


def test_the_shipped_file_changes_no_default() -> None:
    assert load_settings(SHIPPED, env={}) == Settings()


def test_taking_every_comment_sign_away_sets_every_setting_to_its_default(tmp_path: Path) -> None:
    uncommented = tmp_path / "realm.yaml"
    uncommented.write_text(COMMENTED_SETTING.sub(r"\1", SHIPPED.read_text(encoding="utf-8")), encoding="utf-8")
    loaded = load_settings(uncommented, env={})
    assert loaded == Settings()
    assert set(_set_names(loaded)) == set(setting_names())


def test_every_help_text_stands_in_the_file() -> None:
    plain = " ".join(SHIPPED.read_text(encoding="utf-8").replace("#", " ").split())
    missing = [text for text in helps() if " ".join(text.split()) not in plain]
    assert not missing, "copy these from core/settings.py to configs/realm.yaml"


def _set_names(section: BaseModel, prefix: str = "") -> list[str]:
    names = []
    for name in section.model_fields_set:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            names += _set_names(value, f"{prefix}{name}.")
        else:
            names.append(f"{prefix}{name}")
    return names
