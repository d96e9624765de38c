"""Fetches an asset from the byte service of another host: whole and verified, or not at all.

Several connections take chunks from one list. A cut or stalled link is taken up again at the byte where it broke, a
chunk that does not have its hash is fetched again, and what has come survives any kill (`vault.transfer.landing`).
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from core.errors import Conflict, RealmError, Unavailable
from core.files import DISK, Files
from vault.manifest import MANIFEST, check_manifest
from vault.transfer.landing import Chunk, Landing, drop_staging, hash_of, landing, refuse_if_taken, refuse_wrong_name
from vault.transfer.listing import ListedFile, Listing
from vault.transfer.pace import Pace
from vault.transfer.patience import Patience, Stopped
from vault.transfer.source import ByteSource

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.1
JOIN_SECONDS = 2.0
LISTING_PATIENCE = 20
"""So many times the usual silence may pass until a manifest comes: one that is made on the spot takes as long as
reading the whole asset."""
WRONG_TRIES = 5
"""So often one chunk may come with a wrong byte, without an end to it in sight."""
FILE_TRIES = 3
"""So often one file may be read back as a wrong one."""


@dataclass(frozen=True)
class PullOptions:
    """How an asset is fetched."""

    connections: int = 4
    bytes_per_second: int | None = None
    """A cap over all connections; None takes what there is."""
    stall_seconds: float = 30.0
    """A connection on which nothing comes for so long is given up and made anew."""
    retry_seconds: float = 300.0
    """How long to go on asking a host from which nothing comes at all."""
    reserve_bytes: int = 64 << 20
    """What the disk must have left afterwards."""


@dataclass(frozen=True)
class Progress:
    """How far a transfer is."""

    bytes_done: int
    """Of the asset, with what had come before."""
    bytes_total: int
    files_done: int
    """Read back and compared with the manifest."""
    files_total: int
    bytes_per_second: float
    """Since this transfer began."""


@dataclass(frozen=True)
class PullReport:
    """What a transfer has done."""

    path: Path
    asset_type: str
    manifest: dict[str, Any]
    bytes_total: int
    bytes_fetched: int
    """That came over the network and were kept."""
    bytes_resumed: int
    """That were here already from a transfer that was cut off."""
    chunks_refetched: int
    """That came with a wrong byte."""
    cuts: int
    """How often the link had to be taken up again."""
    seconds: float
    already_there: bool


OnProgress = Callable[[Progress], object]


def pull_asset(
    base_url: str,
    asset_id: str,
    into: Path,
    name: str | None = None,
    *,
    token: str | None = None,
    options: PullOptions = PullOptions(),
    on_progress: OnProgress | None = None,
    cancelled: threading.Event | None = None,
    files: Files = DISK,
) -> PullReport:
    """Fetch an asset from the realm or branch officer at `base_url` to `into/name` (default: its own name).

    Goes on where an earlier call was cut off. Something that is there already is left alone: the same asset, which is
    verified then, is success, anything else raises `Conflict`. Raises `NotFound`, `InvalidInput` for a manifest that
    cannot be believed, and `Unavailable` when the host or the disk is away; what has come is kept then. `on_progress`
    is called in this thread, ten times a second at most; a `cancelled` that is set ends the transfer.
    """
    begun = time.monotonic()
    if name is not None:
        refuse_wrong_name(name)
    patience = Patience(base_url, options.retry_seconds, cancelled)
    try:
        listing = patience.asking(lambda: _listing(base_url, asset_id, token, options))
    except Stopped as stopped:
        raise _cancelled(asset_id) from stopped
    name = name or listing.name
    target = into / name
    if is_there(target, listing):
        drop_staging(into, name, listing, files)
        return _report(target, listing, Counter(), begun, already_there=True)
    with landing(into, name, listing, files) as place:
        place.refuse_without_room(options.reserve_bytes)
        transfer = _Transfer(listing, place, options, patience, lambda: _connect(base_url, token, options))
        transfer.run(on_progress)
        place.finish()
    return _report(target, listing, transfer.counts, begun, already_there=False)


class _Transfer:
    """The chunks of one asset, the threads that fetch them, and what has become of them."""

    def __init__(
        self,
        listing: Listing,
        place: Landing,
        options: PullOptions,
        patience: Patience,
        connect: Callable[[], ByteSource],
    ) -> None:
        self._listing = listing
        self._place = place
        self._patience = patience
        self._connect = connect
        self._pace = Pace(options.bytes_per_second)
        self._begun = time.monotonic()
        missing = place.missing()
        self._queue = deque(missing)
        self._left = Counter(chunk.file.name for chunk in missing)
        """Chunks of a file that are still to come; those of files that are whole are read back all the same."""
        self._unread = deque(file for file in listing.files if not self._left[file.name])
        self._open_files = len(listing.files)
        self._tries: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._sources: list[ByteSource] = []
        missing_bytes = sum(chunk.end - chunk.start for chunk in missing)
        self.counts = Counter(resumed=listing.total_bytes - missing_bytes)
        self._threads = max(1, min(options.connections, len(missing)))

    def run(self, on_progress: OnProgress | None) -> None:
        """Fetch and read back everything that is missing; raises what has kept a thread from it."""
        threads = [threading.Thread(target=self._work, daemon=True, name=f"pull {n}") for n in range(self._threads)]
        for thread in threads:
            thread.start()
        try:
            while not self._is_over():
                if on_progress is not None:
                    on_progress(self._progress())
                with self._changed:
                    self._changed.wait_for(self._ended, PROGRESS_SECONDS)
        finally:
            self._patience.stop()
            with self._changed:
                self._changed.notify_all()
                sources = list(self._sources)
            for source in sources:
                source.interrupt()
            for thread in threads:
                thread.join(JOIN_SECONDS)
        self.counts["cuts"] = self._patience.cuts
        if self._error is not None:
            raise _cancelled(self._listing.asset_id) if isinstance(self._error, Stopped) else self._error
        if on_progress is not None:
            on_progress(self._progress())

    def _is_over(self) -> bool:
        if self._patience.is_over and not self._ended():
            self._error = self._error or Stopped()
        return self._ended()

    def _ended(self) -> bool:
        return self._open_files == 0 or self._error is not None

    def _progress(self) -> Progress:
        fetched, resumed = self.counts["fetched"], self.counts["resumed"]
        seconds = max(time.monotonic() - self._begun, 1e-3)
        done, total = len(self._listing.files) - self._open_files, len(self._listing.files)
        return Progress(fetched + resumed, self._listing.total_bytes, done, total, fetched / seconds)

    def _work(self) -> None:
        source = self._connect()
        with self._changed:
            self._sources.append(source)
        try:
            while (task := self._next()) is not None:
                if isinstance(task, ListedFile):
                    self._read_back(task)
                else:
                    self._keep(task, *self._fetch(source, task))
        except BaseException as error:  # noqa: BLE001 - whatever ends a thread ends the transfer, and is raised by it
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
        finally:
            source.hang_up()

    def _next(self) -> Chunk | ListedFile | None:
        """What to do next; None when all is done, or nothing more is to be done."""
        with self._changed:
            self._changed.wait_for(lambda: self._unread or self._queue or self._ended() or self._patience.is_over)
            if self._ended() or self._patience.is_over:
                return None
            return self._unread.popleft() if self._unread else self._queue.popleft()

    def _fetch(self, source: ByteSource, chunk: Chunk) -> tuple[bytes, bytes]:
        """The bytes of a chunk and their hash, which is that of the chunk where the host tells it."""
        pieces: list[bytes] = []
        file, asset_id = chunk.file, self._listing.asset_id

        def take(piece: bytes) -> None:
            pieces.append(piece)
            self._patience.progress()
            if wait := self._pace.wait_for(len(piece)):
                self._patience.rest(wait)

        for _ in range(WRONG_TRIES):
            told = self._patience.asking(
                lambda: source.read(
                    asset_id, file.name, file.blake3, chunk.start + sum(map(len, pieces)), chunk.end, take,
                    self._pace.piece_bytes,
                )
            )  # fmt: skip
            data = b"".join(pieces)
            digest = blake3(data).digest()
            if told in (None, digest.hex()):
                return data, digest
            logger.warning("a chunk of %s came with a wrong byte", file.name, extra={"event": "chunk_wrong"})
            with self._changed:
                self.counts["wrong"] += 1
            pieces.clear()
        raise Unavailable(
            f"{file.name} came from {source.base_url} with wrong bytes {WRONG_TRIES} times.",
            hint="The link or the memory of one of the hosts damages what goes through it.",
        )

    def _keep(self, chunk: Chunk, data: bytes, digest: bytes) -> None:
        if self._patience.is_over:
            return
        self._place.keep(chunk, data, digest)
        with self._changed:
            self.counts["fetched"] += len(data)
            self._left[chunk.file.name] -= 1
            if not self._left[chunk.file.name]:
                self._unread.append(chunk.file)
                self._changed.notify_all()

    def _read_back(self, file: ListedFile) -> None:
        wrong = self._place.wrong_chunks(file)
        if wrong is None:
            with self._changed:
                self._open_files -= 1
                self._changed.notify_all()
            return
        with self._changed:
            self._tries[file.name] += 1
            tries = self._tries[file.name]
        if not wrong:
            wrong = self._place.forget(file)
        if tries >= FILE_TRIES:
            raise Unavailable(
                f"{file.name} of {self._listing.asset_id} is not what its manifest says, however often it is fetched.",
                hint="It is damaged where it comes from: have it verified there, or fetch it from another host.",
            )
        logger.warning("%s is fetched again: wrong bytes", file.name, extra={"event": "file_wrong", "tries": tries})
        with self._changed:
            self.counts["fetched"] -= sum(chunk.end - chunk.start for chunk in wrong)
            self.counts["wrong"] += len(wrong)
            self._left[file.name] = len(wrong)
            self._queue.extend(wrong)
            self._changed.notify_all()


def is_there(target: Path, listing: Listing) -> bool:
    """Whether the asset lies at `target` already, whole; raises `Conflict` for anything else that does."""
    if not target.is_symlink() and (target.is_dir() if listing.is_directory else target.is_file()):
        if listing.is_directory:
            found = _bytes_of(target / MANIFEST)
            if found == listing.text and (problems := check_manifest(target)):
                raise Conflict(
                    f"{target} is there already, and is damaged: {problems[0]}.",
                    hint="Move it away, and fetch it again.",
                )
            same = found == listing.text
        else:
            same = _hash_of(target) == listing.files[0].blake3
        if same:
            return True
    refuse_if_taken(target)
    return False


def _hash_of(file: Path) -> str:
    try:
        return hash_of(file)
    except OSError as error:
        raise Unavailable(f"{file} is there already, and cannot be read: {error.strerror}.") from error


def _bytes_of(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None


def _connect(base_url: str, token: str | None, options: PullOptions) -> ByteSource:
    return ByteSource(base_url, token, stall_seconds=options.stall_seconds)


def _listing(base_url: str, asset_id: str, token: str | None, options: PullOptions) -> Listing:
    source = ByteSource(base_url, token, stall_seconds=options.stall_seconds * LISTING_PATIENCE)
    try:
        return source.listing(asset_id)
    finally:
        source.hang_up()


def _cancelled(asset_id: str) -> RealmError:
    return Unavailable(f"The transfer of {asset_id} was cancelled.", hint="What has come is kept for the next one.")


def _report(target: Path, listing: Listing, counts: Counter[str], begun: float, *, already_there: bool) -> PullReport:
    return PullReport(
        path=target,
        asset_type=listing.asset_type,
        manifest=json.loads(listing.text),
        bytes_total=listing.total_bytes,
        bytes_fetched=counts["fetched"],
        bytes_resumed=counts["resumed"],
        chunks_refetched=counts["wrong"],
        cuts=counts["cuts"],
        seconds=time.monotonic() - begun,
        already_there=already_there,
    )
