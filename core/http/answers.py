"""JSON in and out of a site: answers without NaN, errors of one shape, and bodies that mean one thing only."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from core.finite import finite

DEEPEST_JSON = 32
"""Levels of nesting in a body; what the realm is asked has three at most."""


def json_text(data: Any) -> str:
    """`data` as one line of JSON. NaN and Infinity become null: no browser can read them (F23)."""
    try:
        return json.dumps(data, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(finite(data), allow_nan=False, separators=(",", ":"))


def json_response(data: Any, *, status: int = 200) -> web.Response:
    """An answer with `data` as its JSON body; non-finite numbers arrive as null."""
    return web.Response(text=json_text(data), status=status, content_type="application/json")


def error_text(code: str, message: str, details: dict[str, Any] | None = None) -> str:
    """The body of every answer from 400 on; whatever JSON cannot hold stands in `details` as text."""
    told = {"error": code, "message": message, "details": finite(details)}
    return json.dumps(told, allow_nan=False, separators=(",", ":"), default=str)


def error_response(status: int, code: str, message: str, details: dict[str, Any] | None = None) -> web.Response:
    return web.Response(text=error_text(code, message, details), status=status, content_type="application/json")


def parse_json(data: bytes) -> Any:
    """Strict JSON: UTF-8 without BOM, no NaN, no key twice, no half surrogates, `DEEPEST_JSON` levels at most.

    Raises `ValueError` with the reason. Half surrogates that stand for the bytes of a file name that is not Unicode
    (U+DC80 to U+DCFF, PEP 383) pass: our own answers hold them.
    """
    try:
        text = data.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if "\\ud" in text.lower() and not _is_writable(value):
        raise ValueError("it holds half a surrogate pair")
    # Text may hold brackets too: only what looks too deep is walked through.
    if text.count("[") + text.count("{") > DEEPEST_JSON and _depth(value) > DEEPEST_JSON:
        raise ValueError("it is nested too deeply")
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [part for item in containers for part in (item.values() if isinstance(item, dict) else item)]
        depth += bool(containers)
    return depth


def _is_writable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # `{"action": "pause", "action": "stop"}`: each program would read its own one.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
