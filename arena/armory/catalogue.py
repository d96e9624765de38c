"""What there is to set: every setting with its meaning, its kind, its limits and its default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from core.settings import Settings
from core.settings_reading import is_section, secret_settings

Kind = Literal["switch", "whole", "number", "text", "choice", "choices", "list", "weights"]
"""Controls of the page: `choices` are any number of some words, `list` are free texts, `weights` names with numbers."""

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)

LIMITS = {
    "minimum": "least",
    "maximum": "most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
    "maxItems": "most_items",
}


@dataclass(frozen=True)
class Form:
    """What a value may be."""

    kind: Kind
    nullable: bool = False
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Words that may stand in place of a number, such as `auto`."""
    limits: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One setting."""

    name: str
    help: str
    form: Form
    default: Any
    is_secret: bool


@dataclass(frozen=True)
class Chapter:
    """A section of the file; the settings outside of all sections come first, as the section ``."""

    name: str
    help: str
    items: tuple[Item, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """All sections, in the order of the file. Takes a moment the first time: to be called in a thread."""
    top = tuple(_items(Settings, ""))
    return (Chapter("", "", top), *_sections())


@cache
def items() -> dict[str, Item]:
    """All settings by their dotted names."""
    return {item.name: item for chapter in chapters() for item in chapter.items}


def plain(value: Any) -> Any:
    """A value as JSON and YAML have it."""
    return _ANYTHING.dump_python(value, mode="json")


def _sections() -> Iterator[Chapter]:
    for name, described in Settings.model_fields.items():
        kind = described.annotation
        if is_section(kind):
            yield Chapter(name, " ".join((kind.__doc__ or "").split()), tuple(_items(kind, f"{name}.")))


def _items(model: type[BaseModel], prefix: str) -> Iterator[Item]:
    # Loaded by whoever asks for it first.
    from core.setting_docs import docstrings

    told = docstrings(model)
    properties = model.model_json_schema()["properties"]
    for name, described in model.model_fields.items():
        if not is_section(described.annotation):
            path = f"{prefix}{name}"
            text = " ".join(told.get(name, "").split())
            yield Item(path, text, _form(properties[name]), plain(described.default), path in secret_settings())


def _form(schema: dict[str, Any]) -> Form:
    parts = schema.get("anyOf", [schema])
    nullable = any(part.get("type") == "null" for part in parts)
    words = tuple(str(part["const"]) for part in parts if "const" in part and len(parts) > 1)
    (main,) = (part for part in parts if part.get("type") != "null" and not ("const" in part and words))
    limits = {told: main[key] for key, told in LIMITS.items() if key in main}
    if choices := tuple(main.get("enum", ())):
        return Form("choice", nullable, choices)
    match main.get("type"):
        case "boolean":
            return Form("switch", nullable)
        case "integer":
            return Form("whole", nullable, words=words, limits=limits)
        case "number":
            return Form("number", nullable, words=words, limits=limits)
        case "array":
            words = tuple(main["items"].get("enum", ()))
            return Form("choices" if words else "list", nullable, words, limits=limits)
        case "object":
            return Form("weights", nullable)
        case _:
            return Form("text", nullable)
