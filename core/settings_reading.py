"""Reads the settings: `configs/realm.yaml` and `REALM_*` environment, merged once into one frozen object.

Environment names follow the path with double underscores: `REALM_HYPERPARAMS__LEARNING_RATE=0.001`; the
environment wins over the file. Unknown keys are errors with a suggestion, and all errors are told at once.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from core.errors import InvalidInput, NotFound
from core.masking import without_addresses
from core.setting_types import Secret
from core.settings import Settings

RESERVED_ENVIRONMENT = {
    "REALM_BASE_DIR", "REALM_HOST", "REALM_LEDGER_URL", "REALM_TOKEN", "REALM_CRASH_AT", "REALM_CRASH_LIST",
    "REALM_TRAINER_SOCKET",
}  # fmt: skip
"""`REALM_*` names that are not settings."""

S = TypeVar("S", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # a list as key: the base class refuses it, naming the line
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                problem = f"the key {key!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, `{}` when it is empty; raises `InvalidInput` naming file and line."""
    try:
        loader = _UniqueKeyLoader(path.read_text(encoding="utf-8"))
        loader.name = str(path)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:  # the last: nested beyond all reason
        # It repeats a line of the file, which may hold a secret.
        told = without_addresses(str(error))
        raise InvalidInput(f"{path} is not valid YAML: {told}", hint="Correct it and start again.") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{path} must hold keys and values, not {type(value).__name__}.")
    return value


def load_settings(
    config_file: Path, env: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Merge file, environment and `overrides` (nested dicts, strongest); all errors in one message."""
    values, origins = merge_sources(config_file, env, overrides)
    return validate_section(Settings, values, source=str(config_file), origins=origins)


def merge_sources(
    config_file: Path, env: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values that `load_settings` checks, as they were written, and which of them come from where, for people.

    The second is by dotted name and leaves out what the file says.
    """
    merged = read_yaml(config_file) if config_file.exists() else {}
    sections = {name for name, field in Settings.model_fields.items() if is_section(field.annotation)}
    # `inbox:` with every line below it commented out is an empty section, which YAML reads as null.
    merged = {key: value for key, value in merged.items() if not (value is None and key in sections)}
    from_environment = _from_environment(env)
    _merge(merged, from_environment)
    _merge(merged, overrides or {})
    origins = {name: environment_variable(name) for name in _dotted(from_environment)}
    return merged, origins | dict.fromkeys(_dotted(overrides or {}), "The new value")


def validate_section(
    model: type[S], values: Mapping[str, Any], *, source: str, origins: Mapping[str, str] | None = None
) -> S:
    """Check `values` against `model`; raises `InvalidInput` that lists every error with its key.

    `origins` names by key where a value comes from that does not come from `source`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_describe(model, problem) for problem in error.errors()]
        places: dict[str, list[str]] = {}
        for problem, told in zip(error.errors(), problems, strict=True):
            path = ".".join(str(part) for part in problem["loc"])
            places.setdefault(_origin(path, source, origins or {}), []).append(told)
        blocks = ["\n  ".join([f"{place}:", *told]) for place, told in places.items()]
        raise InvalidInput("\n".join(blocks), errors=problems) from error


def _origin(path: str, source: str, origins: Mapping[str, str]) -> str:
    """Where the value at `path` comes from; a whole section, or a part of a value, is of what lies below or above."""
    if path in origins:
        return origins[path]
    found = [
        place for name, place in origins.items() if f"{name}.".startswith(f"{path}.") or path.startswith(f"{name}.")
    ]
    return " and ".join(found) or source


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def setting_names(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """Every setting as a dotted path, in the order of declaration."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if is_section(kind):
            yield from setting_names(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def check_setting_name(name: str, *, sections: bool = False) -> None:
    """Raise `NotFound` unless there is a setting (or, where allowed, a section) of that name."""
    known = list(setting_names())
    if sections:
        known += sorted({setting.rpartition(".")[0] for setting in known} - {""})
    if name not in known:
        # `epochs` is far from everything by spelling, but it is the last part of one name.
        ends = [setting for setting in known if setting.rpartition(".")[2] == name]
        close = ends or difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else "`realm config show` lists all of them."
        raise NotFound(f"There is no setting {name!r}.", hint=hint)


@cache
def secret_settings(model: type[BaseModel] = Settings, prefix: str = "") -> frozenset[str]:
    """The settings that are never shown, by dotted name."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        if is_section(field.annotation):
            found |= secret_settings(field.annotation, f"{prefix}{name}.")
        elif any(isinstance(mark, Secret) for mark in field.metadata):
            found.add(f"{prefix}{name}")
    return frozenset(found)


def environment_variable(name: str) -> str:
    """The variable that sets the setting of this dotted name, such as `REALM_SERVICES__HOST`."""
    return f"REALM_{name.upper().replace('.', '__')}"


def _describe(model: type[BaseModel], problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        # A rule about a whole section names the values itself, and a secret is not told.
        is_hidden = isinstance(problem["input"], Mapping) or path.startswith(tuple(secret_settings(model)))
        found = "" if is_hidden else f" (found {problem['input']!r})"
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}{found}"
    known = list(setting_names(model))
    sections = {name.rpartition(".")[0] for name in known} - {""}
    # `epochs` at the top is close to nothing by spelling, but it is the last part of one name.
    close = [name for name in known if name.rpartition(".")[2] == path.rpartition(".")[2]]
    close += difflib.get_close_matches(path, sorted(sections), n=1, cutoff=0.8)
    close += difflib.get_close_matches(path, known, n=1, cutoff=0.6)
    return f"{path}: there is no such setting." + (f" Did you mean {close[0]}?" if close else "")


def is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    """True for the annotation of a setting that holds settings itself."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """Values stay text, which the model turns into numbers; read as YAML, a prompt with a colon becomes a mapping."""
    nested: dict[str, Any] = {}
    for name, text in env.items():
        if not name.startswith("REALM_") or name in RESERVED_ENVIRONMENT:
            continue
        *parents, last = name.removeprefix("REALM_").lower().split("__")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                break
        if not isinstance(place, dict) or isinstance(place.get(last), dict):
            raise InvalidInput(f"{name} is set, and so is a variable that takes it for a value or for a section.")
        place[last] = None if text in ("", "null", "~") else text
    return nested


def _merge(base: dict[str, Any], stronger: Mapping[str, Any]) -> None:
    for key, value in stronger.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
