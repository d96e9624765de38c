"""The crash points of the code, read from its source: what tests exercise and documents list is held against them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from core.paths import CHECKOUT

ROOMS = ("core", "arena", "guild", "vault", "watchtower", "tavern")


def crash_point_names() -> list[str]:
    """Every name given to `crash_point`, in no order; a star stands for its changing part: `battle.step.*`."""
    files = [CHECKOUT / "realm.py", *(file for room in ROOMS for file in (CHECKOUT / room).rglob("*.py"))]
    return [name for file in files for name in _names_in(file)]


def _names_in(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("crash_point"):
            yield _written(node.args[0])


def _written(name: ast.expr) -> str:
    if isinstance(name, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in name.values)
    assert isinstance(name, ast.Constant), f"a crash point's name must stand where it is: {ast.unparse(name)}"
    return str(name.value)
