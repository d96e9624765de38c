"""Compiling chat templates: a sandboxed jinja2 that behaves like the one inside transformers, without its weight.

Templates come from the hub with the model and are foreign code. The environment follows
`transformers.utils.chat_template_utils` (5.23): trimmed blocks, `break` and `continue`, `raise_exception`,
`tojson` that keeps non-ASCII text, `strftime_now`, and a `{% generation %}` block that renders its body.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


def local_now() -> datetime:
    """The present time in the local zone, which is what `strftime_now` shows by default."""
    return datetime.now(UTC).astimezone()


def compile_template(source: str, clock: Callable[[], datetime] = local_now) -> jinja2.Template:
    """Compile a chat template; raises `jinja2.TemplateSyntaxError`. `clock` is the time that the template may print."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlock, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda form: clock().strftime(form)
    environment.globals["dict"] = _TemplateDict()
    environment.globals["namespace"] = _TemplateNamespace
    return environment.from_string(source)


class _GenerationBlock(Extension):
    """`{% generation %}…{% endgeneration %}`, by which templates mark answers: rendered like any other text."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as a plain set

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        # A scope, as in transformers, where the block is a call: `set` inside it does not leak out.
        return nodes.Scope(body).set_lineno(line)


class _TemplateDict:
    """`dict(…)` without the attributes of the real class, which lead out of the sandbox."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _TemplateNamespace(Namespace):
    """`namespace(…)` that refuses names with a leading underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        # As in jinja2: without a named first parameter, a template may pass an attribute called `self`.
        instance, rest = args[0], args[1:]
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(instance, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"chat templates cannot store an attribute named {name!r}")


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
