"""What `/config` and its like send, as models; secrets are never among it."""

from __future__ import annotations

from typing import Any, Literal

from core.http.answer_models import Answer

EffectName = Literal["now", "next_claim", "trainer_start", "realm_start", "never"]


class SettingSource(Answer):
    """Where a value comes from."""

    kind: Literal["default", "hero", "file", "environment", "option"]
    """`hero`: it is null, and the hero's own value counts; `option`: the command line of the realm."""
    line: int | None
    """In the settings file."""
    variable: str | None
    """Of the environment."""


class SettingShown(Answer):
    """One setting."""

    name: str
    """Its dotted name."""
    help: str
    kind: Literal["switch", "whole", "number", "text", "choice", "choices", "list", "weights"]
    nullable: bool
    choices: list[str]
    """Of `choice` and `choices`."""
    words: list[str]
    """May stand in place of a number, such as `auto`."""
    limits: dict[str, float]
    """Any of `least`, `most`, `above`, `below`, `most_items`."""
    suggestions: list[str]
    """Texts that are known to be possible."""
    default: Any
    value: Any
    """What counts at the next start; of a secret a list of `{keep, shown}`."""
    of_hero: Any
    """What the hero says where the setting is null."""
    source: SettingSource
    in_force: Any
    """What the running realm goes by; null for a secret."""
    pending: bool
    """Whether the running realm goes by another value still."""
    takes_effect: EffectName
    secret: bool
    locked: str | None
    """Why it must stay as it is, as the hero has trained with it."""
    fixed: str | None
    """Why it cannot be changed here: it is locked, or comes from elsewhere than the file."""


class SettingsSection(Answer):
    """Settings that belong together; those outside of all sections have the name ``."""

    name: str
    help: str
    settings: list[SettingShown]


class SettingFinding(Answer):
    """Something that is to be known about settings."""

    field: str | None
    """The setting that it is about."""
    message: str
    severity: Literal["error", "warning"]


class Config(Answer):
    """All settings, and where they come from."""

    file: str
    exists: bool
    etag: str
    """Names the present text of the file; a change is refused when it is another one."""
    valid: bool
    problems: list[SettingFinding]
    effects: dict[str, str]
    """What `takes_effect` may be, in words."""
    sections: list[SettingsSection]


class SettingChange(Answer):
    """A setting that becomes another; before and after are null for a secret."""

    name: str
    before: Any
    after: Any
    secret: bool
    takes_effect: EffectName
    when: str
    """When it takes effect, in words."""


class ConfigCheck(Answer):
    """What a change would do; nothing is written."""

    etag: str
    valid: bool
    findings: list[SettingFinding]
    diff: list[str]
    """Lines of the file that differ; secrets are hidden."""
    changes: list[SettingChange]


class ConfigSaved(Answer):
    """A change that is in the file."""

    etag: str
    version: int | None
    """Its number in the history; null when nothing had to be written."""
    changes: list[SettingChange]


class ConfigVersion(Answer):
    """A change of the file by program, which can be taken back."""

    number: int
    at: str
    by: str
    names: list[str]


class ConfigKept(Answer):
    """Settings that somebody has kept as their default."""

    at: str
    by: str


class ConfigHistory(Answer):
    """The newest first."""

    versions: list[ConfigVersion]
    default: ConfigKept | None


class WayBack(Answer):
    """What going back to a text of the file that was kept would do; nothing is written."""

    etag: str
    valid: bool
    findings: list[SettingFinding]
    diff: list[str]
    changes: list[SettingChange]


class ConfigPast(WayBack, ConfigVersion):
    """A change, and what going back to before it would do."""


class ConfigDefault(WayBack, ConfigKept):
    """What was kept as the default, and what going back to it would do."""


class StepMemory(Answer):
    """Bytes at the peak of a step."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    total: int
    tokens: int
    """Of the largest micro-batch."""
    gradient_checkpointing: bool


class ConfigEstimate(Answer):
    """What training takes, before and after a change; null where the model is not on this machine yet."""

    now: StepMemory | None
    then: StepMemory | None
    parameters: int | None
    fits: bool | None
    """null where nobody knows how much memory there is, as on a GPU."""
    room_bytes: int | None
    """Free memory of this machine, and what the trainer holds already."""
    held_bytes: int | None
    device: str | None
