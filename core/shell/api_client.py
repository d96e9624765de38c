"""Asks the living realm over its API on behalf of a verb; for verbs that change what the realm holds the lock of."""

from __future__ import annotations

from typing import Any

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.http.tokens import bearer, client_token
from core.paths import RealmPaths
from core.services import service_url

TIMEOUT_SECONDS = 30.0


def ask_realm(
    paths: RealmPaths, path: str, body: dict[str, Any], *, timeout_seconds: float = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """POST `body` to `path` of the vault's site; the JSON object that it answers with.

    An error of the realm is raised as the same class, and `Unavailable` when it lives but does not answer.
    """
    url = service_url(paths, "vault")
    if url is None:
        raise Unavailable("The realm runs but does not serve its API.", hint="Try again in a moment.")
    return _ask(f"{url}{path}", body, bearer(client_token(paths.token_file)), timeout_seconds)


def _ask(url: str, body: dict[str, Any], headers: dict[str, str], timeout_seconds: float) -> dict[str, Any]:
    # Loaded on use: httpx takes a tenth of a second that no other verb should pay.
    import httpx

    try:
        # A proxy named in the environment is not the way to this machine, and none of the token's business.
        answer = httpx.post(url, json=body, headers=headers, timeout=timeout_seconds, trust_env=False)
        told = answer.json()
    except httpx.HTTPError as error:
        raise Unavailable(f"The realm at {url} does not answer: {error}.", hint="Try again in a moment.") from error
    except ValueError as error:
        raise Unavailable(f"{url} answered with status {answer.status_code} and no JSON.") from error
    if answer.is_success and isinstance(told, dict):
        return told
    raise error_from(told if isinstance(told, dict) else {}, answer.status_code)


def error_from(told: dict[str, Any], status: int) -> RealmError:
    """The error that an answer tells, as its class."""
    kinds = {kind.code: kind for kind in (InvalidInput, NotFound, Conflict, Unavailable)}
    kind = kinds.get(str(told.get("error")), Unavailable if status >= 500 else RealmError)
    details = told.get("details")
    message = str(told.get("message") or f"The realm answered with status {status}.")
    return kind(message, **(details if isinstance(details, dict) else {}))
