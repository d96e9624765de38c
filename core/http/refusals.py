"""The one shape of errors: whatever goes wrong with a request becomes `{"error", "message", "details"}`."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from pathlib import Path

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler

from core.errors import RealmError
from core.http.answers import error_response

logger = logging.getLogger(__name__)

MISSING_PAGE: web.AppKey[Path] = web.AppKey("missing_page")
"""What people see where there is nothing, at sites that have pages."""


class Malformed(RealmError):
    """The request breaks the rules of HTTP."""

    code = "bad_request"


@web.middleware
async def tell_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into `{"error", "message", "details"}` with the right status."""
    try:
        return await handler(request)
    except RealmError as error:
        if request.writer.output_size:
            raise ConnectionAbortedError("half an answer is out: a second one cannot follow it") from error
        return _refusal(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        if error.status == HTTPStatus.NOT_FOUND and MISSING_PAGE in request.app and is_by_people(request):
            return await _missing_page(request, error)
        return _told(request, error)
    except (web.RequestPayloadError, HttpProcessingError):
        return _refusal(Malformed("The body is not encoded as its headers say."))
    except ConnectionError:
        # The caller hung up in mid-request: there is nobody left to answer, aiohttp closes the connection.
        raise
    except Exception as error:  # any bug of a handler: the traceback belongs into the log, never into the answer
        logger.exception("%s %s failed", request.method, request.path, extra={"event": "http_handler_failed"})
        if request.writer.output_size:
            raise ConnectionAbortedError("half an answer is out: a second one cannot follow it") from error
        return error_response(500, "internal", "The realm failed to answer; its log says why.")


def is_by_people(request: web.Request) -> bool:
    """Whether a browser asks for what it will show as a page."""
    return request.method in ("GET", "HEAD") and "text/html" in request.headers.get("Accept", "")


async def _missing_page(request: web.Request, error: web.HTTPException) -> web.Response:
    try:
        body = await asyncio.to_thread(request.app[MISSING_PAGE].read_bytes)
    except OSError:  # such as in the midst of an upgrade
        return _told(request, error)
    # No answer of a file: by its tag and date, what is not there would be "not modified", or 206 of it.
    headers = {"Vary": "Accept"}
    return web.Response(body=body, status=error.status, content_type="text/html", charset="utf-8", headers=headers)


def _refusal(error: RealmError) -> web.Response:
    body = error.to_json()
    response = error_response(error.http_status, body["error"], body["message"], body["details"])
    response.headers.update(refusal_headers(error))
    if error.http_status == HTTPStatus.REQUEST_TIMEOUT:
        # The rest of a late body may still come: it must not be taken for the next request.
        response.force_close()
    return response


def refusal_headers(error: RealmError) -> dict[str, str]:
    """What an answer that tells `error` has to say in its headers."""
    headers = {"WWW-Authenticate": "Bearer"} if error.http_status == HTTPStatus.UNAUTHORIZED else {}
    if seconds := error.details.get("retry_after_seconds"):
        headers["Retry-After"] = str(seconds)
    if error.http_status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        headers["Content-Range"] = f"bytes */{error.details['size_bytes']}"
    return headers


def _told(request: web.Request, error: web.HTTPException) -> web.Response:
    status = HTTPStatus(error.status)
    messages = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.path}.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at {request.path}.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: f"This site takes bodies of at most {request.client_max_size:,} bytes.",
    }
    response = error_response(error.status, status.name.lower(), messages.get(status, f"{status.phrase}."))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
