"""Carries assets between zones: here from another, and from here to another, whose officer fetches it (seed 003).

There is one way in which bytes travel, the pull: whoever has the disk fetches, verifies, and goes on after a cut. Where
nobody answers over HTTP, rsync does it over ssh (`vault.transfer.over_ssh`). What was carried is in the catalogs of
both sides in the same act (A4).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.checkpoint_records import extract_step
from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable, Unreached
from core.hosts import HostRegistry, get_registry
from core.http.tokens import client_token
from core.paths import RealmPaths, resolve_base_dir
from vault.asset_jobs import make, own_manifest
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus, Transfer
from vault.catalog.catalog import Catalog
from vault.catalog.finding import describe
from vault.catalog.visiting import visited
from vault.manifest import check_manifest, digest_of
from vault.transfer.booking import book_landed
from vault.transfer.byte_address import byte_url, byte_urls, root_of
from vault.transfer.greeting import greet
from vault.transfer.listing import refuse_other
from vault.transfer.over_ssh import SshZone
from vault.transfer.patience import AWAY_SECONDS, OnWaiting, Patience, Stopped
from vault.transfer.pull import Judge, Progress, PullOptions, PullReport, cancelled_transfer, pull_asset
from vault.transfer.rsync import SSH
from vault.transfer.source import LinkCut
from vault.transfer.standing import within_settings
from vault.zone_calls import ZoneCalls

CALL_SECONDS = 30.0
OWN_SECONDS = 5.0
"""For an officer of this machine to answer."""
LOOK_SECONDS = 0.25
"""Between two questions how far a transfer at another zone is."""

OnProgress = Callable[[Progress], object]
KINDS: dict[str, type[RealmError]] = {kind.code: kind for kind in (InvalidInput, NotFound, Conflict)}
"""Of how a transfer at another zone can end, beside being unable to go on."""


@dataclass(frozen=True)
class Sent:
    """Something of this host, and by what another one tells it from whatever else may have its id."""

    path: Path
    asset_id: str
    asset_type: str
    digest: str
    """Of its manifest."""
    size_bytes: int

    @classmethod
    def of(cls, path: Path, asset_id: str, asset_type: str, manifest: Mapping[str, Any]) -> Sent:
        return cls(path, asset_id, asset_type, digest_of(manifest), manifest["total_bytes"])


@dataclass(frozen=True)
class Carrier:
    """Carries for one realm: that at `paths`, on the host that its registry says this is."""

    paths: RealmPaths
    registry: HostRegistry
    token: Callable[[], str | None]
    options: PullOptions = PullOptions()  # noqa: RUF009 - frozen
    remote_shell: tuple[str, ...] = SSH
    """What reaches hosts without an officer."""
    catalog: Catalog | None = None
    """The one of the realm that this process is; else it is visited for each entry."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set, it ends what is under way."""
    on_carried: Callable[[Transfer], object] | None = None
    """Hears of each transfer that was noted."""
    on_waiting: OnWaiting | None = None
    """Told what is waited for, when a host falls silent; else the log is."""

    @classmethod
    def of(cls, paths: RealmPaths, options: PullOptions | None = None, **more: Any) -> Carrier:
        """With the registry and the token of a base directory, within its settings; `more` are further fields."""
        token = lambda: client_token(paths.token_file)  # noqa: E731
        return cls(paths, get_registry(paths), token, within_settings(paths, options), **more)

    def fetch(
        self,
        reference: str,
        zone_id: str,
        target: Path | None = None,
        on_progress: OnProgress | None = None,
        *,
        digest: str | None = None,
    ) -> PullReport:
        """Bring an asset here from a zone, to `target` (default: `models/` under its own name), and book it.

        With the `digest` of its manifest, anything else that has its id there by now is refused before it comes.
        """
        begun = datetime.now(UTC)
        into, name = (target.parent, target.name) if target else (self.paths.models, None)
        over_ssh = self._over_ssh(zone_id, "branch", "vault")
        judge = lambda listing: refuse_other(listing, digest)  # noqa: E731
        failed = Transfer(reference, zone_id, LOCAL, reference, str(target or into), False, begun.isoformat())
        with self._noting(failed, zone_id):
            if over_ssh is not None:
                known = self._known_place(reference, zone_id)
                report = over_ssh.pull(reference, into, name, known=known, on_progress=on_progress, judge=judge)
            else:
                report = self._pulled(reference, zone_id, into, name, on_progress, judge)
        self._book_here(report, zone_id, begun)
        return report

    def send(
        self,
        path: Path,
        zone_id: str,
        destination: str | None = None,
        on_progress: OnProgress | None = None,
        *,
        sent: Sent | None = None,
    ) -> dict[str, Any]:
        """Have the officer of a zone fetch what lies at `path`, wait for it, and book it; the officer's last word.

        `destination` is the path that it is to have there; `sent` says what it is, where that is known. Raises
        `Unreached` when the zone is away, and `Unavailable` when no word has come from its officer for as long as the
        options say: what it has is kept, and sending it again goes on.
        """
        if zone_id == self.registry.local_id:
            raise InvalidInput(f"{zone_id} is this host: there is nothing to carry.")
        begun, path = datetime.now(UTC), path.resolve()
        failed = Transfer(path.name, LOCAL, zone_id, str(path), destination or path.name, False, begun.isoformat())
        over_ssh = self._over_ssh(zone_id, "branch")
        if over_ssh is not None:
            sent = sent or _as_it_is(path)
            with self._noting(replace(failed, asset_id=sent.asset_id), zone_id):
                told = self._push(over_ssh, sent, destination, on_progress)
        else:
            source, officer = self._source(zone_id), self._officer(zone_id)
            calls = ZoneCalls(self.token, CALL_SECONDS)
            with self._noting(failed, zone_id):
                # Before anything is read here for one that is away.
                patience = self._greet(officer)
            sent = sent or self._made_known(calls, source, path)
            with self._noting(replace(failed, asset_id=sent.asset_id), zone_id):
                told = self._wait(calls, patience, officer, self._wish(sent, source, destination), on_progress)
        self._book_there(sent, zone_id, told, begun)
        return told

    # --- inside -----------------------------------------------------------------------------------------------

    @contextmanager
    def _noting(self, failed: Transfer, zone_id: str) -> Iterator[None]:
        """What fails in the block is noted, and names the zone where that is away."""
        error: RealmError
        cause: Exception
        try:
            yield
        except Stopped as stopped:
            error, cause = cancelled_transfer(failed.asset_id), stopped
        except Unreached as unreached:
            error, cause = Unreached(f"{zone_id} is away: {unreached.message}", hint=unreached.hint), unreached
        except RealmError as other:
            self._note(replace(failed, error=str(other)))
            raise
        else:
            return
        self._note(replace(failed, error=str(error)))
        raise error from cause

    def _greet(self, base_url: str) -> Patience:
        return greet(base_url, self.token(), retry_seconds=self.options.retry_seconds, cancelled=self.cancelled,
                     on_waiting=self.on_waiting)  # fmt: skip

    def _pulled(
        self, reference: str, zone_id: str, into: Path, name: str | None, on_progress: OnProgress | None, judge: Judge
    ) -> PullReport:
        """From the first service of a zone that answers: it may name an officer that nobody has started (F21)."""
        away: list[Unreached] = []
        more: dict[str, Any] = {"options": self.options, "judge": judge, "cancelled": self.cancelled}
        for url in byte_urls(self.registry, zone_id):
            try:
                return pull_asset(url, reference, into, name, token=self.token(), on_progress=on_progress,
                                  on_waiting=self.on_waiting, **more)  # fmt: skip
            except Unreached as error:
                away.append(error)
        raise away[0]

    def _source(self, zone_id: str) -> str:
        here = self.registry.local
        if here is None:
            raise Conflict(
                f"{self.registry.source} does not say which of its hosts this machine is, so {zone_id} could not fetch "
                "from it.",
                hint="Set local_host there, or REALM_HOST.",
            )
        return here.id

    def _over_ssh(self, zone_id: str, *services: str) -> SshZone | None:
        """How to reach a zone that has none of these services, where the registry says who logs in there."""
        host = self.registry.find(zone_id)
        if host.ssh_user is None or set(services) & host.services.keys():
            return None
        return SshZone(host, self.options, self.cancelled, self.remote_shell, self.on_waiting)

    def _known_place(self, reference: str, zone_id: str) -> str | None:
        """Where the catalog says that an asset lies in a zone."""
        with self._catalog() as catalog:
            asset = catalog.locate(reference)
        places = asset.locations if asset is not None else ()
        return next((place.path for place in places if place.stronghold == zone_id), None)

    def _push(
        self, zone: SshZone, sent: Sent, destination: str | None, on_progress: OnProgress | None
    ) -> dict[str, Any]:
        """Send what is whole here to a zone without an officer; what lies there then was compared by reading it."""
        own = own_manifest(sent.path)
        if problems := check_manifest(sent.path) if own is not None else []:
            raise Conflict(f"{sent.path} is damaged: {problems[0]}.", hint="Verify it, and send another copy.")
        place = zone.place_for(sent.asset_type, sent.path.name, destination)
        manifest = own or make(str(sent.path))
        return {**zone.push(sent.path, manifest, place, on_progress=on_progress), "digest": digest_of(manifest)}

    def _wish(self, sent: Sent, source: str, destination: str | None) -> dict[str, Any]:
        """What an officer is asked for."""
        wish: dict[str, Any] = {
            "asset_id": sent.asset_id,
            "asset_type": sent.asset_type,
            "source": source,
            "digest": sent.digest,
            "destination": destination or sent.path.name,
        }
        if self.options.bytes_per_second is not None:
            wish["bytes_per_second"] = self.options.bytes_per_second
        return wish

    def _officer(self, zone_id: str) -> str:
        host = self.registry.find(zone_id)
        if "branch" not in host.services:
            raise NotFound(
                f"{zone_id} has no branch officer that could fetch it.",
                hint="Start one there and name it under services, or fetch it from there with `realm vault fetch`.",
            )
        return root_of(self.registry.service_url("branch", zone_id))

    def _made_known(self, calls: ZoneCalls, source: str, path: Path) -> Sent:
        """What this host hands out has to be in the catalog that hands it out, and has the id that it has there."""
        root = byte_url(self.registry, source)
        is_vault = "vault" in self.registry.find(source).services
        told = calls.post(self.registry, root, "/api/register" if is_vault else "/register", {"path": str(path)})
        asset = told.get("asset")
        if not isinstance(asset, dict) or not {"asset_id", "asset_type"} <= asset.keys():
            raise Conflict(f"{root} does not answer like a vault or a branch officer.")
        # By its own bytes: two assets with one id are told apart by nothing else.
        return Sent.of(path, str(asset["asset_id"]), str(asset["asset_type"]), own_manifest(path) or make(str(path)))

    def _wait(
        self,
        calls: ZoneCalls,
        patience: Patience,
        officer: str,
        wish: Mapping[str, Any],
        on_progress: OnProgress | None,
    ) -> dict[str, Any]:
        """The last word of an officer that is to fetch something, and is asked how far it is until it is done."""
        quick = ZoneCalls(self.token, AWAY_SECONDS)
        transfer_id: str | None = None
        while True:
            try:
                if transfer_id is None:
                    transfer_id = calls.post(self.registry, officer, "/receive", wish)["transfer_id"]
                told = quick.get(self.registry, officer, f"/transfers/{transfer_id}")
            except NotFound:
                if transfer_id is None:
                    raise
                # It was started anew and knows nothing of it: asked again, it goes on with what it has.
                transfer_id = None
                continue
            except Unavailable as error:
                transfer_id = None
                patience.wait_after(LinkCut(error.message.rstrip(".")))
                continue
            patience.progress()
            patience.look()
            if told["bytes_total"] is not None and on_progress is not None:
                on_progress(Progress(told["bytes_done"], told["bytes_total"], 0, 0, told["bytes_per_second"]))
            if told["state"] == "failed":
                raise KINDS.get(str(told.get("error_code")), Unavailable)(f"{told['error']}")
            if told["state"] == "done":
                return told
            patience.rest(LOOK_SECONDS)

    def _book_here(self, report: PullReport, zone_id: str, begun: datetime) -> None:
        digest = digest_of(report.manifest)
        with self._catalog() as catalog:
            known = catalog.locate(report.asset_id)
            for place in known.locations if known is not None else ():
                # It was made anew there since that zone was listed.
                if place.stronghold == zone_id and place.checksum not in (None, digest):
                    catalog.drop_location(report.asset_id, zone_id, place.path)
            asset = book_landed(catalog, self._where_it_is(report), datetime.now(UTC))
            if not report.already_there:
                self._noted(catalog, Transfer(asset.asset_id, zone_id, LOCAL, asset.asset_id, str(report.path), True,
                                              begun.isoformat(), report.bytes_fetched, report.seconds))  # fmt: skip
        self._tell_own_officer(report.path)

    def _where_it_is(self, report: PullReport) -> PullReport:
        # Outside of the realm by its real path: behind a link it is not read later (`Copies.is_here`).
        is_inside = report.path.is_relative_to(self.paths.base)
        return report if is_inside else replace(report, path=Path(os.path.realpath(report.path)))

    def _tell_own_officer(self, path: Path) -> None:
        """It hands out from now on what has come, if it is up and looks after that place."""
        here = self.registry.local
        if here is not None and "branch" in here.services:
            officer = root_of(self.registry.service_url("branch", here.id))
            with suppress(RealmError):
                ZoneCalls(self.token, OWN_SECONDS).post(self.registry, officer, "/register", {"path": str(path)})

    def _book_there(self, sent: Sent, zone_id: str, told: Mapping[str, Any], begun: datetime) -> None:
        now = datetime.now(UTC)
        # Who has read and compared it there says so by the digest of what has landed.
        is_same = told.get("digest") == sent.digest
        status = LocationStatus.VERIFIED if is_same else LocationStatus.UNVERIFIED
        at, checksum = (now.isoformat(), sent.digest) if is_same else (None, None)
        there = Location(zone_id, told["destination"], status, at, checksum, sent.size_bytes, now.isoformat())
        moved = Transfer(sent.asset_id, LOCAL, zone_id, str(sent.path), there.path, True, begun.isoformat(),
                         told["bytes_total"] or 0, (now - begun).total_seconds())  # fmt: skip
        with self._catalog() as catalog:
            try:
                # Our own copy is as the catalog knows it: it may have gone while it was carried (A2).
                catalog.put_location(sent.asset_id, there)
            except NotFound:
                own = Location(LOCAL, str(sent.path), checksum=sent.digest, size_bytes=sent.size_bytes, is_primary=True)
                places = (own, there) if os.path.lexists(sent.path) else (there,)
                asset = Asset(sent.asset_id, AssetType(sent.asset_type), sent.path.name, size_bytes=sent.size_bytes,
                              created_at=begun.isoformat(), modified_at=begun.isoformat(), locations=places,
                              step=extract_step(sent.path.name) or None)  # fmt: skip
                catalog.put(asset)
            self._noted(catalog, moved)

    def _note(self, transfer: Transfer) -> None:
        # The books may be out of reach too: that must not hide why it failed.
        with suppress(RealmError, OSError), self._catalog() as catalog:
            self._noted(catalog, transfer)

    def _noted(self, catalog: Catalog, transfer: Transfer) -> None:
        catalog.note_transfer(transfer)
        if self.on_carried is not None:
            self.on_carried(transfer)

    def _catalog(self) -> AbstractContextManager[Catalog]:
        return nullcontext(self.catalog) if self.catalog is not None else visited(self.paths)


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


def _as_it_is(path: Path) -> Sent:
    asset = describe(path)
    return Sent.of(path, asset.asset_id, asset.asset_type, own_manifest(path) or make(str(path)))
