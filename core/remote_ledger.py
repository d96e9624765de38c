"""Reads the trainer's checkpoint ledger from another host, through `/api/ledger` (spec 1.8)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from core.checkpoint_records import CheckpointRecord
from core.errors import InvalidInput, NotFound, RealmError, Unavailable
from core.http.tokens import bearer, client_token

if TYPE_CHECKING:
    import httpx

PAGE = 500


class RemoteLedgerClient:
    """The reading half of `CheckpointLedger` over HTTP; raises `Unavailable` when the host does not answer.

    `base_url` is that of the ledger, as in `http://192.168.1.10:8767/api/ledger`; `timeout` in seconds. The token
    for a ledger beyond loopback is taken from `REALM_TOKEN`, else from `~/.config/realm/token`. `transport` replaces
    the network in tests.
    """

    def __init__(self, base_url: str, timeout: float = 10, transport: httpx.BaseTransport | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._transport = transport
        self._http: httpx.Client | None = None

    def get(self, step: int) -> CheckpointRecord | None:
        """The record of exactly this step; None when the ledger has none."""
        return self._record(f"/{step}")

    def find(self, reference: str) -> CheckpointRecord | None:
        """The record meant by a step, `checkpoint_{step}`, a directory name, `latest` or `best`."""
        # Only these can be names; anything else in a URL leads to another route.
        if not reference.replace("-", "").replace("_", "").isalnum():
            return None
        return self.get_best() if reference == "best" else self._record(f"/{reference}")

    def get_latest(self) -> CheckpointRecord | None:
        """The record with the greatest step."""
        return next(iter(self.list_all(limit=1)), None)

    def get_best(self, metric: str = "train_loss", lower_is_better: bool = True) -> CheckpointRecord | None:
        """The record with the best finite `metric`; None when no checkpoint has one (G3)."""
        return self._record("/best", metric=metric, lower="true" if lower_is_better else "false")

    def list_all(self, limit: int | None = None) -> list[CheckpointRecord]:
        """All records newest first, fetched page by page."""
        return self._list(limit)

    def list_by_skill(self, skill_name: str, limit: int | None = None) -> list[CheckpointRecord]:
        """Like `list_all`, only those saved while this skill was trained."""
        return self._list(limit, skill=skill_name)

    def get_summary(self) -> dict[str, Any]:
        """Count, range of steps, best and worst training loss, size in GB, and the skills trained."""
        return self._fetch("/summary")

    def is_available(self) -> bool:
        """True when the ledger answers."""
        try:
            self.get_summary()
        except RealmError:
            return False
        return True

    def _list(self, limit: int | None, **query: str) -> list[CheckpointRecord]:
        records: list[CheckpointRecord] = []
        offset = 0
        while limit is None or len(records) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(records))
            rows = self._fetch("", limit=str(size), offset=str(offset), **query).get("checkpoints")
            if not isinstance(rows, list):
                raise self._strange("its list holds no checkpoints")
            records += [record for row in rows if (record := CheckpointRecord.from_json(row)) is not None]
            offset += len(rows)
            if len(rows) < size:
                break
        return records

    def _record(self, path: str, **query: str) -> CheckpointRecord | None:
        try:
            return CheckpointRecord.from_json(self._fetch(path, **query))
        except NotFound:
            # An address that is no ledger answers 404 to everything; a ledger always has a summary.
            self.get_summary()
            return None

    def _fetch(self, path: str, **query: str) -> dict[str, Any]:
        import httpx

        try:
            answer = self._client().get(self.base_url + path, params=query, headers=bearer(client_token()))
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{self.base_url} is no address of a ledger: {error}") from error
        except httpx.RequestError as error:
            raise Unavailable(
                f"The ledger at {self.base_url} does not answer: {error or type(error).__name__}.",
                hint="Is the realm up on that host?",
            ) from error
        return self._body(answer, may_miss=path not in ("", "/summary"))

    def _client(self) -> httpx.Client:
        import httpx

        if self._http is None:
            # No idle connections, so nobody has to close this object. The host is one of the home network: a proxy
            # named in the environment is not the way to it.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._http = httpx.Client(timeout=self._timeout, transport=self._transport, limits=limits, trust_env=False)
        return self._http

    def _body(self, answer: httpx.Response, *, may_miss: bool) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = None
        message = body.get("message") if isinstance(body, dict) else None
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise Unavailable(
                f"The ledger at {self.base_url} wants a token.",
                hint="Set REALM_TOKEN to that of the trainer's realm, or write it to ~/.config/realm/token.",
            )
        if answer.status_code in (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS) and message:
            # A Host that is not served, or too many wrong tokens: the realm there says what to do.
            raise Unavailable(f"The ledger at {self.base_url} refuses: {message}")
        if answer.status_code == NotFound.http_status and message and may_miss:
            raise NotFound(message)
        if answer.status_code == InvalidInput.http_status and message:
            raise InvalidInput(message)
        if answer.status_code != 200 or not isinstance(body, dict):
            raise self._strange(message or f"HTTP {answer.status_code}")
        return body

    def _strange(self, what: str) -> Unavailable:
        return Unavailable(
            f"{self.base_url} does not answer like a ledger: {what}.",
            hint="The address looks like http://TRAINER:8767/api/ledger.",
        )
