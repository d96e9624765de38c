"""Where settings stand in a YAML text, and taking one out of it: the line becomes a comment, as it was shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from core.masking import HIDDEN, without_addresses


def lines_of_settings(text: str) -> dict[str, int]:
    """The line, from 1, of each setting by its dotted name; empty for a text that is no YAML."""
    return {name: key.start_mark.line + 1 for name, key, _ in _settings(text)}


def commented_out(text: str, name: str, default: str) -> str | None:
    """The text with the setting's line turned into the comment `#name: default`; None where it is written in a way
    that leaves no room for one, as within braces."""
    found = next(((key, value) for each, key, value in _settings(text) if each == name), None)
    if found is None:
        return text
    key, value = found
    lines = text.split("\n")
    first, last = key.start_mark.line, _last_line(lines, key, value)
    indent = lines[first][: key.start_mark.column]
    if indent.strip():
        return None
    rest = "" if _is_block(value) else lines[value.end_mark.line][value.end_mark.column :].strip()
    if rest and not rest.startswith("#"):
        return None
    last_part = name.rpartition(".")[2]
    comment = f"{indent}#{last_part}: {default}" + (f"  {rest}" if rest else "")
    # A comment for it may stand there still, of which there need not be two.
    is_there = any(re.fullmatch(rf"\s*#{re.escape(last_part)}:.*", line) for line in lines[max(0, first - 1) : first])
    lines[first : last + 1] = [] if is_there and not rest else [comment]
    return "\n".join(lines)


def without_secrets(text: str, secrets: set[str]) -> str:
    """The text with the values of `secrets`, and all addresses anywhere, hidden: for showing it to people."""
    lines = text.split("\n")
    for name, key, value in _settings(text):
        if name in secrets and value.end_mark.index > value.start_mark.index:
            first, last = value.start_mark.line, _last_line(lines, key, value)
            head = lines[key.start_mark.line][: key.end_mark.column]
            if first == last == key.start_mark.line:
                lines[first] = f"{head}: {HIDDEN}"
            else:
                lines[key.start_mark.line] = f"{head}:"
                lines[key.start_mark.line + 1 : last + 1] = [
                    f"{' ' * (key.start_mark.column + 2)}{HIDDEN}" for _ in range(key.start_mark.line + 1, last + 1)
                ]
    return without_addresses("\n".join(lines))


def _settings(text: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return
    yield from _below(root, "")


def _below(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            yield f"{prefix}{key.value}", key, value
            yield from _below(value, f"{prefix}{key.value}.")


def _is_block(value: yaml.Node) -> bool:
    return isinstance(value, yaml.CollectionNode) and not value.flow_style


def _last_line(lines: list[str], key: yaml.Node, value: yaml.Node) -> int:
    """The last line with something of the value; a block's end is told as the beginning of what follows it."""
    last: int = value.end_mark.line
    if _is_block(value):
        last = min(last, len(lines)) - (last < len(lines) - 1 or not lines[-1])
    last = min(last, len(lines) - 1)
    while last > key.start_mark.line and (not lines[last].strip() or lines[last].lstrip().startswith("#")):
        last -= 1
    return max(last, int(key.start_mark.line))
