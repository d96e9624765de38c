"""Keeps the tokens that the gate before training makes of a quest, so that the trainer need not make them again."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from arena.gatekeepers.measures.renderers import load_renderer
from arena.gatekeepers.measures.row_batches import batches_of
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.gatekeepers.row_reader import rows_in
from arena.rendering import RenderedRow, Renderer
from arena.tokens.quest_source import QuestSource
from arena.tokens.token_cache import CacheEntry, TokenCache
from arena.tokens.token_file import NotStored, TokenFileWriter
from arena.tokens.token_recipe import TokenRecipe

logger = logging.getLogger(__name__)


class TokenKeeper:
    """The tokens of one quest, row by row in file order; use it in a `with`.

    Nothing that goes wrong with them is of any weight: the trainer makes tokens itself where it finds none.
    """

    def __init__(self, entry: CacheEntry | None, source: QuestSource, measure: Yardstick) -> None:
        """Without `entry` nothing is kept."""
        self._entry = entry
        self._source = source
        self._max_length = measure.max_length
        self._writer: TokenFileWriter | None = None
        if entry is not None:
            try:
                self._writer = entry.begin(source.version.size)
            except NotStored as reason:
                self._tell(reason)

    def __enter__(self) -> TokenKeeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()

    @property
    def keeps(self) -> bool:
        """Whether nothing has gone wrong so far."""
        return self._writer is not None

    def take(self, line: int, row: RenderedRow) -> None:
        """One row. Of a quest with a row that teaches nothing, nothing is kept."""
        if self._writer is None:
            return
        cut = row.truncated(self._max_length)
        if not cut.target_tokens:
            self.give_up()
            return
        try:
            self._writer.add(line, cut.token_ids, cut.trained)
        except NotStored as reason:
            self._tell(reason)
            self.give_up()

    def give_up(self) -> None:
        """Keep nothing."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.discard()

    def keep(self, content_hash: str) -> None:
        """All rows were taken and all may be learned: let the trainer have them, if they are of that content."""
        if self._writer is None or self._entry is None:
            return
        try:
            if self._source.content_hash() == content_hash and self._source.is_unchanged():
                self._entry.keep(self._writer, self._source.version)
                return
        except (NotStored, OSError) as reason:
            self._tell(reason)
        self.give_up()

    def _tell(self, reason: Exception) -> None:
        logger.info("no tokens are kept: %s", reason, extra={"event": "tokens_not_stored"})


def keep_tokens(
    path: str, schema_id: str, rows: int, yardstick: dict[str, Any], content_hash: str, cache: dict[str, Any]
) -> int:
    """Tokenize a whole quest file, with the arguments of `prove_file`. Returns the bytes that the cache has of it now.

    Rows that cannot be learned are the trainer's to refuse. Raises `InvalidInput` when tokenizer or profile of the
    yardstick cannot be used, and `OSError` when the file cannot be read.
    """
    measure = Yardstick(**yardstick)
    renderer = load_renderer(measure.tokenizer, measure.profile).renderer
    entry = entry_for(cache, renderer, measure, content_hash=content_hash, schema_id=schema_id)
    if entry is None or entry.find() is not None:
        return entry.size if entry is not None else 0
    with QuestSource(Path(path)) as source, TokenKeeper(entry, source, measure) as keeper:
        for batch in batches_of(rows_in(source, schema_id, Path(path))):
            if not keeper.keeps:
                break
            rendered = renderer.render_many([row.as_mapping() for row in batch], measure.system_prompt)
            for row, whole in zip(batch, rendered, strict=True):
                keeper.take(row.line, whole)
        keeper.keep(content_hash)
        return entry.size if keeper.keeps else 0


def entry_for(
    tokens: dict[str, Any] | None, renderer: Renderer, measure: Yardstick, *, content_hash: str, schema_id: str
) -> CacheEntry | None:
    """The place of a quest's tokens in the cache that `tokens` describes; None where they cannot be made yet.

    `tokens` is `{folder, max_bytes}`. What a template prints of the time of the claim is known at the claim. Raises
    `OSError` when the code that makes tokens cannot be read, as it may be in the middle of an update.
    """
    if tokens is None or renderer.prints_time:
        return None
    recipe = TokenRecipe.of(
        renderer, content_hash=content_hash, schema_id=schema_id, system_prompt=measure.system_prompt,
        max_length=measure.max_length, claimed_at=None,
    )  # fmt: skip
    return _cache_in(**tokens).entry(recipe.key)


@lru_cache(maxsize=1)
def _cache_in(folder: str, max_bytes: int) -> TokenCache:
    return TokenCache(Path(folder), max_bytes)
