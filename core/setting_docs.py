"""What each setting means, from the docstring below its field: for documents and `realm config schema`, on demand.

Pydantic would read them from the source of every section at every start (`use_attribute_docstrings`).
"""

from __future__ import annotations

import ast
import inspect
import sys
import threading
from itertools import pairwise

from pydantic import BaseModel

from core.settings_reading import is_section

# CPython 3.11 counts the depth of all threads' trees together: where two parse at once, either may raise SystemError.
_parsing = threading.Lock()


def describe(model: type[BaseModel]) -> None:
    """Give each field of `model` and of the sections in it its `description`, in the JSON schema too."""
    told = docstrings(model)
    for name, field in model.model_fields.items():
        field.description = told.get(name)
        if is_section(field.annotation):
            describe(field.annotation)
    model.model_rebuild(force=True)


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """By the name of a field, the text right below it."""
    with _parsing:
        tree = ast.parse(inspect.getsource(sys.modules[model.__module__]))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == model.__name__)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(found.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
