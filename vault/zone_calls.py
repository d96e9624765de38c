"""Calls to the vaults and branch officers of other hosts: only to hosts of the registry, each within a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.hosts import HostRegistry
from core.http.tokens import bearer

if TYPE_CHECKING:
    import httpx

ANSWER_BYTES = 32 << 20


class ZoneCalls:
    """`token` is asked for with each call; it goes to hosts of the registry alone."""

    def __init__(self, token: Callable[[], str | None], timeout_seconds: float) -> None:
        self._token = token
        self._timeout = timeout_seconds

    def get(
        self, registry: HostRegistry, root: str, path: str, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object at `root + path`; raises what an error says, and `Unavailable` when there is no answer."""
        return self._ask(registry, "GET", root, path, params=dict(query or {}))

    def post(self, registry: HostRegistry, root: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The same of a POST."""
        return self._ask(registry, "POST", root, path, json=dict(body))

    def _ask(self, registry: HostRegistry, method: str, root: str, path: str, **sent: Any) -> dict[str, Any]:
        # Loaded on use: it takes a tenth of a second.
        import httpx

        if not registry.is_known_url(root):
            raise InvalidInput(f"{root} is no service of a host in {registry.source}.")
        try:
            # A proxy named in the environment is not the way to a host at home, and none of the token's business.
            answer = httpx.request(method, root + path, headers=bearer(self._token()), timeout=self._timeout,
                                   trust_env=False, follow_redirects=False, **sent)  # fmt: skip
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            said = str(error) or type(error).__name__
            raise Unavailable(
                f"{root} does not answer: {said}.", hint="Is the realm, or its officer, up there?"
            ) from error
        return _body(root, answer)


def _body(root: str, answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json() if len(answer.content) <= ANSWER_BYTES else None
    except ValueError:
        told = None
    if answer.status_code == HTTPStatus.OK and isinstance(told, dict):
        return told
    message = told.get("message") if isinstance(told, dict) else None
    if not isinstance(message, str):
        raise Conflict(f"{root} does not answer like a vault or a branch officer: HTTP {answer.status_code}.")
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        raise Conflict(
            f"{root} wants another token.",
            hint="Set REALM_TOKEN to that of its realm, or write it to ~/.config/realm/token.",
        )
    kinds = {kind.http_status: kind for kind in (InvalidInput, NotFound, Conflict, Unavailable)}
    kind: type[RealmError] = kinds.get(answer.status_code, RealmError)
    raise kind(f"{root}: {message[:1000]}")
