"""Where the rows of a quest go while they are tokenized: a file of the cache or, where that cannot be, memory."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from arena.tokens.token_cache import CacheEntry
from arena.tokens.token_file import NotStored, TokenFileWriter, TokenPile, Tokens, Version

logger = logging.getLogger(__name__)


class TokenShelf:
    """One quest's rows; a disk that refuses them, or a cache that is too small, is no trouble. Use it in a `with`."""

    def __init__(self, entry: CacheEntry | None, source: Version) -> None:
        """`source` is the version of the quest file that the rows come from."""
        self._entry = entry
        self._source = source
        self._pile = TokenPile()
        self._writer: TokenFileWriter | None = None
        if entry is not None:
            try:
                self._writer = entry.begin(source.size)
            except NotStored as reason:
                _tell(reason)

    def __enter__(self) -> TokenShelf:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.discard()

    def add(self, line: int, token_ids: Sequence[int], trained: Sequence[bool]) -> None:
        """One row, as `TokenPile.add`."""
        if self._writer is None:
            self._pile.add(line, token_ids, trained)
            return
        try:
            self._writer.add(line, token_ids, trained)
        except NotStored as reason:
            self._go_on_in_memory(reason)

    def tokens(self, *, keep: bool) -> Tokens:
        """All rows; with `keep`, the cache has them from now on."""
        if self._writer is not None and self._entry is not None:
            try:
                if not keep:
                    raise NotStored("the file was written to while it was read")
                self._entry.keep(self._writer, self._source)
                if (kept := self._entry.find()) is not None:
                    return kept
                raise NotStored("they were deleted at once")
            except NotStored as reason:
                self._go_on_in_memory(reason)
        return self._pile.tokens()

    def _go_on_in_memory(self, reason: NotStored) -> None:
        _tell(reason)
        writer, self._writer = self._writer, None
        if writer is not None:
            with writer:
                self._pile = writer.take_back()


def _tell(reason: NotStored) -> None:
    logger.info("tokens are kept in memory only: %s", reason, extra={"event": "tokens_not_stored"})
