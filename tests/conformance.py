"""Holds every answer of a site to the models of its endpoints, while a test asks it for whatever it is about."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import ValidationError

from core.http.answer_models import ErrorAnswer
from core.http.endpoints import Endpoint
from core.http.openapi import failures, load_model


def hold_to_models(app: web.Application) -> list[str]:
    """Watch `app`, which has not started yet; what is wrong with an answer is added to the list that is returned."""
    wrong: list[str] = []

    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        found = _fault(request, response)
        if found is not None:
            wrong.append(f"{request.method} {request.path_qs}: status {response.status}: {found}")
        return response

    app.middlewares.insert(0, watch)
    return wrong


def _fault(request: web.Request, response: web.StreamResponse) -> str | None:
    endpoint = getattr(request.match_info.handler, "__self__", None)
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return None
    if isinstance(endpoint, Endpoint) and response.status in endpoint.statuses:
        if response.status < 300 and response.content_type != endpoint.media:
            return f"{response.content_type} instead of {endpoint.media}"
        model = load_model(endpoint.answer) if endpoint.answer else None
    elif response.status < 400:
        return "no such status is told" if isinstance(endpoint, Endpoint) else None
    else:
        model = ErrorAnswer
        is_bug = response.status == HTTPStatus.INTERNAL_SERVER_ERROR
        if isinstance(endpoint, Endpoint) and not is_bug and response.status not in failures(endpoint, guarded=True):
            return "no such error is told"
    try:
        if model is not None and response.content_type == "application/json":
            model.model_validate_json(response.body, strict=True)
    except ValidationError as error:
        return str(error)
    return None
