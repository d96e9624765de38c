"""Fetches an asset from the byte service of another host: whole and verified, or not at all.

Several connections take runs of chunks from one list. A cut or stalled link is taken up again at the byte where it
broke, and what has come survives any kill (`vault.transfer.landing`). Each file is read back and compared with the hash
in the manifest; where they differ, the host is asked for the hashes of its chunks, and the wrong ones come again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import Conflict, RealmError, Unavailable
from core.files import DISK, Files
from vault.manifest import MANIFEST, check_manifest
from vault.transfer.arriving import Arriving, Run, in_runs, new_buffer, run_length
from vault.transfer.greeting import greet
from vault.transfer.landing import (
    Chunk,
    Landing,
    chunks_of,
    drop_staging,
    hash_of,
    landing,
    refuse_beyond_disk,
    refuse_if_taken,
    refuse_wrong_name,
)
from vault.transfer.listing import ListedFile, Listing
from vault.transfer.pace import Pace
from vault.transfer.patience import OnWaiting, Patience, Stopped
from vault.transfer.reading_back import ReadingBack
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
    asset_id: str = ""
    """As the other host calls it."""


OnProgress = Callable[[Progress], object]
Judge = Callable[[Listing], object]
"""Raises a `RealmError` for an asset that is not to come here."""


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
    on_waiting: OnWaiting | None = None,
    judge: Judge | None = None,
    files: Files = DISK,
) -> PullReport:
    """Fetch an asset from the realm or branch officer at `base_url` to `into/name` (default: its own name).

    Goes on where an earlier call was cut off. Something that is there already is left alone: the same asset, which is
    verified then, is success, anything else raises `Conflict`. Raises `NotFound`, `InvalidInput` for a manifest that
    cannot be believed, and `Unavailable` when the host or the disk is away; what has come is kept then. `on_progress`
    is called in this thread, ten times a second at most; a `cancelled` that is set ends the transfer. `judge` sees the
    listing before anything is written. A host that does not answer at the beginning is not waited for (`Unreached`); of
    one that falls silent later `on_waiting` is told, else the log.
    """
    begun = time.monotonic()
    if name is not None:
        refuse_wrong_name(name)
    try:
        patience = greet(base_url, token, retry_seconds=options.retry_seconds, cancelled=cancelled,
                         on_waiting=on_waiting)  # fmt: skip
        listing = patience.asking(lambda: _listing(base_url, asset_id, token, options))
    except Stopped as stopped:
        raise cancelled_transfer(asset_id) from stopped
    if judge is not None:
        judge(listing)
    name = name or listing.name
    target = into / name
    if is_there(target, listing):
        drop_staging(into, name, listing, files)
        return _report(target, listing, Counter(), begun, already_there=True)
    refuse_beyond_disk(into, listing.total_bytes, options.reserve_bytes, files)
    with landing(into, name, listing, files) as place:
        # Another transfer may just have ended, and let go of the lock.
        if is_there(target, listing):
            return _report(target, listing, Counter(), begun, already_there=True)
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
        self._changed = threading.Condition()
        self._pace = Pace(options.bytes_per_second)
        self._begun = time.monotonic()
        missing = place.missing()
        self._queue = deque(in_runs(missing, run_length(len(missing), options.connections)))
        by_file: dict[str, list[Chunk]] = {file.name: [] for file in listing.files}
        for chunk in missing:
            by_file[chunk.file.name].append(chunk)
        self._files = {file.name: ReadingBack(file, by_file[file.name]) for file in listing.files}
        self._unread: deque[ReadingBack] = deque()
        with self._changed:
            for back in self._files.values():
                self._offer(back)
        self._open_files = len(listing.files)
        self._tries: Counter[str] = Counter()
        self._error: BaseException | None = None
        self._sources: list[ByteSource] = []
        missing_bytes = sum(chunk.end - chunk.start for chunk in missing)
        self.counts = Counter(resumed=listing.total_bytes - missing_bytes)
        self._threads = max(1, min(options.connections, len(self._queue)))

    def run(self, on_progress: OnProgress | None) -> None:
        """Fetch and read back everything that is missing; raises what has kept a thread from it."""
        threads = [threading.Thread(target=self._work, daemon=True, name=f"pull {n}") for n in range(self._threads)]
        for thread in threads:
            thread.start()
        try:
            while not self._is_over():
                self._patience.look(self._waiting_since())
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
            self._place.outlast([thread for thread in threads if thread.is_alive()])
        self.counts["cuts"] = self._patience.cuts
        if self._error is not None:
            raise cancelled_transfer(self._listing.asset_id) if isinstance(self._error, Stopped) else self._error
        if on_progress is not None:
            on_progress(self._progress())

    def _waiting_since(self) -> float | None:
        """Since when the connection waits that has waited longest; None where none does."""
        with self._changed:
            return min((since for each in self._sources if (since := each.waiting_since) is not None), default=None)

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
        source, buffer = self._connect(), new_buffer()
        with self._changed:
            self._sources.append(source)
        try:
            while (task := self._next()) is not None:
                if isinstance(task, ReadingBack):
                    self._read_on(source, task, buffer)
                else:
                    self._fetch(source, task, buffer)
        except BaseException as error:  # noqa: BLE001 - whatever ends a thread ends the transfer, and is raised by it
            ended_by = error.error if isinstance(error, _DiskRefused) else error
            with self._changed:
                self._error = self._error or ended_by
                self._changed.notify_all()
        finally:
            source.hang_up()

    def _next(self) -> Run | ReadingBack | None:
        """What to do next; None when all is done, or nothing more is to be done."""
        with self._changed:
            self._changed.wait_for(lambda: self._unread or self._queue or self._ended() or self._patience.is_over)
            if self._ended() or self._patience.is_over:
                return None
            return self._unread.popleft() if self._unread else self._queue.popleft()

    def _fetch(self, source: ByteSource, run: Run, buffer: memoryview) -> None:
        """Take a run in; one that is a single chunk has the hash that comes with it, where the host tells it."""
        arriving = _Paced(run, buffer, self._keep, self._pace, self._patience)
        for _ in range(WRONG_TRIES):
            told = self._patience.asking(lambda: self._rest_of(source, run, arriving))
            if told is None or told == arriving.digest():
                arriving.finish()
                return
            logger.warning("a chunk of %s came with a wrong byte", run.file.name, extra={"event": "chunk_wrong"})
            with self._changed:
                self.counts["wrong"] += 1
            arriving.drop()
        raise Unavailable(
            f"{run.file.name} came from {source.base_url} with wrong bytes {WRONG_TRIES} times.",
            hint="The link or the memory of one of the hosts damages what goes through it.",
        )

    def _rest_of(self, source: ByteSource, run: Run, arriving: Arriving) -> str | None:
        if arriving.at == run.end:  # it was cut off behind the last byte
            return None
        return source.read(self._listing.asset_id, run.file.name, run.file.blake3, arriving.at, run.end, arriving,
                           self._pace.piece_bytes)  # fmt: skip

    def _keep(self, chunk: Chunk, data: memoryview) -> None:
        if self._patience.is_over:
            raise Stopped
        try:
            self._place.keep(chunk, data)
        except OSError as error:
            raise _DiskRefused(error) from error
        with self._changed:
            self.counts["fetched"] += len(data)
            back = self._files[chunk.file.name]
            back.came(chunk)
            self._offer(back)

    def _offer(self, back: ReadingBack) -> None:
        """Have somebody read on in a file, where it is worth it; to be called under the lock."""
        if back.is_worth_reading and not back.is_busy:
            back.is_busy = True
            self._unread.append(back)
            self._changed.notify_all()

    def _read_on(self, source: ByteSource, back: ReadingBack, buffer: memoryview) -> None:
        """Read a file back as far as it has come, and when that is all of it, compare it."""
        # What is ready is asked before it is read: what comes meanwhile may be in the piece, and may not.
        while (ready := self._ready(back)) > back.read:
            back.take(self._place.read(back.file, back.read, ready, buffer))
        with self._changed:
            if not back.is_read:
                back.is_busy = False
                # More may have come since that look.
                self._offer(back)
                return
        self._place.make_durable(back.file)
        if back.is_whole:
            with self._changed:
                self._open_files -= 1
                self._changed.notify_all()
        else:
            self._fetch_again(source, back)

    def _ready(self, back: ReadingBack) -> int:
        with self._changed:
            if self._patience.is_over:
                raise Stopped
            return back.ready

    def _fetch_again(self, source: ByteSource, back: ReadingBack) -> None:
        file = back.file
        with self._changed:
            self._tries[file.name] += 1
            tries = self._tries[file.name]
        wrong = self._wrong_chunks(source, file) if tries < FILE_TRIES else []
        if not wrong:
            where = "however often it is fetched" if tries == FILE_TRIES else f"at {source.base_url} neither"
            raise Unavailable(
                f"{file.name} of {self._listing.asset_id} is not what its manifest says, {where}.",
                hint="It is damaged where it comes from: have it verified there, or fetch it from another host.",
            )
        logger.warning("%s is fetched again: wrong bytes", file.name, extra={"event": "file_wrong", "tries": tries})
        self._place.forget(wrong)
        with self._changed:
            self.counts["fetched"] -= sum(chunk.end - chunk.start for chunk in wrong)
            self.counts["wrong"] += len(wrong)
            back.begin_anew(wrong)
            back.is_busy = False
            # One by one: then the hash of each comes with it.
            self._queue.extend(in_runs(wrong, 1))
            self._changed.notify_all()

    def _wrong_chunks(self, source: ByteSource, file: ListedFile) -> list[Chunk]:
        """Those that are not as they are at the source; all of them where it does not tell."""
        chunks = chunks_of(file)
        wrong = []
        for chunk in chunks:
            told = self._patience.asking(partial(self._told_of, source, chunk))
            self._patience.progress()
            self._patience.rest(0.0)
            if told is None:
                return chunks
            if told != self._place.hash_of(chunk):
                wrong.append(chunk)
        return wrong

    def _told_of(self, source: ByteSource, chunk: Chunk) -> str | None:
        """The hash that the source tells of a chunk, which comes with any byte of it."""
        file, byte = chunk.file, Arriving(Run((chunk,)), memoryview(bytearray(1)), lambda chunk, data: None)
        return source.read(self._listing.asset_id, file.name, file.blake3, chunk.start, chunk.start + 1, byte, 1)


class _DiskRefused(Exception):
    """An error of the disk here, in the middle of an answer: no error of the connection."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _Paced(Arriving):
    """Arriving bytes that keep the pace of the transfer, and its patience."""

    def __init__(
        self, run: Run, buffer: memoryview, keep: Callable[[Chunk, memoryview], object], pace: Pace, patience: Patience
    ) -> None:
        super().__init__(run, buffer, keep)
        self._pace = pace
        self._patience = patience

    def took(self, count: int) -> None:
        super().took(count)
        self._patience.progress()
        if wait := self._pace.wait_for(count):
            self._patience.rest(wait)


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


def cancelled_transfer(asset_id: str) -> RealmError:
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
        asset_id=listing.asset_id,
    )
