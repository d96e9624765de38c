"""The gate before training, STANDARD or DEEP: one pass over a quest that QUICK let in. Runs in the scribe; torch-free.

Fails closed (law 6, C8): whatever goes wrong in here is a rejection, never an entry. Memory is bounded by the rows that
are looked at, never by the file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from arena.gatekeepers.deep import deep_warden
from arena.gatekeepers.deep.deep_warden import DeepWarden
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.held_out import HeldOut
from arena.gatekeepers.likeness.sketched_file import SketchedFile
from arena.gatekeepers.measures import token_warden
from arena.gatekeepers.measures.renderers import load_renderer
from arena.gatekeepers.measures.row_choice import RowChoice
from arena.gatekeepers.measures.token_keeping import TokenKeeper, entry_for
from arena.gatekeepers.measures.token_warden import TokenWarden
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.gatekeepers.row_identity import row_key
from arena.gatekeepers.row_reader import Row, rows_in
from arena.rendering import Renderer
from arena.tokens.quest_source import QuestSource
from arena.tokens.token_cache import CacheEntry
from arena.tokens.token_recipe import made_with
from core.errors import RealmError, Unavailable
from core.files import DISK_TROUBLE

logger = logging.getLogger(__name__)

VALIDATORS = {token_warden.VALIDATOR_NAME: token_warden.VALIDATOR_VERSION}
DEEP_VALIDATORS = {**VALIDATORS, deep_warden.VALIDATOR_NAME: deep_warden.VALIDATOR_VERSION}


def prove_files(quests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`prove_file` of each; one job for many small quests."""
    return [prove_file(**quest) for quest in quests]


def make_ready(tokenizer: str, profile: str) -> str:
    """Load what the next proofs will need; raises `InvalidInput` when it cannot be used.

    Returns the key of what it makes tokens with.
    """
    return made_with() + load_renderer(tokenizer, profile).renderer.fingerprint


def prove_file(
    path: str,
    schema_id: str,
    rows: int,
    yardstick: dict[str, Any],
    content_hash: str = "",
    cache: dict[str, Any] | None = None,
    sketches: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a quest file of `rows` rows with a `Yardstick`, given as a dict. Never raises for what is in the file.

    Where every row of an accepted quest is looked at, the tokens are left for the trainer in `cache` (see `entry_for`),
    if its content is still that of `content_hash`. `sketches` says where those of all quests lie, which DEEP compares
    the rows with, and where those of an accepted quest are left (see `SketchedFile`). Raises `InvalidInput` when
    tokenizer or profile of the yardstick cannot be used, and `Unavailable` when the disk does not let the file be read:
    no quest is to blame for that.
    The verdict has the keys `accepted`, `rows`, `schema_id`, `errors`, `warnings`, their totals and `validators` as in
    `arena.gatekeepers.gate.inspect_file`, and `tokens` (`TokenCensus.to_json` with `looked_at` in words; None when no
    row could be looked at), `content` (the statistics of `DeepWarden`; None without DEEP) and `tokenizer` (the
    fingerprint of what rendered it).
    """
    measure = Yardstick(**yardstick)
    loaded = load_renderer(measure.tokenizer, measure.profile)
    findings = Findings()
    tokens: dict[str, Any] | None = None
    content: dict[str, Any] | None = None
    entry = None
    try:
        entry = entry_for(cache, loaded.renderer, measure, content_hash=content_hash, schema_id=schema_id)
    except Exception as error:  # whatever is wrong with the cache, no quest is to blame for it
        told = {"event": "tokens_not_stored"}
        logger.warning("no tokens are kept of %s: %s", path, error, exc_info=True, extra=told)
    try:
        tokens, content = _measure(
            Path(path), schema_id, rows, measure, loaded.renderer, findings, entry, content_hash, sketches
        )
    except (OSError, RealmError) as error:
        if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
            raise Unavailable(f"{path} cannot be read: {error.strerror}.") from error
        line = error.details.get("line") if isinstance(error, RealmError) else None
        findings.error(line, None, f"the file cannot be measured: {error}")
    except Exception as error:  # fails closed: a bug in a gate must not let a file in (C8)
        logger.exception("STANDARD failed on %s", path, extra={"event": "gate_failed", "file": path})
        findings.error(None, None, f"the gates failed on this file and did not let it in: {error!r}")
    return {
        "accepted": not findings.total_errors and tokens is not None,
        "rows": rows,
        "schema_id": schema_id,
        "tokens": tokens,
        "content": content,
        "tokenizer": loaded.fingerprint,
        "errors": [finding.to_json() for finding in findings.errors],
        "total_errors": findings.total_errors,
        "warnings": [finding.to_json() for finding in findings.warnings],
        "total_warnings": findings.total_warnings,
        "validators": dict(DEEP_VALIDATORS if measure.deep else VALIDATORS),
    }


def _measure(
    path: Path,
    schema_id: str,
    rows: int,
    measure: Yardstick,
    renderer: Renderer,
    findings: Findings,
    entry: CacheEntry | None,
    content_hash: str,
    sketches: dict[str, Any] | None,
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The statistics `tokens` and `content` of the verdict."""
    tokens: dict[str, Any] | None = None
    with ExitStack() as stack:
        source = stack.enter_context(QuestSource(path))
        choice = RowChoice(rows, source.version.size)
        keeper = stack.enter_context(TokenKeeper(entry if choice.every else None, source, measure))
        warden = TokenWarden(renderer, measure, findings, keeper.take)
        deep = stack.enter_context(DeepWarden(measure.profile, findings)) if measure.deep else None
        held_out = HeldOut(measure.held_out, findings)
        sketched = SketchedFile(rows, sketches, measure.held_out) if measure.deep or sketches is not None else None
        found = _look_through(rows_in(source, schema_id, path), choice, warden, deep, held_out, sketched)
        if found != rows or not source.is_unchanged():
            findings.error(None, None, f"the file changed after it was checked: {found} rows were found of {rows}")
        if warden.census.rows:
            tokens = {"looked_at": choice.describe(found), **warden.census.to_json()}
        content = deep.finish(sketched, held_out) if deep is not None else None
        if tokens is not None and not findings.total_errors:
            keeper.keep(content_hash)
            if sketched is not None:
                sketched.keep()
    return tokens, content


def _look_through(
    rows: Iterator[Row],
    choice: RowChoice,
    warden: TokenWarden,
    deep: DeepWarden | None,
    held_out: HeldOut,
    sketched: SketchedFile | None,
) -> int:
    """One pass over all rows; returns how many there are."""
    found = 0
    for row in rows:
        key = row_key(row) if held_out.wants_keys or deep is not None else None
        held_out.look(row, key)
        if deep is not None and key is not None:
            deep.take(row, key)
        if sketched is not None:
            sketched.take(row)
        if choice.takes(found, row):
            warden.take(row)
        found += 1
    for row in choice.longest():
        warden.take(row, drawn=False)
    warden.finish(choice.describe(found))
    return found
