"""Assets to and from a host on which nobody answers over HTTP, by rsync over ssh: whole and verified, or not at all.

What comes here lands as every pull does (`vault.transfer.landing`): it is staged, read back against its manifest and
renamed. What goes there is staged beside its place, compared by rsync reading both sides, and renamed by the shell
there only where the place is free, so that it never ends up one directory too deep (G7). An asset without a manifest
does not come: nothing could tell whether it is whole.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from core.checkpoint_records import checkpoint_order, is_checkpoint_name, match_checkpoint
from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.files import DISK, Files
from core.host_models import Host
from vault.manifest import MANIFEST, manifest_text
from vault.transfer.landing import Landing, drop_staging, landing, refuse_wrong_name
from vault.transfer.listing import ListedFile, Listing, is_plain_name, read_listing
from vault.transfer.patience import OnWaiting, Patience, Stopped
from vault.transfer.pull import (
    FILE_TRIES,
    Judge,
    OnProgress,
    Progress,
    PullOptions,
    PullReport,
    cancelled_transfer,
    is_there,
)
from vault.transfer.rsync import SSH, Rsync, SshHost
from vault.transfer.source import MANIFEST_BYTES

STAGING = ".push-"
TAKEN = "taken"

_BEGIN = 'if [ -e "$2" ] || [ -L "$2" ]; then echo taken; else mkdir -p -- "$1"; fi'
_FINISH = """set -e
if [ -e "$2" ] || [ -L "$2" ]; then echo taken; exit 0; fi
sync
mv -- "$1" "$2"
if [ "$3" ]; then rmdir -- "$3"; fi
sync"""
"""Of a staging and the place of the asset: `mv` into a directory that is there would put it into that."""


@dataclass(frozen=True)
class SshZone:
    """One host of the registry, reached by ssh."""

    host: Host
    options: PullOptions = PullOptions()  # noqa: RUF009 - frozen
    cancelled: threading.Event | None = None
    remote_shell: tuple[str, ...] = SSH
    on_waiting: OnWaiting | None = None

    def pull(
        self,
        reference: str,
        into: Path,
        name: str | None = None,
        *,
        known: str | None = None,
        on_progress: OnProgress | None = None,
        judge: Judge | None = None,
        files: Files = DISK,
    ) -> PullReport:
        """Fetch an asset to `into/name`, as `pull_asset` does.

        It is looked for at the path that is `known`, else by its name or step in the directories that the registry
        tells of. Raises `NotFound` where it is in none of them, and `Conflict` where it has no manifest.
        """
        begun = time.monotonic()
        if name is not None:
            refuse_wrong_name(name)
        rsync = self._rsync()
        try:
            place = known or self._find(rsync, reference)
            listing = _listing(rsync, place)
            if judge is not None:
                judge(listing)
            name = name or listing.name
            if is_there(into / name, listing):
                drop_staging(into, name, listing, files)
                return self._report(into / name, listing, begun, 0, already_there=True)
            with landing(into, name, listing, files, sized=False) as here:
                staged = sum(here.staged_bytes(file) for file in listing.files)
                here.refuse_without_room(self.options.reserve_bytes, staged)
                self._bring(rsync, place, listing, here, on_progress)
                here.finish()
        except Stopped as stopped:
            raise cancelled_transfer(reference) from stopped
        return self._report(into / name, listing, begun, listing.total_bytes - staged, already_there=False)

    def push(
        self,
        path: Path,
        manifest: Mapping[str, Any],
        destination: str,
        *,
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """Send what lies at `path`, and is what `manifest` says, to the path `destination` there:
        `{destination, bytes_total}`. The same asset that is there already is success; raises `Conflict` for anything
        else that is."""
        rsync, text = self._rsync(), manifest_text(manifest)
        target = PurePosixPath(destination)
        staging = str(target.with_name(f"{STAGING}{target.name}-{manifest['digest'][:16]}"))
        sending = _Sending(rsync, path, manifest, text, on_progress)
        told = {"destination": destination, "bytes_total": manifest["total_bytes"]}
        try:
            if self._asked(rsync, _BEGIN, staging, destination) != TAKEN:
                sending.send(staging)
                source = staging if path.is_dir() else f"{staging}/{path.name}"
                folder = "" if path.is_dir() else staging
                if self._asked(rsync, _FINISH, source, destination, folder) != TAKEN:
                    return told
            sending.compare(destination)
        except Stopped as stopped:
            raise cancelled_transfer(path.name) from stopped
        return told

    def folder_for(self, asset_type: str) -> str:
        """Where an asset of a type belongs there; raises `NotFound` where the registry does not tell."""
        own = {"checkpoint": self.host.checkpoints_dir, "base_model": self.host.models_dir}.get(asset_type)
        folder = own or self.host.base_dir or self.host.models_dir
        if folder is None:
            raise NotFound(
                f"Nobody says where things lie on {self.host.id}.",
                hint=f"Name checkpoints_dir, models_dir or base_dir of hosts.{self.host.id} in configs/hosts.yaml.",
            )
        return folder.rstrip("/")

    def place_for(self, asset_type: str, name: str, destination: str | None) -> str:
        """The path that an asset is to have there; raises `InvalidInput` for one outside of that host's directories."""
        folder = self.folder_for(asset_type)
        wanted = os.path.normpath(os.path.join(folder, destination or name))
        if not is_plain_name(PurePosixPath(wanted).name) or not self._is_inside(wanted):
            raise InvalidInput(f"{wanted} lies outside of what the registry tells of {self.host.id}.",
                               hint=f"Its directories are {', '.join(self._folders)}.")  # fmt: skip
        return wanted

    # --- inside -----------------------------------------------------------------------------------------------

    @property
    def _folders(self) -> list[str]:
        told = (self.host.checkpoints_dir, self.host.models_dir, self.host.base_dir)
        return list(dict.fromkeys(os.path.normpath(folder) for folder in told if folder))

    def _is_inside(self, path: str) -> bool:
        return any(PurePosixPath(folder) in PurePosixPath(path).parents for folder in self._folders)

    def _rsync(self) -> Rsync:
        if self.host.ssh_user is None:
            raise NotFound(f"{self.host.id} has no officer, and nobody says who logs in there.",
                           hint=f"Name ssh_user of hosts.{self.host.id} in configs/hosts.yaml.")  # fmt: skip
        there = SshHost(self.host.ssh_user, self.host.host, self.remote_shell)
        patience = Patience(there.url, self.options.retry_seconds, self.cancelled, self.on_waiting)
        return Rsync(there, patience, self.options.stall_seconds, self.options.bytes_per_second)

    def _find(self, rsync: Rsync, reference: str) -> str:
        """The path of an asset there, by its name; of a checkpoint also by its step, and by `latest`."""
        for folder in self._folders:
            try:
                names = rsync.names_in(folder)
            except NotFound:
                continue
            checkpoints = sorted(filter(is_checkpoint_name, names), key=checkpoint_order)
            if reference == "latest":
                name = checkpoints[-1] if checkpoints else None
            else:
                name = reference if reference in names else match_checkpoint(reference, checkpoints)
            if name is not None and is_plain_name(name):
                return f"{folder}/{name}"
        raise NotFound(f"{self.host.id} has not got {reference} in {', '.join(self._folders) or 'any directory'}.")

    def _bring(self, rsync: Rsync, place: str, listing: Listing, here: Landing, on_progress: OnProgress | None) -> None:
        told = _Telling(listing.total_bytes, len(listing.files), on_progress)
        names = [file.name for file in listing.files]
        for _ in range(FILE_TRIES):
            done = rsync.carry(f"{rsync.host.place(place)}/", f"{here.folder}/", names, "--append-verify",
                               on_bytes=told)  # fmt: skip
            wrong = [file for file in listing.files if not _is_whole(here, file)]
            if not wrong:
                return
            if done.vanished and not all((here.folder / file.name).exists() for file in wrong):
                raise NotFound(f"{place} was deleted on {self.host.id} while it was fetched.")
            for file in wrong:
                (here.folder / file.name).unlink(missing_ok=True)
        raise Unavailable(
            f"{wrong[0].name} of {place} is not what its manifest says, however often it is fetched.",
            hint="It is damaged where it comes from: fetch it from another host.",
        )

    def _asked(self, rsync: Rsync, script: str, *arguments: str) -> str:
        code, said = rsync.ask(script, *arguments)
        if code:
            raise Unavailable(f"{self.host.id} cannot take it: {said[:300] or f'exit code {code}'}.")
        return said

    def _report(self, target: Path, listing: Listing, begun: float, fetched: int, *, already_there: bool) -> PullReport:
        resumed = 0 if already_there else listing.total_bytes - fetched
        return PullReport(target, listing.asset_type, json.loads(listing.text), listing.total_bytes, fetched, resumed,
                          0, 0, time.monotonic() - begun, already_there)  # fmt: skip


class _Telling:
    """Tells how far a transfer is, of which rsync says only what came in this run."""

    def __init__(self, total: int, files: int, on_progress: OnProgress | None) -> None:
        self._total, self._files, self._on_progress = total, files, on_progress
        self._begun = time.monotonic()

    def __call__(self, count: int) -> None:
        if self._on_progress is not None:
            rate = count / max(time.monotonic() - self._begun, 1e-3)
            self._on_progress(Progress(min(count, self._total), self._total, 0, self._files, rate))


@dataclass(frozen=True)
class _Sending:
    """One asset on its way there."""

    rsync: Rsync
    path: Path
    manifest: Mapping[str, Any]
    text: bytes
    on_progress: OnProgress | None

    def send(self, staging: str) -> None:
        """Bring all files to a directory there, and read them back on both sides until they are the same."""
        told = _Telling(self.manifest["total_bytes"], len(self._names), self.on_progress)
        self._carry(staging, "--append-verify", on_bytes=told)
        for _ in range(FILE_TRIES):
            # Compared whole, and what differs is sent anew: an empty list says that nothing did.
            if not self._carry(staging, "--checksum", "--inplace", "--itemize-changes"):
                return
        raise Unavailable(f"{self.path.name} never arrives at {self.rsync.host.url} as it is here.")

    def compare(self, target: str) -> None:
        """Raises `Conflict` unless the same asset lies at `target` there."""
        place = target if self.path.is_dir() else str(PurePosixPath(target).parent)
        same = self.path.is_dir() or PurePosixPath(target).name == self.path.name
        if not same or self._carry(place, "--checksum", "--dry-run", "--itemize-changes"):
            raise Conflict(f"{target} is there already, and is something else.",
                           hint="Move it away there, or give another name.")  # fmt: skip

    @property
    def _names(self) -> list[str]:
        return list(self.manifest["files"])

    def _carry(self, folder: str, *options: str, **more: Any) -> list[str]:
        """The files that rsync says it has sent."""
        target = self.rsync.host.place(f"{folder}/")
        source = self.path if self.path.is_dir() else self.path.parent
        lines = self.rsync.carry(f"{source}/", target, self._names, *options, **more).lines
        if self.path.is_dir():
            # Not that of the directory: it may have none, and what was compared here is this one.
            with tempfile.TemporaryDirectory(prefix="realm-push-") as beside:
                Path(beside, MANIFEST).write_bytes(self.text)
                lines += self.rsync.carry(f"{beside}/", target, [MANIFEST], *options).lines
        return [line for line in lines if line.startswith(("<", ">"))]


def _is_whole(here: Landing, file: ListedFile) -> bool:
    try:
        return here.is_whole(file)
    except FileNotFoundError:
        return False
    except OSError:
        # A failed fsync is told once: what rsync would find here may be in memory only, so that it has to come anew.
        (here.folder / file.name).unlink(missing_ok=True)
        raise


def _listing(rsync: Rsync, place: str) -> Listing:
    """What an asset at a path there is made of, by its own manifest."""
    with tempfile.TemporaryDirectory(prefix="realm-pull-") as beside:
        names = [MANIFEST]
        try:
            rsync.carry(f"{rsync.host.place(place)}/", f"{beside}/", names, f"--max-size={MANIFEST_BYTES}")
            manifest = json.loads(Path(beside, MANIFEST).read_bytes())
        except (NotFound, FileNotFoundError) as error:
            raise Conflict(
                f"There is no {MANIFEST} in {place} on {rsync.host.address}, so nothing tells whether all of it came.",
                hint="Run a branch officer there: it makes one.",
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            raise InvalidInput(f"{MANIFEST} of {place} on {rsync.host.address} cannot be read.") from error
    name = PurePosixPath(place).name
    kind = "checkpoint" if is_checkpoint_name(name) else "unknown"
    return read_listing(name, {"asset_type": kind, "name": name, "kind": "directory", "manifest": manifest})
