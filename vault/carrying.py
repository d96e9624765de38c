"""Carries assets between zones: here from another, and from here to another, whose officer fetches it (seed 003).

There is one way in which bytes travel, the pull: whoever has the disk fetches, verifies, and goes on after a cut. What
was carried is in the catalogs of both sides in the same act (A4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.hosts import HostRegistry, get_registry
from core.http.tokens import client_token
from core.paths import RealmPaths, resolve_base_dir
from vault.assets import LOCAL, Asset, Location, LocationStatus, Transfer
from vault.catalog.catalog import Catalog
from vault.catalog.finding import describe
from vault.transfer.byte_address import byte_url, root_of
from vault.transfer.pull import Progress, PullOptions, PullReport, pull_asset
from vault.zone_calls import ZoneCalls

CALL_SECONDS = 30.0
LOOK_SECONDS = 0.25
"""Between two questions how far a transfer at another zone is."""

OnProgress = Callable[[Progress], object]


@dataclass(frozen=True)
class Carrier:
    """Carries for one realm: that at `paths`, on the host that its registry says this is."""

    paths: RealmPaths
    registry: HostRegistry
    token: Callable[[], str | None]
    options: PullOptions = PullOptions()  # noqa: RUF009 - frozen

    @classmethod
    def of(cls, paths: RealmPaths, options: PullOptions | None = None) -> Carrier:
        """With the registry and the token of a base directory."""
        token = lambda: client_token(paths.token_file)  # noqa: E731
        return cls(paths, get_registry(paths), token, options or PullOptions())

    def fetch(
        self, reference: str, zone_id: str, target: Path | None = None, on_progress: OnProgress | None = None
    ) -> PullReport:
        """Bring an asset here from a zone, to `target` (default: `models/` under its own name), and book it."""
        begun = datetime.now(UTC)
        url = byte_url(self.registry, zone_id)
        into = target.parent if target else self.paths.models
        try:
            report = pull_asset(url, reference, into, target.name if target else None, token=self.token(),
                                options=self.options, on_progress=on_progress)  # fmt: skip
        except RealmError as error:
            self._note(Transfer(reference, zone_id, LOCAL, reference, str(target or into), False,
                                begun.isoformat(), error=str(error)))  # fmt: skip
            raise
        self._book_here(report, zone_id, begun)
        return report

    def send(
        self, path: Path, zone_id: str, destination: str | None = None, on_progress: OnProgress | None = None
    ) -> dict[str, Any]:
        """Have the officer of a zone fetch what lies at `path`, wait for it, and book it; the officer's last word.

        `destination` is the path that it is to have there. Raises `Unavailable` when no word has come from the officer
        for as long as the options say: what it has is kept, and sending it again goes on.
        """
        asset = describe(path.resolve())
        begun = datetime.now(UTC)
        source, officer = self._source(zone_id), self._officer(zone_id)
        calls = ZoneCalls(self.token, CALL_SECONDS)
        self._make_known(calls, source, path.resolve())
        wish = {"asset_id": asset.asset_id, "asset_type": asset.asset_type, "source": source,
                "destination": destination or path.name}  # fmt: skip
        told: dict[str, Any] = {}
        try:
            told = self._wait(calls, officer, wish, on_progress)
        except RealmError as error:
            self._note(Transfer(asset.asset_id, LOCAL, zone_id, str(path), destination or path.name, False,
                                begun.isoformat(), error=str(error)))  # fmt: skip
            raise
        self._book_there(asset, zone_id, told, begun)
        return told

    # --- inside -----------------------------------------------------------------------------------------------

    def _source(self, zone_id: str) -> str:
        here = self.registry.local
        if here is None:
            raise Conflict(
                f"{self.registry.source} does not say which of its hosts this machine is, so {zone_id} could not fetch "
                "from it.",
                hint="Set local_host there, or REALM_HOST.",
            )
        if here.id == zone_id:
            raise InvalidInput(f"{zone_id} is this host: there is nothing to carry.")
        return here.id

    def _officer(self, zone_id: str) -> str:
        host = self.registry.find(zone_id)
        if "branch" not in host.services:
            raise NotFound(
                f"{zone_id} has no branch officer that could fetch it.",
                hint="Start one there and name it under services, or fetch it from there with `realm vault fetch`.",
            )
        return root_of(self.registry.service_url("branch", zone_id))

    def _make_known(self, calls: ZoneCalls, source: str, path: Path) -> None:
        """What this host hands out has to be in the catalog that hands it out."""
        root = byte_url(self.registry, source)
        is_vault = "vault" in self.registry.find(source).services
        calls.post(self.registry, root, "/api/register" if is_vault else "/register", {"path": str(path)})

    def _wait(
        self, calls: ZoneCalls, officer: str, wish: Mapping[str, Any], on_progress: OnProgress | None
    ) -> dict[str, Any]:
        last_word = time.monotonic()
        transfer_id: str | None = None
        while True:
            try:
                if transfer_id is None:
                    transfer_id = calls.post(self.registry, officer, "/receive", wish)["transfer_id"]
                told = calls.get(self.registry, officer, f"/transfers/{transfer_id}")
                last_word = time.monotonic()
            except NotFound:
                if transfer_id is None:
                    raise
                # It was started anew and knows nothing of it: asked again, it goes on with what it has.
                transfer_id = None
                continue
            except Unavailable:
                if time.monotonic() - last_word > self.options.retry_seconds:
                    raise
                transfer_id = None
                time.sleep(LOOK_SECONDS)
                continue
            if told["bytes_total"] is not None and on_progress is not None:
                on_progress(Progress(told["bytes_done"], told["bytes_total"], 0, 0, told["bytes_per_second"]))
            if told["state"] == "failed":
                raise Unavailable(f"{told['error']}")
            if told["state"] == "done":
                return told
            time.sleep(LOOK_SECONDS)

    def _book_here(self, report: PullReport, zone_id: str, begun: datetime) -> None:
        now = datetime.now(UTC).isoformat()
        asset = describe(report.path)
        here = replace(asset.locations[0], status=LocationStatus.VERIFIED, verified_at=now, synced_at=now,
                       checksum=report.manifest.get("digest"))  # fmt: skip
        moved = Transfer(asset.asset_id, zone_id, LOCAL, asset.asset_id, str(report.path), True, begun.isoformat(),
                         report.bytes_fetched, report.seconds)  # fmt: skip
        with self._catalog() as catalog:
            catalog.put(replace(asset, locations=(here,)))
            if not report.already_there:
                catalog.note_transfer(moved)

    def _book_there(self, asset: Asset, zone_id: str, told: Mapping[str, Any], begun: datetime) -> None:
        (own, *_) = asset.locations
        now = datetime.now(UTC).isoformat()
        there = Location(
            zone_id, told["destination"], LocationStatus.VERIFIED, now, own.checksum, asset.size_bytes, now
        )
        seconds = (datetime.now(UTC) - begun).total_seconds()
        moved = Transfer(asset.asset_id, LOCAL, zone_id, own.path, there.path, True, begun.isoformat(),
                         told["bytes_total"] or 0, seconds)  # fmt: skip
        with self._catalog() as catalog:
            catalog.put(replace(asset, locations=(own, there)))
            catalog.note_transfer(moved)

    def _note(self, transfer: Transfer) -> None:
        # The books may be out of reach too: that must not hide why it failed.
        with suppress(RealmError), self._catalog() as catalog:
            catalog.note_transfer(transfer)

    def _catalog(self) -> Any:
        return Catalog.opened(self.paths.catalog_db, self.paths.base)


def push_to_zone(path: str | Path, zone_id: str, dest: str | None = None) -> dict[str, Any]:
    """Send what lies at `path` to a zone; `{success, source, destination, duration_seconds, source_zone, target_zone}`,
    or `{success: False, error, …}` (seed 003). For the realm of `REALM_BASE_DIR`, else the checkout."""

    def push(carrier: Carrier) -> str:
        return str(carrier.send(Path(path), zone_id, dest)["destination"])

    return _carried(push, str(path), None, zone_id)


def pull_from_zone(path: str | Path, zone_id: str, dest: str | Path | None = None) -> dict[str, Any]:
    """Bring an asset here from a zone: told by its id, or by its path there, of which the name counts. To `dest`, else
    to `models/` under its own name; the answer is that of `push_to_zone`."""

    def pull(carrier: Carrier) -> str:
        return str(carrier.fetch(Path(path).name, zone_id, Path(dest) if dest else None).path)

    return _carried(pull, str(path), zone_id, None)


def _carried(
    carry: Callable[[Carrier], str], source: str, from_zone: str | None, to_zone: str | None
) -> dict[str, Any]:
    begun = time.monotonic()
    told: dict[str, Any] = {"success": False, "source": source, "destination": None}
    here = None
    try:
        carrier = Carrier.of(RealmPaths(resolve_base_dir(None)))
        here = carrier.registry.local_id
        told |= {"destination": carry(carrier), "success": True}
    except RealmError as error:
        told["error"] = str(error)
    zones = {"source_zone": from_zone or here, "target_zone": to_zone or here}
    return {**told, "duration_seconds": time.monotonic() - begun, **zones}
