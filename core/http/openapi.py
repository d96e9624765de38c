"""The OpenAPI 3.1 document of a site, made from its endpoints and their models when somebody asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib import import_module
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from core.http.answer_models import ErrorAnswer
from core.http.endpoints import Endpoint
from core.http.standard import EVERY_SITE

VERSION = "3.1.0"
REFERENCE = "#/components/schemas/{model}"
Document = dict[str, Any]

ABOUT = (
    "Answers are JSON without NaN or Infinity; what is unknown is null. From status 400 on they have the shape "
    "`{error, message, details}`. A site that listens on loopback is open to programs of this machine; beyond it every "
    "request but `/health` shows the token."
)

ALWAYS = (HTTPStatus.FORBIDDEN,)
"""Errors of the guards in front of every endpoint."""
WITH_BODY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
WITH_TOKEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)


def build_document(
    endpoints: Iterable[Endpoint],
    *,
    title: str,
    version: str,
    security: dict[str, Any] | None = None,
) -> Document:
    """The document of `endpoints`; `security` holds the schemes, any of which will do."""
    listed = sorted(endpoints, key=lambda endpoint: (endpoint.tag == EVERY_SITE, endpoint.tag, endpoint.path))
    models = _Models(listed)
    paths: dict[str, Any] = {}
    for endpoint in listed:
        operation = _operation(endpoint, models, guarded=bool(security))
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    components: dict[str, Any] = {"schemas": models.schemas}
    document: Document = {
        "openapi": VERSION,
        "info": {"title": title, "description": ABOUT, "version": version},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in listed)],
        "paths": paths,
        "components": components,
    }
    if security:
        components["securitySchemes"] = security
        # The empty one stands for a caller on this machine, who needs none as long as the site listens on loopback.
        document["security"] = [{}, *({name: []} for name in security)]
    return document


class _WithoutTitles(GenerateJsonSchema):
    """Pydantic would give each field its own name as a title."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


class _Models:
    """JSON schemas of all models that the endpoints name, under `components`."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        wanted: dict[type[BaseModel], JsonSchemaMode] = {ErrorAnswer: "serialization"}
        for endpoint in endpoints:
            wanted |= dict.fromkeys(endpoint.inputs.values(), "validation")
            if endpoint.answer is not None:
                wanted[load_model(endpoint.answer)] = "serialization"
        found, shared = models_json_schema(
            list(wanted.items()), ref_template=REFERENCE, schema_generator=_WithoutTitles
        )
        self.schemas: dict[str, Any] = shared["$defs"]
        self._references = {model: reference for (model, _), reference in found.items()}
        # A path or a query becomes single parameters, so its model is none of the document's.
        singled = {endpoint.inputs[place] for endpoint in endpoints for place in endpoint.inputs if place != "body"}
        self.parameters = {model: self.schemas.pop(self._name(model)) for model in singled}

    def reference(self, model: type[BaseModel]) -> dict[str, Any]:
        return self._references[model]

    def _name(self, model: type[BaseModel]) -> str:
        return str(self._references[model]["$ref"]).rpartition("/")[2]


def load_model(place: str) -> type[BaseModel]:
    """The model at `package.module:Name`."""
    module, _, name = place.partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model


def _operation(endpoint: Endpoint, models: _Models, *, guarded: bool) -> dict[str, Any]:
    first, _, rest = endpoint.summary.partition(". ")
    operation: dict[str, Any] = {
        "tags": [endpoint.tag],
        "summary": first.rstrip("."),
        "operationId": "_".join([endpoint.method.lower(), *re.findall(r"\w+", endpoint.path)]),
        "responses": _responses(endpoint, models, guarded=guarded),
    }
    if rest:
        operation["description"] = rest
    if parameters := [*_parameters(endpoint, models, "path"), *_parameters(endpoint, models, "query")]:
        operation["parameters"] = parameters
    if body := endpoint.inputs.get("body"):
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": models.reference(body)}},
        }
    if endpoint.takes_upload:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    if endpoint.open:
        operation["security"] = []
    return operation


def _parameters(endpoint: Endpoint, models: _Models, place: str) -> list[dict[str, Any]]:
    model = endpoint.inputs.get(place)
    if model is None:
        return []
    whole = models.parameters[model]
    parameters = []
    for name, schema in whole["properties"].items():
        parameter = {"name": name, "in": place, "required": name in whole.get("required", []), "schema": _plain(schema)}
        parameters.append(parameter | ({"description": schema["description"]} if "description" in schema else {}))
    return parameters


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of one parameter. It may be left out but never be null: there is no null in a path or query."""
    inner = [part for part in schema.get("anyOf", []) if part != {"type": "null"}]
    merged = schema | inner[0] if len(inner) == 1 else schema
    default = {"default"} if schema.get("default", ...) is None else set()
    return {key: value for key, value in merged.items() if key not in {"anyOf", "description"} | default}


def _responses(endpoint: Endpoint, models: _Models, *, guarded: bool) -> dict[str, Any]:
    responses = {status: _answer(endpoint, models, status) for status in endpoint.statuses}
    schema = models.reference(ErrorAnswer)
    for status, kinds in failures(endpoint, guarded=guarded).items():
        text = " ".join(kinds.values())
        example = {"error": next(iter(kinds)), "message": next(iter(kinds.values())), "details": None}
        content = {"application/json": {"schema": schema, "example": example}}
        responses.setdefault(status, {"description": text, "content": content})
    return {str(status): responses[status] for status in sorted(responses)}


def _answer(endpoint: Endpoint, models: _Models, status: int) -> dict[str, Any]:
    description = HTTPStatus(status).phrase
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": description}
    if 300 <= status < 400:
        return {"description": description, "headers": {"Location": {"required": True, "schema": {"type": "string"}}}}
    schema: dict[str, Any] = {}
    if endpoint.answer is not None:
        schema = models.reference(load_model(endpoint.answer))
    elif endpoint.media.startswith("text/"):
        schema = {"type": "string"}
    return {"description": description, "content": {endpoint.media: {"schema": schema}}}


def failures(endpoint: Endpoint, *, guarded: bool) -> dict[int, dict[str, str]]:
    """What may go wrong at this endpoint: by status, a sentence for each code."""
    told: dict[int, dict[str, str]] = {}
    for kind in endpoint.errors:
        told.setdefault(kind.http_status, {})[kind.code] = (kind.__doc__ or kind.code).strip().splitlines()[0]
    statuses = [*ALWAYS, *(WITH_BODY if "body" in endpoint.inputs or endpoint.takes_upload else ())]
    if guarded and not endpoint.open:
        statuses += WITH_TOKEN
    for status in statuses:
        told.setdefault(status, {status.name.lower(): f"{status.phrase}."})
    return told
