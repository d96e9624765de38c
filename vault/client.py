"""Asks a VaultKeeper on another host, and brings assets from it to the disk of whoever asks (seed 003).

Needs neither torch nor a realm of its own: an inference host or a NAS uses it with nothing but an address and a token.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from core.errors import InvalidInput, NotFound, RealmError, Unavailable, first_line
from core.http.tokens import bearer, client_token
from core.paths import RealmPaths, resolve_base_dir
from core.shell.api_client import error_from
from vault.assets import LOCAL, Asset, AssetType, Fetched, Location, Lookup, Transfer

if TYPE_CHECKING:
    import httpx

    from vault.transfer.pull import OnProgress, PullOptions

PAGE = 500
LONG_SECONDS = 3600.0
"""For the vault to answer where it reads or carries gigabytes first."""


class VaultKeeperClient:
    """The vault at an address such as `192.168.1.10:8767`; raises `Unavailable` when it does not answer.

    `timeout` in seconds. The token for a vault beyond loopback is `token`, else `REALM_TOKEN`, else that in
    `~/.config/realm/token`. `transport` replaces the network in tests.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:8767",
        timeout: float = 10.0,
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = (address if "://" in address else f"http://{address}").rstrip("/").removesuffix("/api")
        self._timeout = timeout
        self._token = token
        self._transport = transport
        self._http: httpx.Client | None = None

    # --- finding ------------------------------------------------------------------------------------------

    def is_healthy(self) -> bool:
        """True when the vault answers that it is well."""
        try:
            return self._get("/health").get("status") == "healthy"
        except RealmError:
            return False

    def get_stats(self) -> dict[str, Any]:
        """The catalog in numbers."""
        return self._get("/api/stats")

    def get_strongholds(self) -> list[dict[str, Any]]:
        """The places in which assets lie."""
        with self._understanding():
            return list(self._get("/api/strongholds")["strongholds"])

    def locate(self, asset_id: str) -> Lookup:
        """Where an asset lies, best place first."""
        told = self._get(f"/api/locate/{_part(asset_id)}")
        with self._understanding():
            best = told["best_location"]
            return Lookup(
                told["asset_id"], told["found"], tuple(Location.from_json(each) for each in told["locations"]),
                None if best is None else Location.from_json(best), told["error"],
            )  # fmt: skip

    def get_asset(self, asset_id: str) -> Asset | None:
        """Everything that is known of an asset; None where there is none."""
        try:
            told = self._get(f"/api/asset/{_part(asset_id)}")
        except NotFound:
            return None
        with self._understanding():
            return Asset.from_json(told)

    def search(
        self,
        asset_type: AssetType | str | None = None,
        name: str | None = None,
        stronghold: str | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> list[Asset]:
        """Assets that fit all that is given, fetched page by page; all of them without a `limit`."""
        wanted = {"type": asset_type, "name": name, "stronghold": stronghold, "status": status}
        return self._pages("/api/search", "assets", limit, {key: value for key, value in wanted.items() if value})

    def list_checkpoints(self, limit: int | None = None) -> list[Asset]:
        """Checkpoints, newest first."""
        return self._pages("/api/checkpoints", "checkpoints", limit, {})

    def list_by_type(self, asset_type: AssetType | str) -> list[Asset]:
        """All assets of one type."""
        return self.search(asset_type)

    def list_in_stronghold(self, stronghold: str) -> list[Asset]:
        """All assets with a copy in a stronghold."""
        return self.search(stronghold=stronghold)

    def find_checkpoint(self, step: int) -> Asset | None:
        """The checkpoint of exactly this step."""
        return self.get_asset(f"checkpoint_{step}")

    def get_latest_checkpoint(self) -> Asset | None:
        """The newest checkpoint that the vault itself can give."""
        return self.get_asset("latest")

    # --- asking the vault to do something on its own host ---------------------------------------------------

    def fetch(self, asset_id: str, destination: str | None = None, from_stronghold: str | None = None) -> Fetched:
        """Have the vault bring an asset to a place on *its* host; `ensure_local` brings it here."""
        body = {"asset_id": asset_id, "destination": destination, "from_stronghold": from_stronghold}
        told = self._post("/api/fetch", body)
        with self._understanding():
            source, transfer = told["source_location"], told["transfer"]
            return Fetched(
                told["asset_id"], told["success"], told["local_path"],
                None if source is None else Location.from_json(source),
                None if transfer is None else Transfer.from_json(transfer), told["error"],
            )  # fmt: skip

    def push(self, asset_id: str, to_stronghold: str, destination_path: str | None = None) -> dict[str, Any]:
        """Have the vault bring an asset to another zone."""
        body = {"asset_id": asset_id, "to_stronghold": to_stronghold, "destination_path": destination_path}
        return self._post("/api/push", body)

    def register(self, path: str, stronghold: str = LOCAL, is_primary: bool = True) -> Asset:
        """Enter what lies at a path of the vault's host."""
        body = {"path": path, "stronghold": stronghold, "is_primary": is_primary}
        told = self._post("/api/register", body)
        with self._understanding():
            return Asset.from_json(told["asset"])

    def scan(self, path: str, stronghold: str = LOCAL, recursive: bool = True) -> list[str]:
        """Enter everything below a directory of the vault's host; the ids of what is there."""
        body = {"path": path, "stronghold": stronghold, "recursive": recursive}
        told = self._post("/api/scan", body)
        with self._understanding():
            return list(told["asset_ids"])

    def verify(self, asset_id: str, stronghold: str | None = None) -> list[dict[str, Any]]:
        """Have the copies on the vault's host read again; what was found of each."""
        told = self._post("/api/verify", {"asset_id": asset_id, "stronghold": stronghold})
        with self._understanding():
            return list(told["verification_results"])

    # --- bringing it here -----------------------------------------------------------------------------------

    def ensure_local(
        self,
        asset_id: str,
        local_dir: str | os.PathLike[str] | None = None,
        *,
        options: PullOptions | None = None,
        on_progress: OnProgress | None = None,
    ) -> str:
        """A path on *this* host at which the asset lies, whole and verified; its bytes are fetched if need be (G6).

        It comes to `local_dir`, by default `models/` of the base directory here. A transfer that was cut off is gone on
        with. Raises `NotFound`, `Unavailable`, or `Conflict` where something else lies there.
        """
        # Loaded on use: who only asks needs no engine.
        from vault.transfer.pull import pull_asset
        from vault.transfer.standing import within_settings

        own = RealmPaths(resolve_base_dir(None))
        folder = own.models if local_dir is None else Path(local_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"{folder} cannot be made: {error.strerror}.", hint="Give another `local_dir`."
            ) from error
        report = pull_asset(
            self.base_url, asset_id, folder.absolute(), token=self._own_token(),
            options=within_settings(own, options), on_progress=on_progress,
        )  # fmt: skip
        return str(report.path)

    # --- inside -------------------------------------------------------------------------------------------

    def _pages(self, path: str, what: str, limit: int | None, query: Mapping[str, str]) -> list[Asset]:
        found: list[Asset] = []
        offset, total = 0, 1
        # A page may be short in the middle: what has just vanished from the disk is counted, and not told.
        while offset < total and (limit is None or len(found) < limit):
            size = PAGE if limit is None else min(PAGE, limit - len(found))
            told = self._get(path, **query, limit=str(size), offset=str(offset))
            with self._understanding():
                found += [Asset.from_json(row) for row in told[what]]
                offset, total = offset + size, told["total"]
        return found

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._ask("GET", path, params=query)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        told = {key: value for key, value in body.items() if value is not None}
        return self._ask("POST", path, json=told, timeout=max(self._timeout, LONG_SECONDS))

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        import httpx

        headers = bearer(self._own_token())
        try:
            answer = self._client().request(method, self.base_url + path, headers=headers, **options)
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{self.base_url} is no address of a vault: {error}") from error
        except httpx.RequestError as error:
            raise Unavailable(
                f"The vault at {self.base_url} does not answer: {error or type(error).__name__}.",
                hint="Is the realm up on that host, and does it listen beyond loopback (`services.host`)?",
            ) from error
        return self._told(answer)

    def _told(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            told = answer.json()
        except ValueError:
            told = None
        if answer.is_success and isinstance(told, dict):
            return told
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise Unavailable(
                f"The vault at {self.base_url} wants a token.",
                hint="Set REALM_TOKEN to that of its realm, or write it to ~/.config/realm/token.",
            )
        if isinstance(told, dict) and "error" in told:
            raise error_from(told, answer.status_code)
        raise Unavailable(
            f"{self.base_url} does not answer like a vault: HTTP {answer.status_code}.",
            hint="The address looks like 192.168.1.10:8767.",
        )

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        """The vault may be of another version: what it tells beyond what is known here is left aside, what it does not
        tell is missed in words (G2)."""
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise Unavailable(
                f"The vault at {self.base_url} answers in another way than is known here: {first_line(error)}.",
                hint="Bring both hosts to the same version.",
            ) from error

    def _own_token(self) -> str | None:
        return self._token or client_token()

    def _client(self) -> httpx.Client:
        import httpx

        if self._http is None:
            # No idle connections, so nobody has to close this object. The host is one of the home network: a proxy
            # named in the environment is not the way to it, and no redirect is followed with the token.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._http = httpx.Client(timeout=self._timeout, transport=self._transport, limits=limits, trust_env=False)
        return self._http


def _part(asset_id: str) -> str:
    """An id as one part of a URL."""
    if asset_id in ("", ".", ".."):
        raise NotFound(f"There is no asset {asset_id!r}.")
    return quote(asset_id, safe="", errors="replace")
