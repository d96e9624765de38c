"""The cache of tokens in `queue/.tokens/`: any file of it, or all of them, may be deleted at any time.

Several processes read and write it at once. What is used last stays longest; what is more than the budget goes, and so
does whatever the disk needs to have some room left.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from arena.tokens.token_file import SUFFIX, NotStored, TokenFileWriter, Tokens, Version, open_tokens
from core.files import DISK, UNREADABLE, Files

logger = logging.getLogger(__name__)

BLOCK_BYTES = 4096
"""What the smallest file takes of the disk."""
SPARE_BYTES = 1 << 30
"""With less room than this on its disk, the cache takes none of it."""
COUNT_SECONDS = 10.0
"""After so long what others have added is counted, too."""


class TokenCache:
    """One folder of token files."""

    def __init__(self, folder: Path, max_bytes: int, *, files: Files = DISK) -> None:
        """`max_bytes` is the size of all files together; 0 keeps none. One quest may have half of it."""
        self.folder = folder
        self._max_bytes = max_bytes
        self.files = files
        self._held = 0
        """Bytes of the files, as far as this process knows."""
        self._counted_at = float("-inf")

    def entry(self, key: str) -> CacheEntry:
        """The place of the tokens with this key (`arena.tokens.token_recipe`), there or not."""
        return CacheEntry(self, key)

    def begin(self, path: Path, source_bytes: int) -> TokenFileWriter:
        """See `CacheEntry.begin`."""
        if source_bytes > self._max_bytes // 2:
            raise NotStored("the tokens would hardly fit into half of the cache")
        try:
            room = self._free_bytes() - SPARE_BYTES
        except OSError as error:
            raise NotStored(str(error)) from error
        if source_bytes > room:
            raise NotStored("the disk has little room left")
        # A byte of text may become a token of four bytes.
        return TokenFileWriter(path, max_bytes=min(self._max_bytes // 2, room), files=self.files)

    def note(self, path: Path) -> None:
        """This file has come; others may have to go for it."""
        with suppress(OSError):  # the housekeeper tells of it
            self._held += max(path.stat().st_size, BLOCK_BYTES)
            if self._held > self._max_bytes or time.monotonic() - self._counted_at > COUNT_SECONDS:
                self.trim()

    def trim(self) -> None:
        """Delete what is beyond the limits, the longest unused first."""
        found = sorted(self._entries())
        held = sum(size for _, size, _ in found)
        limit = self._max_bytes
        with suppress(OSError):
            limit = min(limit, held + self._free_bytes() - SPARE_BYTES)
        for _, size, path in found:
            if held <= limit:
                break
            with suppress(OSError):  # another process was quicker
                self.files.unlink(path)
            held -= size
        self._held, self._counted_at = held, time.monotonic()

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """Time of the last use, bytes on the disk and path of each file."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        yield status.st_mtime_ns, max(status.st_size, BLOCK_BYTES), Path(entry.path)

    def _free_bytes(self) -> int:
        # Of the folder above: the cache's own is made with the first file.
        found = self.files.statvfs(self.folder.parent)
        return found.f_bavail * found.f_frsize


class CacheEntry:
    """The tokens of one quest, made in one way."""

    def __init__(self, cache: TokenCache, key: str) -> None:
        self._cache = cache
        self._key = key
        self._path = cache.folder / f"{key}{SUFFIX}"

    def find(self) -> Tokens | None:
        """The tokens, mapped; None when they are not there. A file that is damaged is told of and deleted."""
        try:
            tokens = open_tokens(self._path, self._key)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("tokens are made anew: %s", error, extra={"event": "tokens_unreadable"})
            if error.errno in UNREADABLE:
                with suppress(OSError):  # it is asked for again, and is a miss again
                    self._cache.files.unlink(self._path)
            return None
        with suppress(OSError):  # gone meanwhile, or on a disk that cannot be written
            if tokens is None:
                logger.warning("%s is damaged, tokens are made anew", self._path, extra={"event": "tokens_damaged"})
                self._cache.files.unlink(self._path)
            else:
                os.utime(self._path)
        return tokens

    @property
    def size(self) -> int:
        """Bytes of the file; 0 when it is not there."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def begin(self, source_bytes: int) -> TokenFileWriter:
        """A writer for the tokens of a quest file of that size; `keep` ends it. Raises `NotStored`."""
        return self._cache.begin(self._path, source_bytes)

    def keep(self, writer: TokenFileWriter, source: Version) -> None:
        """Make the file whole; raises `NotStored`."""
        writer.finish(self._key, source)
        self._cache.note(self._path)
