"""What comes in with a request: paths, queries and JSON bodies, checked by models, refused with sentences.

Every error of a request is told at once, each with the key it is about; a key that is unknown here, given twice, or
close to a known one says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.errors import InvalidInput, NotFound
from core.http.answers import parse_json

LONGEST_VALUE = 80
"""Characters of a refused value that are repeated in the answer."""
TOLD_ERRORS = 5

I = TypeVar("I", bound="Inputs")  # noqa: E741 – the model asked for; spelled out by its bound


class Inputs(BaseModel):
    """Base of all models of a path, a query or a body. Numbers in a body must be numbers, not text that looks so.

    What a field means stands in `Field(description=…)`: these models are made at every start, and docstrings below
    attributes would have to be read from the source each time.
    """

    # Deferred: what makes a model check is built when the first request comes, not before the first page.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


def _whole(text: Any) -> Any:
    # Eighteen ASCII digits at most: int() also takes blanks, underscores, other scripts, and time for a long one.
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    return text


def _count(number: Any) -> Any:
    # To JSON, 1.0 is a whole number.
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _truth(text: Any) -> Any:
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


FROM_TEXT = BeforeValidator(_whole)
FROM_NUMBER = BeforeValidator(_count)
"""What makes a whole number with limits: `Annotated[int, Field(ge=1), FROM_TEXT]` in a query, with the other in a body.
The limits stand there, and first: elsewhere they are in no schema."""

Whole = Annotated[int, FROM_TEXT]
"""A whole number from 0 on in a path or query."""

Rate = Annotated[int, Field(ge=1, le=1 << 50), FROM_NUMBER]
"""Bytes a second in a body."""

Truth = Annotated[bool, BeforeValidator(_truth)]
"""`true` or `false` in a query."""


def read_path(request: web.Request, model: type[I]) -> I:
    """The parts of the path; raises `NotFound`, as nothing lies at a path that is not valid."""
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError as error:
        raise NotFound(_sentences(model, error, "path")[0]) from error


def read_query(request: web.Request, model: type[I]) -> I:
    """The query as `model`; raises `InvalidInput` naming every key that is wrong, unknown or there twice."""
    names = [name for name, _ in request.query.items()]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidInput(f"The query has {_listed(twice)} more than once.")
    return _checked(model, dict(request.query), "query")


async def read_body(request: web.Request, model: type[I]) -> I:
    """The JSON object in the body as `model`; raises `InvalidInput` naming every key that is wrong or unknown."""
    known = f"It may have: {_listed(sorted(model.model_fields))}."
    try:
        body = parse_json(await request.read())
    except ValueError as error:
        raise InvalidInput("The body is not valid JSON.", hint=f"Send an object. {known}", why=str(error)) from error
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.", hint=known)
    return _checked(model, body, "body")


def _checked(model: type[I], values: dict[str, Any], place: str) -> I:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        sentences = _sentences(model, error, place)
        raise InvalidInput(" ".join(sentences[:TOLD_ERRORS]), errors=sentences) from error


def _sentences(model: type[BaseModel], error: ValidationError, place: str) -> list[str]:
    return [_sentence(model, problem, place) for problem in error.errors(include_url=False)]


def _sentence(model: type[BaseModel], problem: Any, place: str) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    known, found = sorted(model.model_fields), problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            return f"{_short(name)} is unknown in this {place}.{_meant(name, known, f'It may have: {_listed(known)}.')}"
        case "missing":
            return f"{name} is missing in the {place}."
        case "literal_error":
            allowed = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{name} must be {_listed(allowed)}, not {_short(found)}.{_meant(found, allowed)}"
        case "bool_type":
            return f"{name} must be true or false, not {_short(found)}."
        case "int_type":
            return f"{name} must be a whole number, not {_short(found)}."
        case "value_error":
            return f"{name} {problem['ctx']['error']}."
        case _:
            must = problem["msg"].removeprefix("Input should ").removeprefix("String should ")
            return f"{name} should {must}, not {_short(found)}."


def _meant(found: Any, known: Sequence[str], otherwise: str = "") -> str:
    close = difflib.get_close_matches(found[:LONGEST_VALUE], known, n=1) if isinstance(found, str) else []
    text = f"Did you mean {close[0]}?" if close else otherwise
    return f" {text}" if text else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
